"""Combinations of settings: profiles, conflicts, and when wake words are enabled."""

import pytest

from tests.support.declared import from_flags, no_settings_in_environment
from trio_stt.errors import SettingError
from trio_stt.settings import PROFILES, load_settings, public_settings, setting_warnings

pytestmark = pytest.mark.usefixtures(no_settings_in_environment.__name__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--realtime-min-audio-seconds", "30"],
            "realtime_max_audio_seconds (20) must be 0 or at least realtime_min_audio_seconds (30)",
        ),
        (
            ["--realtime-max-audio-seconds", "0.1"],
            "realtime_max_audio_seconds (0.1) must be 0 or at least realtime_min_audio_seconds (0.25)",
        ),
        (
            ["--min-length-of-recording", "31"],
            "max_audio_queue_seconds_per_session (30) must be 0 or at least 1 and min_length_of_recording (31)",
        ),
        (
            ["--max-audio-queue-seconds-per-session", "0.5"],
            "max_audio_queue_seconds_per_session (0.5) must be 0 or at least 1 and min_length_of_recording (0.2)",
        ),
    ],
)
def test_conflict_names_the_given_flag(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingError) as refusal:
        from_flags(*arguments)
    assert str(refusal.value) == f"{arguments[0]}: {message}"


def test_conflict_names_the_given_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_REALTIME_MIN_AUDIO_SECONDS", "30")
    with pytest.raises(SettingError, match=r"^TRIO_STT_REALTIME_MIN_AUDIO_SECONDS: realtime_max_audio_seconds \(20\)"):
        load_settings()


# batch, realtime batch, pause between partials, shortest utterance, silence, speculative final
@pytest.mark.contract("3.1")
@pytest.mark.parametrize(
    ("profile", "values"),
    [
        ("custom", (16, 16, 0.02, 0.2, 0.55, 0.2)),
        ("parakeet-low-latency", (1, 1, 0.04, 0.18, 0.45, 0.15)),
        ("parakeet-balanced", (8, 4, 0.06, 0.2, 0.55, 0.2)),
        ("parakeet-accurate-final", (16, 8, 0.1, 0.3, 0.7, 0.35)),
    ],
)
def test_a_profile_sets_its_values_and_its_description(profile: str, values: tuple[float, ...]) -> None:
    settings = from_flags("--profile", profile)
    assert values == (
        settings.batch_size,
        settings.realtime_batch_size,
        settings.realtime_processing_pause,
        settings.min_length_of_recording,
        settings.post_speech_silence_duration,
        settings.early_transcription_on_silence,
    )
    assert (settings.beam_size, settings.beam_size_realtime) == (5, 3)
    assert settings.tuning_profile == profile
    assert settings.tuning_description == PROFILES[profile].description


@pytest.mark.contract("3.1")
@pytest.mark.parametrize("profile", [name for name in PROFILES if PROFILES[name].values])
def test_explicit_settings_override_the_profile(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_TUNING_PROFILE", profile.upper().replace("-", "_"))
    monkeypatch.setenv("TRIO_STT_BATCH_SIZE", "3")
    settings = from_flags("--realtime-batch-size", "5")
    assert (settings.batch_size, settings.realtime_batch_size) == (3, 5)
    assert settings.realtime_processing_pause == PROFILES[profile].values["realtime_processing_pause"]


@pytest.mark.contract("3", "4.10")
def test_wake_words_flag_alone_selects_porcupine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_flags("--wake-words", "jarvis").wakeword_backend == "pvporcupine"
    assert from_flags("--wake-words", " ").wakeword_backend == ""
    assert from_flags("--wake-words", "jarvis", "--wakeword-backend", "OWW").wakeword_backend == "oww"
    monkeypatch.setenv("TRIO_STT_WAKEWORD_BACKEND", "openWakeWord")
    assert from_flags("--wake-words", "jarvis").wakeword_backend == "openwakeword"


def test_wake_words_variable_alone_has_no_effect_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_WAKE_WORDS", "jarvis")
    settings = load_settings()
    assert public_settings(settings)["wake_word_enabled"] is False
    (notice,) = setting_warnings(settings)
    assert "jarvis" in notice
    assert "wakeword_backend" in notice


@pytest.mark.contract("1.2", "4.10")
@pytest.mark.parametrize(
    ("backend", "words", "enabled"),
    [("", "", False), ("", "jarvis", False), ("openwakeword", "", True), ("pvporcupine", "jarvis", True)],
)
def test_backend_enables_wake_words(backend: str, words: str, enabled: bool) -> None:
    settings = load_settings({"wakeword_backend": backend, "wake_words": words})
    assert public_settings(settings)["wake_word_enabled"] is enabled
