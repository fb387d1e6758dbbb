"""Changes to the settings of a running server: applied, rejected, and why."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.declared import PERMISSIVE_VALUES, as_held, bad_values, good_values, is_optional
from trio_stt.errors import SettingError
from trio_stt.settings import Declaration, RuntimeClass, Settings, declarations
from trio_stt.settings.revision import WAKE_WORD_SETTINGS, Revision, revise

STARTUP = [d for d in declarations() if d.runtime is RuntimeClass.STARTUP]
CHANGEABLE = [d for d in declarations() if d.runtime is not RuntimeClass.STARTUP]
DEFAULT = Settings()
WRONG_TYPES: dict[type, list[str]] = {
    bool: ["0", "1", "null", '"true"', "[]", "{}", "1.0"],
    int: ["true", "5.0", "5e0", "null", '"5"', "[5]", "{}", "1e999"],
    float: ["true", "null", '"0.5"', "[0.5]", "{}", "1e999", "9" * 5000],
    tuple: ["0.1", "null", '"0.1,0.2"', "{}", '["0.1"]', "[null]", "[true]", "[[0.1]]", "[1e999]"],
    str: ["true", "5", "0.5", '["a"]', "{}", "9" * 5000],
}
by_name = pytest.mark.parametrize("declaration", CHANGEABLE, ids=lambda declaration: declaration.name)


def revise_json(settings: Settings, changes: Mapping[str, Any]) -> Revision:
    return revise_raw(settings, {name: json.dumps(value) for name, value in changes.items()})


def revise_raw(settings: Settings, changes: Mapping[str, str]) -> Revision:
    return revise(settings, {name: msgspec.Raw(text.encode()) for name, text in changes.items()}, check_words)


def check_words(settings: Settings) -> None:
    """A check of wake words for a server with one backend and one word."""
    if settings.wakeword_backend not in ("", "oww"):
        raise SettingError(f"wakeword_backend: {settings.wakeword_backend!r} is no backend")
    if settings.wakeword_backend and settings.wake_words not in ("", "jarvis"):
        raise SettingError(f"wake_words: {settings.wake_words!r} is no word")


def applied(revision: Revision) -> list[str]:
    return [declaration.name for declaration in revision.applied]


def permissive_settings(declaration: Declaration) -> Settings:
    return Settings.model_validate({k: v for k, v in PERMISSIVE_VALUES.items() if k != declaration.name})


@pytest.mark.contract("1.3", "3")
@by_name
def test_valid_change_is_applied_and_nothing_else_changes(declaration: Declaration) -> None:
    before = permissive_settings(declaration)
    name = declaration.name
    for value in good_values(declaration):
        if name == "wakeword_backend":
            value = "oww"  # noqa: PLW2901 - the only backend of `check_words`
        revision = revise_json(before, {name: value})
        assert (applied(revision), revision.rejected) == ([name], {})
        held = getattr(revision.settings, name)
        assert held == as_held(value)
        assert type(held) is type(as_held(value))
        assert revision.settings == before.model_copy(update={name: held})
        Settings.model_validate(revision.settings.model_dump())


@pytest.mark.contract("1.3", "11/34")
@by_name
def test_value_outside_the_range_is_rejected(declaration: Declaration) -> None:
    for value in bad_values(declaration):
        revision = revise_json(permissive_settings(declaration), {declaration.name: value})
        assert revision.settings == permissive_settings(declaration)
        rejection = revision.rejected[declaration.name]
        assert rejection.reason == "invalid_value"
        assert len(rejection.message) < 300


@pytest.mark.contract("1.3", "11/34")
@by_name
def test_value_of_another_json_type_is_rejected(declaration: Declaration) -> None:
    wrong = [text for text in WRONG_TYPES[declaration.value_type] if text != "null"]
    if not is_optional(declaration):
        wrong.append("null")
    for text in wrong:
        revision = revise_raw(DEFAULT, {declaration.name: text})
        assert revision.settings == DEFAULT, text
        assert revision.rejected[declaration.name].reason == "invalid_value", text


@pytest.mark.contract("1.3")
@pytest.mark.parametrize("declaration", STARTUP, ids=lambda declaration: declaration.name)
def test_startup_setting_is_rejected_with_any_value(declaration: Declaration) -> None:
    for text in ("1", "null", '"x"', "9" * 5000, "[" * 500 + "]" * 500):
        revision = revise_raw(DEFAULT, {declaration.name: text})
        assert revision.settings == DEFAULT
        assert revision.rejected[declaration.name].reason == "startup_only"


@pytest.mark.contract("1.3")
@pytest.mark.parametrize("name", ["colour", "", "MAX_SESSIONS", "max_sessions ", "wake_word_enabled", "model_config"])
def test_unknown_setting_is_rejected(name: str) -> None:
    revision = revise_json(DEFAULT, {name: 5})
    assert revision.settings == DEFAULT
    assert revision.rejected[name].reason == "unknown"


def test_deeply_nested_value_is_rejected() -> None:
    revision = revise_raw(DEFAULT, {"max_sessions": "[" * 900 + "]" * 900})
    assert revision.rejected["max_sessions"].reason == "invalid_value"


def test_choices_ignore_case() -> None:
    revision = revise_json(DEFAULT, {"log_level": "debug", "openwakeword_inference_framework": "ONNX"})
    assert revision.settings.log_level == "DEBUG"
    assert revision.settings.openwakeword_inference_framework == "onnx"
    assert all(declaration.choices for declaration in revision.applied)


@pytest.mark.contract("1.3")
def test_valid_changes_are_applied_beside_invalid_ones() -> None:
    revision = revise_json(
        DEFAULT,
        {"max_sessions": 6, "silero_sensitivity": 0.2, "model": "x", "colour": "red", "max_active_speakers": "five"},
    )
    assert applied(revision) == ["max_sessions", "silero_sensitivity"]
    assert {name: rejection.reason for name, rejection in revision.rejected.items()} == {
        "model": "startup_only",
        "colour": "unknown",
        "max_active_speakers": "invalid_value",
    }
    assert (revision.settings.max_sessions, revision.settings.silero_sensitivity) == (6, 0.2)


@pytest.mark.parametrize("backwards", [False, True])
def test_changes_that_need_each_other_are_applied_together(backwards: bool) -> None:
    changes = {"realtime_min_audio_seconds": 25, "realtime_max_audio_seconds": 30}
    if backwards:
        changes = dict(reversed(changes.items()))
    revision = revise_json(DEFAULT, changes)
    assert revision.rejected == {}
    assert (revision.settings.realtime_min_audio_seconds, revision.settings.realtime_max_audio_seconds) == (25, 30)


def test_change_in_conflict_with_other_settings_is_rejected() -> None:
    revision = revise_json(DEFAULT, {"realtime_min_audio_seconds": 25, "max_sessions": 6})
    assert applied(revision) == ["max_sessions"]
    rejection = revision.rejected["realtime_min_audio_seconds"]
    assert rejection.reason == "invalid_value"
    assert rejection.message == "realtime_max_audio_seconds (20) must be 0 or at least realtime_min_audio_seconds (25)"


def test_possible_half_of_a_conflicting_pair_is_applied() -> None:
    changes = {"realtime_min_audio_seconds": 30, "realtime_max_audio_seconds": 25}
    revision = revise_json(DEFAULT, changes)
    assert applied(revision) == ["realtime_max_audio_seconds"]
    assert list(revision.rejected) == ["realtime_min_audio_seconds"]


def test_wake_words_are_checked_with_the_whole_request() -> None:
    assert applied(revise_json(DEFAULT, {"wake_words": "jarvis", "wakeword_backend": "oww"})) == [
        "wake_words",
        "wakeword_backend",
    ]
    revision = revise_json(DEFAULT, {"wake_words": "banana", "wakeword_backend": "oww", "wake_word_timeout": 3})
    assert applied(revision) == ["wake_word_timeout"]
    assert {rejection.message for rejection in revision.rejected.values()} == {"wake_words: 'banana' is no word"}
    assert list(revision.rejected) == ["wake_words", "wakeword_backend"], "a backend alone would accept any word"
    revision = revise_json(Settings(wakeword_backend="oww"), {"wake_words": "banana"})
    assert revision.rejected["wake_words"].message == "wake_words: 'banana' is no word"


def test_wake_words_are_not_checked_for_other_settings() -> None:
    def check(_: Settings) -> None:
        pytest.fail("the check may be slow")

    for declaration in CHANGEABLE:
        if declaration.name not in WAKE_WORD_SETTINGS:
            value = msgspec.Raw(json.dumps(good_values(declaration)[0]).encode())
            assert revise(permissive_settings(declaration), {declaration.name: value}, check).rejected == {}


REQUESTS = st.lists(
    st.one_of(
        *(
            st.tuples(st.just(d.name), st.sampled_from([*good_values(d), *bad_values(d)]))
            for d in declarations()
            if d.name in WAKE_WORD_SETTINGS or d.name.endswith(("_seconds", "_recording", "_sessions", "model"))
        ),
        st.tuples(st.just("realtime_min_audio_seconds"), st.floats(0, 60)),
        st.tuples(st.just("realtime_max_audio_seconds"), st.floats(0, 60)),
        st.tuples(st.just("min_length_of_recording"), st.floats(0, 60)),
        st.tuples(st.just("max_audio_queue_seconds_per_session"), st.floats(0, 60)),
        st.tuples(st.just("wakeword_backend"), st.sampled_from(["", "oww", "nonsense"])),
        st.tuples(st.just("wake_words"), st.sampled_from(["", "jarvis", "banana"])),
        st.tuples(st.just("colour"), st.integers()),
    ),
    max_size=8,
).map(dict)


@pytest.mark.contract("1.3")
@given(st.lists(REQUESTS, min_size=1, max_size=4))
def test_settings_stay_valid_and_as_many_changes_as_possible_are_applied(requests: list[dict[str, Any]]) -> None:
    settings = DEFAULT
    for changes in requests:
        revision = revise_json(settings, changes)
        accepted = applied(revision)
        assert sorted([*accepted, *revision.rejected]) == sorted(changes)
        assert Settings.model_validate(revision.settings.model_dump()) == revision.settings
        check_words(revision.settings)
        untouched = {d.name: getattr(settings, d.name) for d in declarations() if d.name not in accepted}
        assert {name: getattr(revision.settings, name) for name in untouched} == untouched
        for name in revision.rejected.keys() - WAKE_WORD_SETTINGS:
            assert revise_json(revision.settings, {name: changes[name]}).rejected, "this change is valid on its own"
        settings = revision.settings
