"""Reading the configuration: flags over environment over profile over defaults, and what clients may see of it.

It turns validation failures into one line that names the flag or variable. It must not declare settings (`settings`
does), parse the command line (`cli` does) or change what is in force (`revision` does). See docs/protocol.md, Settings.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from trio_stt.errors import SettingError
from trio_stt.settings import ENV_PREFIX, Conflict, Option, RuntimeClass, Settings

_TEST_PREFIX = "TRIO_STT_TEST_"  # read by the tests, never by the server
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting, as the command line, the API and the documentation need it."""

    name: str
    option: Option
    field: FieldInfo
    group: str
    """What it belongs to: the module of `settings` that declares it."""

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper()

    @property
    def is_settable(self) -> bool:
        """Whether people set it; what follows from other settings is only shown."""
        return bool(self.option.flags)

    @property
    def is_flag_only(self) -> bool:
        """Whether its flag takes no value."""
        return self.field.annotation is bool

    @property
    def help(self) -> str:
        """One sentence for people."""
        return self.field.description or ""

    @property
    def json_schema(self) -> dict[str, Any]:
        """Its type and range as JSON Schema has them; what may be null is an `anyOf`."""
        declared: Any = Annotated[self.field.annotation, *self.field.metadata]
        return TypeAdapter(declared).json_schema()

    @property
    def default_text(self) -> str:
        """The default as people write it; empty where there is none to speak of."""
        default = self.field.default
        if isinstance(default, bool):
            return "on" if default else "off"
        if isinstance(default, tuple):
            return ",".join(f"{item:g}" for item in default)
        return "" if default is None else str(default)


@cache
def declarations() -> tuple[Declaration, ...]:
    """Every setting, in the order of the classes."""
    groups = {
        name: declaring.__module__.rpartition(".")[2]
        for declaring in Settings.__mro__
        for name in vars(declaring).get("__annotations__", {})
    }
    found = []
    for name, field in Settings.model_fields.items():
        option = next(item for item in field.metadata if isinstance(item, Option))
        found.append(Declaration(name, option, field, groups[name]))
    return tuple(found)


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from flags over the environment over the profile over defaults.

    Args:
        flags: What the command line gave, by setting name; text is parsed, booleans may be booleans.

    Raises:
        SettingError: One line naming the flag or variable, the value and what is allowed.
    """
    flags = flags or {}
    known = {declaration.env for declaration in declarations() if declaration.is_settable}
    for variable in sorted(os.environ):
        if variable.startswith(ENV_PREFIX) and not variable.startswith(_TEST_PREFIX) and variable not in known:
            raise SettingError(f"{variable}: no such setting")
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise SettingError(_explain(error, frozenset(flags))) from None
    if str(flags.get("wake_words", "")).strip() and "wakeword_backend" not in settings.model_fields_set:
        return settings.model_copy(update={"wakeword_backend": "pvporcupine"})
    return settings


def reason_of(error: ValidationError) -> str:
    """What is wrong with one value, in a line that shows it."""
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
        return f"{_public_name(str(first['loc'][0]), from_flags)}: {reason_of(error)}"
    given = from_flags | {d.name for d in declarations() if d.env in os.environ}
    blamed = next((name for name in conflict.names if name in given), conflict.names[0])
    return f"{_public_name(blamed, from_flags)}: {conflict}"


def _public_name(name: str, from_flags: frozenset[str]) -> str:
    for declaration in declarations():
        if declaration.name == name:
            return declaration.option.flags[0] if name in from_flags else declaration.env
    return name


def wake_words_enabled(settings: Settings) -> bool:
    """Whether sessions wait for a wake word: a backend is named. Words alone change nothing."""
    return bool(settings.wakeword_backend)


def notices(settings: Settings) -> tuple[str, ...]:
    """What is allowed, but hardly meant; sentences for people."""
    if settings.wake_words.strip() and not wake_words_enabled(settings):
        return (f"wake_words: {settings.wake_words!r} stays inactive while wakeword_backend is empty",)
    return ()


def public_settings(settings: Settings) -> dict[str, object]:
    """The settings that clients may see, by name. See docs/protocol.md, GET /api/config."""
    shown = {d.name: getattr(settings, d.name) for d in declarations() if d.option.public}
    return shown | {"wake_word_enabled": wake_words_enabled(settings)}


@cache
def runtime_settings() -> dict[str, list[str]]:
    """Names by runtime class, sorted; always the same object, to read only. See docs/protocol.md, GET /api/config."""
    return {
        runtime.value: sorted(d.name for d in declarations() if d.option.runtime is runtime) for runtime in RuntimeClass
    }
