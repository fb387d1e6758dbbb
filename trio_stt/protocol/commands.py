"""Parses text frames of clients into frozen commands. See docs/protocol.md, Commands."""

from dataclasses import dataclass, field, fields
from enum import StrEnum

from msgspec import UNSET, UnsetType

from trio_stt.errors import CommandError
from trio_stt.protocol.json_text import json_object
from trio_stt.settings.speech_settings import Endpointing

MAX_COMMAND_BYTES = 65_536
"""Longest text frame that is parsed, in characters; every command is far shorter."""
MAX_FLUSH_ID_CHARACTERS = 256
MAX_TOKEN_CHARACTERS = 256
MAX_LANGUAGE_CHARACTERS = 64
MAX_PROMPT_CHARACTERS = 10_000
"""Longest `prompt` of a `start`. Models use far less: Whisper reads the last 224 tokens, about 1,000 characters."""

_SHOWN_CHARACTERS = 60


class Command(StrEnum):
    """A command without fields; the value is its `type` on the wire."""

    STOP = "stop"
    CLEAR = "clear"
    PING = "ping"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Accepts audio from here on. RealtimeSTT has no fields.

    Attributes:
        language: Language of the session's utterances, by any of its names; `auto` lets the model detect it.
        prompt: Primes the models.
        interim: Whether partials are made.
        translate: Whether finals are translated to English, where the engine does. Not on the wire: for uploads.
        endpointing: What ends utterances, as the setting of this name.

    Each is None to take the setting again, and UNSET to leave what an earlier `start` chose.
    """

    language: str | UnsetType | None = UNSET
    prompt: str | UnsetType | None = UNSET
    interim: bool | UnsetType | None = UNSET
    translate: bool | UnsetType | None = UNSET
    endpointing: Endpointing | UnsetType | None = UNSET

    def after(self, earlier: "Start") -> "Start":
        """Both in one: the fields of `earlier` where this one has none."""
        chosen = ((each.name, getattr(self, each.name)) for each in fields(self))
        return Start(**{name: getattr(earlier, name) if value is UNSET else value for name, value in chosen})


@dataclass(frozen=True, slots=True)
class Flush:
    """Ends the running utterance; `flushed` with this id follows its final. Not in RealtimeSTT."""

    id: str | int | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Continues an earlier session, whose events up to `seq` the client has. Not in RealtimeSTT."""

    token: str = field(repr=False)
    seq: int


_START = "start"
_FLUSH = "flush"
_RESUME = "resume"
_KNOWN = ", ".join([_START, *Command, _FLUSH, _RESUME])


def parse_command(text: str) -> Command | Start | Flush | Resume:
    """Parse a text frame.

    Raises:
        CommandError: The text is not JSON, not an object, of an unknown type, or with an invalid field.
    """
    if len(text) > MAX_COMMAND_BYTES:
        raise CommandError(f"command longer than {MAX_COMMAND_BYTES} characters")
    values = json_object(text, "command", CommandError)
    kind = values.get("type")
    if kind == _START:
        return Start(
            language=_text(values, "language", MAX_LANGUAGE_CHARACTERS),
            prompt=_text(values, "prompt", MAX_PROMPT_CHARACTERS),
            interim=_interim(values.get("interim", UNSET)),
            endpointing=_endpointing(values.get("endpointing", UNSET)),
        )
    if kind == _FLUSH:
        return Flush(_flush_id(values.get("id")))
    if kind == _RESUME:
        return Resume(_token(values.get("token")), _seq(values.get("seq")))
    try:
        return Command(kind)  # type: ignore[arg-type] # any JSON value may stand there; an unknown one raises
    except ValueError:
        shown = repr(kind)[:_SHOWN_CHARACTERS]
        raise CommandError(f"unknown command type {shown}; known are {_KNOWN}") from None


def _text(values: dict[str, object], name: str, longest: int) -> str | UnsetType | None:
    value = values.get(name, UNSET)
    if value is None or value is UNSET or (isinstance(value, str) and len(value) <= longest):
        return value
    raise CommandError(f"start {name} must be a string of at most {longest} characters or null")


def _interim(value: object) -> bool | UnsetType | None:
    if value is None or value is UNSET or isinstance(value, bool):
        return value
    raise CommandError("start interim must be true, false or null")


def _endpointing(value: object) -> Endpointing | UnsetType | None:
    if value in ("fixed", "adaptive") or value is None or value is UNSET:
        return value
    raise CommandError("start endpointing must be fixed, adaptive or null")


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
