"""The messages of `/v1/listen`: those of clients, parsed, and those of the server. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from trio_stt.errors import CommandError
from trio_stt.protocol.json_text import json_object

MAX_MESSAGE_CHARACTERS = 65_536
"""Longest text frame that is parsed; a `Configure` with all its terms is far shorter."""
_MAX_BINARY_COMMAND_BYTES = 200
"""Old clients send commands as binary frames. Audio hardly ever begins like JSON, and never is JSON."""
MAX_KEYTERMS = 500
"""Terms of a client."""
MAX_KEYTERM_CHARACTERS = 10_000
"""Of all terms together, which become a prompt: as a prompt of `start`."""
KEYTERM_LIMITS = f"at most {MAX_KEYTERMS} texts, together of at most {MAX_KEYTERM_CHARACTERS} characters"
_SHOWN_CHARACTERS = 200


class Control(StrEnum):
    """A message without fields that matter here; the value is its `type`."""

    KEEP_ALIVE = "KeepAlive"
    FINALIZE = "Finalize"
    CLOSE_STREAM = "CloseStream"


@dataclass(frozen=True, slots=True)
class Configure:
    """Changes options of a running stream; None leaves them as they are."""

    keyterms: tuple[str, ...] | None


ClientMessage = Control | Configure


class KeytermsError(CommandError):
    """A `Configure` has more terms than it may have, or longer ones."""


_CONFIGURE = "Configure"
_CLOSE_STREAM = '{"type":"CloseStream"}'
_KNOWN = ", ".join([*Control, _CONFIGURE])


class _Typed(msgspec.Struct):
    type: object


def parse_message(text: str) -> ClientMessage:
    """Parse a message of a client.

    Raises:
        KeytermsError: It is a `Configure` whose terms are too many or too long.
        CommandError: It is not JSON, not an object, of an unknown type, or with an invalid field.
    """
    if len(text) > MAX_MESSAGE_CHARACTERS:
        raise CommandError(f"message longer than {MAX_MESSAGE_CHARACTERS} characters")
    fields = json_object(text, "message", CommandError)
    kind = fields.get("type")
    if kind == _CONFIGURE:
        return Configure(_keyterms(fields.get("keyterms")))
    try:
        return Control(kind)  # type: ignore[arg-type] # any JSON value may stand there; an unknown one raises
    except ValueError:
        raise CommandError(f"unknown type {repr(kind)[:60]}; known are {_KNOWN}") from None


def binary_text(data: bytes) -> str | None:
    """The text of a message in a binary frame; None for audio.

    An empty frame is `CloseStream`, as in Deepgram's first API. An unknown message is none of the audio either: its
    bytes would shift the samples behind it.
    """
    if not data:
        return _CLOSE_STREAM
    if len(data) >= _MAX_BINARY_COMMAND_BYTES or not data.startswith(b"{"):
        return None
    try:
        msgspec.json.decode(data, type=_Typed)
        return data.decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _keyterms(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        raise CommandError("keyterms must be a list of texts")
    if len(value) > MAX_KEYTERMS or sum(map(len, value)) > MAX_KEYTERM_CHARACTERS:
        raise KeytermsError(f"keyterms may be {KEYTERM_LIMITS}")
    return tuple(value)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the messages of the server."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word; times in seconds from the first sample of the connection or file."""

    word: str
    start: float
    end: float
    confidence: float
    punctuated_word: str


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """The text, its confidence from 0 to 1, and its words."""

    transcript: str
    confidence: float
    words: list[Word]


class Channel(msgspec.Struct, frozen=True):
    """The text of a channel, or of all of them mixed, with its only alternative."""

    alternatives: list[Alternative]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What transcribes: the loaded model, the version of this server, and the engine."""

    name: str
    version: str
    arch: str


class ResultMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The same in all results of a connection."""

    request_id: str
    model_uuid: str
    model_info: ModelInfo


class Results(Message, frozen=True, kw_only=True, tag="Results"):
    """The text of an utterance: so far, or at its end. No field is ever absent or null: clients rely on it."""

    channel_index: tuple[int, int]
    duration: float
    start: float
    is_final: bool
    speech_final: bool
    from_finalize: bool
    channel: Channel
    metadata: ResultMetadata


class SpeechStarted(Message, frozen=True, kw_only=True, tag="SpeechStarted"):
    """An utterance has begun."""

    channel: tuple[int, int]
    timestamp: float


class UtteranceEnd(Message, frozen=True, kw_only=True, tag="UtteranceEnd"):
    """Nothing was said for `utterance_end_ms` after the last word."""

    channel: tuple[int, int]
    last_word_end: float


class Metadata(Message, frozen=True, kw_only=True, tag="Metadata"):
    """The last message."""

    transaction_key: str = "deprecated"
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int


class ConfigureSuccess(Message, frozen=True, kw_only=True, omit_defaults=True, tag="ConfigureSuccess"):
    """Answer to `Configure`; `keyterms` if they were replaced."""

    request_id: str
    keyterms: tuple[str, ...] | None = None


class ConfigureFailure(Message, frozen=True, kw_only=True, tag="ConfigureFailure"):
    """Answer to a `Configure` that is understood and not possible; nothing of it has an effect."""

    request_id: str
    code: str = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
    description: str


class ErrorMessage(Message, frozen=True, kw_only=True, tag="Error"):
    """A message was not understood, or accepted audio could not be transcribed.

    Attributes:
        variant: `SchemaError` for a message of the client; `DATA-0000` for audio that cannot be decoded; else
            `ServerError`.
        description: What is wrong.
        message: The beginning of the message that was not understood; else the description again.
    """

    variant: str
    description: str
    message: str


def schema_error(frame: str, error: CommandError) -> ErrorMessage:
    """The answer to a message that was not understood."""
    return ErrorMessage(variant="SchemaError", description=str(error), message=frame[:_SHOWN_CHARACTERS])


def fault(variant: str, description: str) -> ErrorMessage:
    """Another error."""
    return ErrorMessage(variant=variant, description=description, message=description)


def encode(message: Message) -> str:
    """The text of a frame."""
    return msgspec.json.encode(message).decode()
