"""Reading the configuration: flags over environment over defaults, and what clients may see of it.

It turns validation failures into one line that names the flag or variable. It must not declare settings (`settings`
does) and must not parse the command line itself (`cli` does).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from trio_stt.errors import SettingError
from trio_stt.settings import ENV_PREFIX, Option, RuntimeClass, Settings

_TEST_PREFIX = "TRIO_STT_TEST_"  # read by the tests, never by the server


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting, as the command line, the API and the documentation need it."""

    name: str
    option: Option
    field: FieldInfo

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper()

    @property
    def is_flag_only(self) -> bool:
        """Whether its flag takes no value."""
        return self.field.annotation is bool

    @property
    def help(self) -> str:
        """One sentence for people."""
        return self.field.description or ""


def declarations() -> tuple[Declaration, ...]:
    """Every setting, in the order of the class."""
    found = []
    for name, field in Settings.model_fields.items():
        option = next(item for item in field.metadata if isinstance(item, Option))
        found.append(Declaration(name, option, field))
    return tuple(found)


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from flags over the environment over defaults.

    Args:
        flags: What the command line gave, by setting name; text is parsed, booleans may be booleans.

    Raises:
        SettingError: One line naming the flag or variable, the value and what is allowed.
    """
    flags = flags or {}
    known = {declaration.env for declaration in declarations()}
    for variable in sorted(os.environ):
        if variable.startswith(ENV_PREFIX) and not variable.startswith(_TEST_PREFIX) and variable not in known:
            raise SettingError(f"{variable}: no such setting")
    try:
        return Settings(**flags)
    except ValidationError as error:
        raise SettingError(_explain(error, frozenset(flags))) from None


def _explain(error: ValidationError, from_flags: frozenset[str]) -> str:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:  # a combination: the message names the setting itself
        name, _, rest = first["msg"].removeprefix("Value error, ").partition(": ")
        return f"{_public_name(name, from_flags)}: {rest}"
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = repr(first["input"])
    return f"{_public_name(str(first['loc'][0]), from_flags)}: {shown[:80]} is not allowed; expected {reason}"


def _public_name(name: str, from_flags: frozenset[str]) -> str:
    for declaration in declarations():
        if declaration.name == name:
            return declaration.option.flags[0] if name in from_flags else declaration.env
    return name


def public_settings(settings: Settings) -> dict[str, object]:
    """The settings that clients may see, by name. Contract: section 1.2."""
    shown = {d.name: getattr(settings, d.name) for d in declarations() if d.option.public}
    return shown | {"wake_word_enabled": False}


def runtime_settings() -> dict[str, list[str]]:
    """Names by runtime class, sorted. Contract: section 1.2."""
    return {
        runtime.value: sorted(d.name for d in declarations() if d.option.runtime is runtime) for runtime in RuntimeClass
    }
