"""Changing the configuration of a running server: which of the asked changes are taken, which refused and why.

It computes and changes nothing itself. It must not know how changes arrive, nor what follows from them.
See docs/protocol.md, PATCH /api/config.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_origin

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError

from trio_stt.errors import SettingError
from trio_stt.settings import RuntimeClass, Settings
from trio_stt.settings.configuration import Declaration, declarations, reason_of

Check = Callable[[Settings], None]
"""Looks for what `Settings` cannot know, such as files; raises SettingError."""

CHECKED = frozenset({"wakeword_backend", "openwakeword_model_paths", "wake_words"})
"""The settings that a check of wake words is about; without a change of one of them it is not called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRejection:
    """Why a change is not taken."""

    reason: Literal["startup_only", "unknown", "invalid_value"]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What becomes of a request.

    Attributes:
        settings: With everything that is taken; the rest is as it was.
        applied: The declarations of what is taken, in the order of the request.
        refused: By the name that was asked for.
    """

    settings: Settings
    applied: tuple[Declaration, ...]
    rejected: Mapping[str, SettingRejection]


def revise(settings: Settings, changes: Mapping[str, msgspec.Raw], check_wake_words: Check) -> Revision:
    """Judge each change on its own, and what is left together.

    Changes that are only possible together are taken together. Of those that are impossible together, the later ones
    of the request are refused, and as few as possible. Wake words that fail their check are refused as a whole: half of
    such a request would make sessions wait for words that nobody asked for.

    Args:
        settings: In force, hence possible.
        changes: JSON values by the name of the setting.
        check_wake_words: May be slow; it is called with candidates that change one of `CHECKED`.
    """
    known = {declaration.name: declaration for declaration in declarations()}
    taken: dict[str, object] = {}
    rejected: dict[str, SettingRejection] = {}
    for name, raw in changes.items():
        try:
            taken[name] = _value(known.get(name), raw)
        except _Refused as error:
            rejected[name] = error.rejection

    def why_not(values: dict[str, object]) -> _Objection | None:
        return _objection(settings.model_copy(update=values), values, check_wake_words)

    left_out: dict[str, object] = {}
    while (objection := why_not(taken)) is not None:
        for name in objection.names:
            left_out[name] = taken.pop(name)
            rejected[name] = SettingRejection(reason="invalid_value", message=objection.message)
    for name, value in left_out.items():
        if name not in CHECKED and why_not(taken | {name: value}) is None:
            taken[name] = value
            del rejected[name]
    return Revision(
        settings=settings.model_copy(update=taken),
        applied=tuple(known[name] for name in changes if name in taken),
        rejected=rejected,
    )


class _Refused(Exception):  # noqa: N818 - it names a state
    def __init__(self, reason: Literal["startup_only", "unknown", "invalid_value"], message: str) -> None:
        super().__init__(message)
        self.rejection = SettingRejection(reason=reason, message=message)


def _value(declaration: Declaration | None, raw: msgspec.Raw) -> object:
    """The value as the settings hold it: of the very JSON type, a choice that there is, within its range."""
    if declaration is None:
        raise _Refused("unknown", "there is no such setting")
    if declaration.option.runtime is RuntimeClass.STARTUP:
        raise _Refused("startup_only", "only a restart of the server changes it")
    # Choices are spelled freely, so that their type is any text.
    annotation = declaration.field.annotation
    json_type = str if get_origin(annotation) is Literal else annotation
    try:
        return _adapter(declaration.name).validate_python(msgspec.json.decode(raw, type=json_type))
    except ValidationError as error:
        raise _Refused("invalid_value", reason_of(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _Refused("invalid_value", str(error)) from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    declared: Any = Annotated[field.annotation, *field.metadata]
    return TypeAdapter(declared, config=ConfigDict(allow_inf_nan=False))


@dataclass(frozen=True, slots=True)
class _Objection:
    """Which changes cannot be taken, and why."""

    names: Collection[str]
    message: str


def _objection(candidate: Settings, changed: dict[str, object], check: Check) -> _Objection | None:
    for conflict in candidate.conflicts():
        last = next(name for name in reversed(changed) if name in conflict.names)
        return _Objection((last,), str(conflict))
    checked = [name for name in changed if name in CHECKED]
    if checked:
        try:
            check(candidate)
        except SettingError as error:
            return _Objection(checked, str(error))
    return None
