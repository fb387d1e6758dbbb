"""The whole configuration: all groups of settings together, how they are loaded, and what clients see of them.

Flags win over the environment, the environment over the profile, the profile over the defaults. A value that is not
allowed becomes one line that names its flag or variable.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from trio_stt.errors import SettingError
from trio_stt.languages import language_code
from trio_stt.runtime.similar import did_you_mean
from trio_stt.settings.access_settings import AccessSettings
from trio_stt.settings.engine_settings import EngineSettings
from trio_stt.settings.environment import ENV_PREFIX, settings_from_environment
from trio_stt.settings.option import Option, RuntimeClass, SettingsGroup
from trio_stt.settings.profiles import PROFILES, canonical_profile
from trio_stt.settings.server_settings import ServerSettings
from trio_stt.settings.speech_settings import SpeechSettings
from trio_stt.settings.wake_word_settings import WakeWordSettings

MIN_CUT_SECONDS = 1.0
"""Smallest maximum length of an utterance, in seconds: half of it remains to look for the quietest place of a cut."""
_VALUE_TYPES = (bool, int, float, tuple, dict)
_SHOWN_CHARACTERS = 80
"""Longest value that an error message repeats."""


class Conflict(ValueError):  # noqa: N818 - named after the state, like those of `errors`
    """Settings that are allowed one by one, but not together. The message names them and their values.

    Attributes:
        names: The settings involved.
    """

    def __init__(self, names: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.names = names


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters except white space, which prompts and JSON have: a terminal would obey them in messages."""


# Pydantic lists the fields of the last base first.
class Settings(WakeWordSettings, SpeechSettings, EngineSettings, AccessSettings, ServerSettings):
    """The configuration of one server. Frozen; `load_settings` builds it."""

    @model_validator(mode="before")
    @classmethod
    def _apply_profile(cls, given: Any) -> Any:
        profile = PROFILES.get(str(canonical_profile(given.get("tuning_profile", "custom"))), PROFILES["custom"])
        return {**profile.values, **given, "tuning_description": profile.description}

    @field_validator("*", mode="before")
    @classmethod
    def _require_plain_text(cls, value: Any) -> Any:
        """Reject bytes of the environment that are not UTF-8, which no client could be sent, and control characters."""
        if isinstance(value, str) and _CONTROL.search(value):
            raise ValueError("must be text without control characters")
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("must be text in UTF-8") from None
        return value

    @model_validator(mode="after")
    def _reject_conflicts(self) -> Self:
        for conflict in self.conflicts():
            raise conflict
        return self

    def conflicts(self) -> Iterator[Conflict]:
        """Combinations that are not possible; none in settings that were validated."""
        longest_s, shortest_s = self.max_audio_queue_seconds_per_session, self.min_length_of_recording
        if 0 < longest_s < max(MIN_CUT_SECONDS, shortest_s):
            yield Conflict(
                ("max_audio_queue_seconds_per_session", "min_length_of_recording"),
                f"max_audio_queue_seconds_per_session ({longest_s:g}) must be 0 or at least {MIN_CUT_SECONDS:g}"
                f" and min_length_of_recording ({shortest_s:g})",
            )
        window_s, first_s = self.realtime_max_audio_seconds, self.realtime_min_audio_seconds
        if 0 < window_s < first_s:
            yield Conflict(
                ("realtime_max_audio_seconds", "realtime_min_audio_seconds"),
                f"realtime_max_audio_seconds ({window_s:g}) must be 0 or at least"
                f" realtime_min_audio_seconds ({first_s:g})",
            )

        for least, most in (
            ("lane_workers", "lane_workers_max"),
            ("realtime_lane_workers", "realtime_lane_workers_max"),
        ):
            if 0 < (highest := getattr(self, most)) < (lowest := getattr(self, least)):
                yield Conflict((most, least), f"{most} ({highest}) must be 0 or at least {least} ({lowest})")

    def is_set(self, name: str) -> bool:
        """Whether a setting was set, be it to its default."""
        return name in self.model_fields_set

    @property
    def language_code(self) -> str | None:
        """The language, or None if the model decides."""
        return language_code(self.language) or None

    @property
    def download_folder(self) -> Path | None:
        """`download_root` as an expanded path."""
        return Path(self.download_root).expanduser() if self.download_root else None

    @property
    def wake_words_enabled(self) -> bool:
        """Whether sessions wait for a wake word: a backend is set. Words alone have no effect."""
        return bool(self.wakeword_backend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One setting, as the command line, the API and the documentation need it.

    Attributes:
        name: The setting.
        runtime: When a change takes effect.
        flags: Flags of the command line, the preferred one first; empty if the setting cannot be set.
        public: Whether clients may see it.
        field: Type, range, default and help, as Pydantic holds them.
        group: Group that declares it; on the wire in the schema of `/api/config`.
    """

    name: str
    runtime: RuntimeClass
    flags: tuple[str, ...]
    public: bool
    field: FieldInfo
    group: str

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper()

    @property
    def is_settable(self) -> bool:
        """Whether it can be set; a setting that follows from others is only shown."""
        return bool(self.flags)

    @property
    def is_flag_only(self) -> bool:
        """Whether its flag takes no value."""
        return self.field.annotation is bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, if they are few."""
        return get_args(self.field.annotation) if get_origin(self.field.annotation) is Literal else ()

    @property
    def help(self) -> str:
        """Help for people, in one line."""
        return " ".join((self.field.description or "").split())

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """Validates a value of this setting alone, and describes its type and range as JSON Schema."""
        declared: Any = Annotated[self.field.annotation, *self.field.metadata]
        return TypeAdapter(declared, config=ConfigDict(allow_inf_nan=False))

    @property
    def value_type(self) -> type:
        """The type of its values, apart from None: bool, int, float, str, tuple or dict."""
        annotation: Any = self.field.annotation
        parts = [get_origin(part) or part for part in (annotation, *get_args(annotation))]
        return next((part for part in parts if part in _VALUE_TYPES), str)

    @property
    def default_text(self) -> str:
        """The default as it is written on the command line; empty if there is none."""
        default = self.field.default
        if isinstance(default, bool):
            return "on" if default else "off"
        if isinstance(default, tuple):
            return ",".join(f"{item:g}" for item in default)
        return "" if default is None else str(default)


@cache
def declarations() -> tuple[Declaration, ...]:
    """Every setting, in the order of the groups."""
    groups = {
        name: declaring.group
        for declaring in Settings.__mro__
        if issubclass(declaring, SettingsGroup)
        for name in vars(declaring).get("__annotations__", {})
    }
    found = []
    for name, field in Settings.model_fields.items():
        option = next(item for item in field.metadata if isinstance(item, Option))
        flags = (f"--{name.replace('_', '-')}",) if option.flags is None else option.flags
        found.append(
            Declaration(
                name=name, runtime=option.runtime, flags=flags, public=option.public, field=field, group=groups[name]
            )
        )
    return tuple(found)


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Load settings from flags, environment, profile and defaults.

    Args:
        flags: Values of the command line by setting name. Text is parsed; booleans may be booleans.

    Raises:
        SettingError: One line that names the flag or variable, the value and what is allowed.
    """
    flags, environment = flags or {}, settings_from_environment()
    known = [declaration.name for declaration in declarations() if declaration.is_settable]
    for name in environment:
        if name not in known:
            similar = did_you_mean(name.upper(), map(str.upper, known), prefix=ENV_PREFIX)
            raise SettingError(f"{ENV_PREFIX}{name.upper()}: no such setting{similar}")
    try:
        settings = Settings(**{**environment, **flags})
    except ValidationError as error:
        raise SettingError(_explain(error, frozenset(flags))) from None
    if str(flags.get("wake_words", "")).strip() and "wakeword_backend" not in settings.model_fields_set:
        return settings.model_copy(update={"wakeword_backend": "pvporcupine"})
    return settings


def describe_error(error: ValidationError) -> str:
    """Describe the first invalid value in one line that shows it and what is expected."""
    first = error.errors(include_url=False)[0]
    shown = repr(first["input"])
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"
    if first["type"] == "value_error":
        return f"{shown} {first['msg'].removeprefix('Value error, ')}"
    message = first["msg"].removeprefix("Input should be ")
    return f"{shown} is not allowed; expected {message[0].lower()}{message[1:]}"


def _explain(error: ValidationError, from_flags: frozenset[str]) -> str:
    first = error.errors(include_url=False)[0]
    conflict = first.get("ctx", {}).get("error")
    if not isinstance(conflict, Conflict):
        return f"{_flag_or_variable(str(first['loc'][0]), from_flags)}: {describe_error(error)}"
    given = from_flags | settings_from_environment().keys()
    blamed = next((name for name in conflict.names if name in given), conflict.names[0])
    return f"{_flag_or_variable(blamed, from_flags)}: {conflict}"


def _flag_or_variable(name: str, from_flags: frozenset[str]) -> str:
    for declaration in declarations():
        if declaration.name == name:
            return declaration.flags[0] if name in from_flags else declaration.env
    return name


def setting_warnings(settings: Settings) -> tuple[str, ...]:
    """Warnings about settings that are allowed but have no effect."""
    if settings.wake_words.strip() and not settings.wake_words_enabled:
        return (f"wake_words: {settings.wake_words!r} has no effect while wakeword_backend is empty",)
    return ()


def public_settings(settings: Settings) -> dict[str, object]:
    """Settings that clients may see, by name. See docs/protocol.md, GET /api/config."""
    shown = {d.name: getattr(settings, d.name) for d in declarations() if d.public}
    return shown | {"wake_word_enabled": settings.wake_words_enabled}


@cache
def runtime_settings() -> dict[str, list[str]]:
    """Setting names by runtime class, sorted. Always the same object: do not change it."""
    return {runtime.value: sorted(d.name for d in declarations() if d.runtime is runtime) for runtime in RuntimeClass}
