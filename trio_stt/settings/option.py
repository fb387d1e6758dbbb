"""What a setting is made of: its runtime class, its flags, and the types that several settings share.

It must not declare a setting; the modules beside it do.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "TRIO_STT_"

MAX_SECONDS = 3600.0
"""Upper bound of every duration: an hour. Longer ones are typing errors."""


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
        flags: Command-line spellings, the preferred one first. A boolean's flag takes no value and turns it away
            from its default. A setting without flags is shown only: nothing sets it, not even the environment.
        public: Whether `/api/config` and `hello` show it; engine options may hold tokens.
    """

    runtime: RuntimeClass
    flags: tuple[str, ...]
    public: bool = True


class SettingsGroup(BaseSettings):
    """Base of the groups of settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


def active(*flags: str) -> Option:
    """A setting that running sessions follow at once."""
    return Option(RuntimeClass.ACTIVE, flags)


def new_sessions(*flags: str) -> Option:
    """A setting that a session takes once, when it is admitted."""
    return Option(RuntimeClass.NEW_SESSIONS, flags)


def startup(*flags: str, public: bool = True) -> Option:
    """A setting that only a restart changes."""
    return Option(RuntimeClass.STARTUP, flags, public)


def spelled(value: object) -> object:
    """A name in the one spelling that we use: lower case, underscores."""
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else value


def listed(text: str) -> list[str]:
    """What a list separated by commas holds, without the space around it; empty places count for nothing."""
    return [item.strip() for item in text.split(",") if item.strip()]


def blank_is_none(value: object) -> object:
    """None for text that is empty, as an empty variable is."""
    return None if isinstance(value, str) and not value.strip() else value


def json_object(value: object) -> object:
    """The object that a text holds, for flags and the environment.

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


def numbers(value: object) -> object:
    """The numbers of a text, for flags and the environment; empty text has none.

    Raises:
        ValueError: The text is no list of numbers.
    """
    if not isinstance(value, str):
        return value
    try:
        return [float(item) for item in value.split(",")] if value.strip() else []
    except ValueError:
        raise ValueError("is not a list of numbers separated by commas") from None


OptionalText = Annotated[Annotated[str, Field(max_length=4096)] | None, BeforeValidator(blank_is_none)]
"""Text that may be absent; bounded, as each session's greeting carries it."""
