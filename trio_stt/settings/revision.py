"""Changes to the settings of a running server: which are applied, which are rejected, and why.

`revise` computes new settings and has no other effect. See docs/protocol.md, PATCH /api/config.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_origin

import msgspec
from pydantic import ValidationError

from trio_stt.errors import SettingError
from trio_stt.settings.configuration import Declaration, Settings, declarations, describe_error
from trio_stt.settings.option import RuntimeClass

SettingsCheck = Callable[[Settings], None]
"""Checks what `Settings` cannot know, such as files; raises SettingError."""

WAKE_WORD_SETTINGS = frozenset({"wakeword_backend", "openwakeword_model_paths", "wake_words"})
"""Settings that the check of wake words reads. It is called only when one of them changes."""

_Reason = Literal["startup_only", "unknown", "invalid_value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRejection:
    """Why a change was rejected."""

    reason: _Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Outcome of a request.

    Attributes:
        settings: With all accepted changes.
        applied: Declarations of the accepted changes, in the order of the request.
        rejected: By requested name.
    """

    settings: Settings
    applied: tuple[Declaration, ...]
    rejected: Mapping[str, SettingRejection]


def revise(settings: Settings, changes: Mapping[str, msgspec.Raw], check_wake_words: SettingsCheck) -> Revision:
    """Judge each change on its own, then the accepted ones together.

    Changes that are only possible together are accepted together. Of changes that are impossible together, the later
    ones of the request are rejected, and as few as possible. Wake words that fail their check are rejected as a whole:
    with half of such a request, sessions would wait for words that the client did not ask for.

    Args:
        settings: In force, so without conflicts.
        changes: JSON values by setting name.
        check_wake_words: May be slow; it is called with candidates that change one of `WAKE_WORD_SETTINGS`.
    """
    known = {declaration.name: declaration for declaration in declarations()}
    accepted: dict[str, object] = {}
    rejected: dict[str, SettingRejection] = {}
    for name, raw in changes.items():
        try:
            accepted[name] = _parse(known.get(name), raw)
        except _Rejected as error:
            rejected[name] = error.rejection

    def find_problem(values: dict[str, object]) -> _Problem | None:
        return _find_problem(settings.model_copy(update=values), values, check_wake_words)

    left_out: dict[str, object] = {}
    while (problem := find_problem(accepted)) is not None:
        for name in problem.names:
            left_out[name] = accepted.pop(name)
            rejected[name] = SettingRejection(reason="invalid_value", message=problem.message)
    for name, value in left_out.items():
        if name not in WAKE_WORD_SETTINGS and find_problem(accepted | {name: value}) is None:
            accepted[name] = value
            del rejected[name]
    return Revision(
        settings=settings.model_copy(update=accepted),
        applied=tuple(known[name] for name in changes if name in accepted),
        rejected=rejected,
    )


class _Rejected(Exception):  # noqa: N818 - named after the state
    def __init__(self, reason: _Reason, message: str) -> None:
        super().__init__(message)
        self.rejection = SettingRejection(reason=reason, message=message)


def _parse(declaration: Declaration | None, raw: msgspec.Raw) -> object:
    """The value as the settings hold it: of the exact JSON type, one of the choices, within its range."""
    if declaration is None:
        raise _Rejected("unknown", "there is no such setting")
    if declaration.runtime is RuntimeClass.STARTUP:
        raise _Rejected("startup_only", "this setting changes only with a restart of the server")
    annotation = declaration.field.annotation
    # A choice may be spelled in several ways, so any text is taken here and checked below.
    json_type = str if get_origin(annotation) is Literal else annotation
    try:
        return declaration.adapter.validate_python(msgspec.json.decode(raw, type=json_type))
    except ValidationError as error:
        raise _Rejected("invalid_value", describe_error(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _Rejected("invalid_value", str(error)) from None


@dataclass(frozen=True, slots=True)
class _Problem:
    """Changes that cannot be accepted together, and why."""

    names: Collection[str]
    message: str


def _find_problem(candidate: Settings, changed: dict[str, object], check: SettingsCheck) -> _Problem | None:
    for conflict in candidate.conflicts():
        last = next(name for name in reversed(changed) if name in conflict.names)
        return _Problem((last,), str(conflict))
    checked = [name for name in changed if name in WAKE_WORD_SETTINGS]
    if checked:
        try:
            check(candidate)
        except SettingError as error:
            return _Problem(checked, str(error))
    return None
