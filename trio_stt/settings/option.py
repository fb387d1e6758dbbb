"""What a setting is made of: runtime class, flags, and parsers of values that several settings share."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from trio_stt.languages import language_code

MAX_SECONDS = 3600.0
"""Upper bound of every duration, in seconds: an hour. Longer ones are typing errors."""


class RuntimeClass(StrEnum):
    """When a change of a setting takes effect; the value is the key of `runtimeSettings` on the wire."""

    ACTIVE = "activeSessionSafe"
    NEW_SESSIONS = "newSessionOnly"
    STARTUP = "startupOnly"


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is reached from outside.

    Attributes:
        runtime: When a change takes effect.
        flags: Flags of the command line, the preferred one first; None for the one that follows from the name. The flag
            of a boolean takes no value and inverts the default. A setting with an empty tuple cannot be set.
        public: Whether `/api/config` and `hello` show it. Engine options, which may hold tokens, are not public.
    """

    runtime: RuntimeClass
    flags: tuple[str, ...] | None = None
    public: bool = True


class SettingsGroup(BaseModel):
    """Base of the groups of settings. The docstring below a setting is its help, in the documents and on the wire.

    Attributes:
        group: Name of the group on the wire.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        validate_default=True,
        use_attribute_docstrings=True,
    )
    group: ClassVar[str] = ""


def active(*flags: str) -> Option:
    """A setting whose change takes effect at once. Without `flags`, the flag follows from the name."""
    return Option(RuntimeClass.ACTIVE, flags or None)


def new_sessions(*flags: str) -> Option:
    """A setting that a session reads once, when it begins."""
    return Option(RuntimeClass.NEW_SESSIONS, flags or None)


def startup(*flags: str, public: bool = True) -> Option:
    """A setting that needs a restart."""
    return Option(RuntimeClass.STARTUP, flags or None, public)


def not_settable() -> Option:
    """A setting that follows from others."""
    return Option(RuntimeClass.STARTUP, ())


def canonical_name(value: object) -> object:
    """A name in lower case with underscores; other values unchanged."""
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else value


def canonical_language(value: str) -> str:
    """The code of a language by any of its names; `auto` and blank text stay."""
    return language_code(value) or value.strip().lower()


def split_list(text: str) -> list[str]:
    """Items of a list separated by commas, stripped; empty items are left out."""
    return [item.strip() for item in text.split(",") if item.strip()]


def blank_is_none(value: object) -> object:
    """None for blank text, such as an empty variable; other values unchanged."""
    return None if isinstance(value, str) and not value.strip() else value


def parse_json_object(value: object) -> object:
    """The JSON object in a text, for flags and the environment; other values unchanged.

    Raises:
        ValueError: The text is not a JSON object.
    """
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError) as error:
        message = f"is not valid JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(parsed, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - pydantic reports ValueError, not TypeError
    return parsed


def parse_numbers(value: object) -> object:
    """Numbers of a text separated by commas, for flags and the environment; other values unchanged.

    Raises:
        ValueError: The text is not a list of numbers.
    """
    if not isinstance(value, str):
        return value
    try:
        return [float(item) for item in value.split(",")] if value.strip() else []
    except ValueError:
        raise ValueError("is not a list of numbers separated by commas") from None


def require_known_user(value: str | None) -> str | None:
    """Paths, separated by commas, as they are.

    Raises:
        ValueError: One begins with the home folder of a user that does not exist, such as ~nobody.
    """
    for path in split_list(value or ""):
        if path.startswith("~"):
            try:
                Path(path).expanduser()
            except RuntimeError:
                raise ValueError("begins with the home folder of a user that does not exist") from None
    return value


UserPath = AfterValidator(require_known_user)
"""For a setting that is a path, or several: `~` and `~user` stand for home folders."""

OptionalText = Annotated[Annotated[str, Field(max_length=4096)] | None, BeforeValidator(blank_is_none)]
"""Text that may be absent; bounded because every `hello` carries it."""
