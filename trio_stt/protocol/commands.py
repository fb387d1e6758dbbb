"""Parses text frames of clients into frozen commands. See docs/protocol.md, Commands."""

from dataclasses import dataclass, field
from enum import StrEnum

from trio_stt.errors import CommandError
from trio_stt.protocol.json_text import json_object

MAX_COMMAND_BYTES = 65_536
"""Longest text frame that is parsed, in characters; every command is far shorter."""
MAX_FLUSH_ID_CHARACTERS = 256
MAX_TOKEN_CHARACTERS = 256

_SHOWN_CHARACTERS = 60


class Command(StrEnum):
    """A command without fields; the value is its `type` on the wire."""

    START = "start"
    STOP = "stop"
    CLEAR = "clear"
    PING = "ping"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Flush:
    """Ends the running utterance; `flushed` with this id follows its final. Not in RealtimeSTT."""

    id: str | int | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Continues an earlier session, whose events up to `seq` the client has. Not in RealtimeSTT."""

    token: str = field(repr=False)
    seq: int


_FLUSH = "flush"
_RESUME = "resume"
_KNOWN = ", ".join([*Command, _FLUSH, _RESUME])


def parse_command(text: str) -> Command | Flush | Resume:
    """Parse a text frame.

    Raises:
        CommandError: The text is not JSON, not an object, of an unknown type, or with an invalid field.
    """
    if len(text) > MAX_COMMAND_BYTES:
        raise CommandError(f"command longer than {MAX_COMMAND_BYTES} characters")
    fields = json_object(text, "command", CommandError)
    kind = fields.get("type")
    if kind == _FLUSH:
        return Flush(_flush_id(fields.get("id")))
    if kind == _RESUME:
        return Resume(_token(fields.get("token")), _seq(fields.get("seq")))
    try:
        return Command(kind)  # type: ignore[arg-type] # any JSON value may stand there; an unknown one raises
    except ValueError:
        shown = repr(kind)[:_SHOWN_CHARACTERS]
        raise CommandError(f"unknown command type {shown}; known are {_KNOWN}") from None


def _flush_id(value: object) -> str | int | None:
    if isinstance(value, str) and len(value) <= MAX_FLUSH_ID_CHARACTERS:
        return value
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63):
        return value
    allowed = f"a string of at most {MAX_FLUSH_ID_CHARACTERS} characters, an integer of 64 bits or null"
    raise CommandError(f"flush id must be {allowed}")


def _token(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_TOKEN_CHARACTERS:
        return value
    raise CommandError(f"resume token must be a string of at most {MAX_TOKEN_CHARACTERS} characters")


def _seq(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    raise CommandError("resume seq must be an integer of 0 or more")
