"""Reports about settings: frozen bodies of `/api/config`, and of the answers to a `PATCH` of it.

See docs/protocol.md, HTTP routes. Fields marked "Added" are not in RealtimeSTT's protocol.
"""

from typing import Literal

from trio_stt.protocol.reports import Limits, Report


class SettingSchema(Report, frozen=True, kw_only=True):
    """Declaration of one public setting. Added.

    Attributes:
        runtime_class: When a change takes effect: a key of `ConfigReport.runtime_settings`.
        group: Group of the setting, such as `server` or `speech`.
        type: JSON type, with integers told apart; `numbers` is a list of numbers.
        nullable: Whether null is allowed.
        minimum: Smallest number, or smallest item of a list; null if there is no bound.
        exclusive_minimum: Whether `minimum` itself is too small.
        maximum: Largest number, likewise.
        max_length: Maximum length of a text in characters, of a list in items.
        choices: Allowed texts; empty if any is.
        default: The declared default; a tuning profile may have another.
        label: Its name for people.
        unit: Unit of the value, such as s; empty without one.
        help: One sentence for people.
        flag: Preferred flag of the command line; empty if the setting cannot be set.
        environment: Environment variable, likewise.
    """

    runtime_class: Literal["activeSessionSafe", "newSessionOnly", "startupOnly"]
    group: str
    type: Literal["boolean", "integer", "number", "text", "numbers"]
    nullable: bool
    minimum: float | None
    exclusive_minimum: bool
    maximum: float | None
    max_length: int | None
    choices: tuple[str, ...]
    default: object
    label: str
    unit: str
    help: str
    flag: str
    environment: str


class ConfigReport(Report, frozen=True, kw_only=True):
    """Body of `GET /api/config`. `schema` holds every public setting in the order of declaration. Added."""

    settings: dict[str, object]
    limits: Limits
    supported_engines: tuple[str, ...]
    runtime_settings: dict[str, list[str]]
    schema: dict[str, SettingSchema]


class AppliedSetting(Report, frozen=True, kw_only=True):
    """A change that was applied."""

    value: object
    applies_to: Literal["active_sessions", "new_sessions"]


class RejectedSetting(Report, frozen=True, kw_only=True):
    """A change that was rejected."""

    reason: str
    message: str


class ConfigUpdateReport(Report, frozen=True, kw_only=True):
    """Body of the answer to `PATCH /api/config`.

    Attributes:
        applied: Applied changes by setting name.
        rejected: Rejected changes by requested name.
        settings: Public settings after the change.
        runtime_settings: As in `ConfigReport`.
        warnings: Changes that were applied but have no effect yet. Added.
    """

    applied: dict[str, AppliedSetting]
    rejected: dict[str, RejectedSetting]
    settings: dict[str, object]
    runtime_settings: dict[str, list[str]]
    warnings: tuple[str, ...]


class InvalidSettings(Report, frozen=True, kw_only=True):
    """Body of the answer to a `PATCH /api/config` whose `settings` is no object."""

    error: str


class InvalidPart(Report, frozen=True, kw_only=True):
    """What is wrong with a body: a word for programs, the place, and a text for people."""

    type: str
    loc: tuple[str, ...]
    msg: str


class InvalidBody(Report, frozen=True, kw_only=True):
    """Body of the answer to a `PATCH /api/config` that is no JSON object."""

    detail: tuple[InvalidPart, ...]
