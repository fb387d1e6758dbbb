"""What Wyoming's servers send."""

from typing import Any

import msgspec

from trio_stt.api.wyoming.framing import encode


class ErrorCode:
    """Codes of `error` events."""

    FULL = "server-full"
    CLOSING = "server-closing"
    INVALID = "invalid-request"
    SILENT = "timeout"
    ENGINE = "transcription-failed"
    NO_WAKE_WORDS = "no-wake-words"


Context = dict[str, Any]
"""Of a client, returned to it as it was."""


class _Start(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    language: str | None = None
    context: Context | None = None


class _Transcript(_Start, frozen=True, kw_only=True, omit_defaults=True):
    text: str


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    code: str


class _Detection(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    timestamp: int
    speaker: str | None = None


def pong(text: str | None) -> bytes:
    """The answer to `ping`."""
    return encode("pong", {"text": text})


def error(text: str, code: str) -> bytes:
    """Why there is no answer."""
    return encode("error", _Error(text=text, code=code))


def transcript_start(language: str | None, context: Context | None) -> bytes:
    """The first of the events that stream a transcript."""
    return encode("transcript-start", _Start(language=language, context=context))


def transcript_chunk(text: str) -> bytes:
    """The next piece of a transcript, with its spaces."""
    return encode("transcript-chunk", {"text": text})


def transcript(text: str, language: str | None, context: Context | None) -> bytes:
    """A transcript."""
    return encode("transcript", _Transcript(text=text, language=language, context=context))


def transcript_stop() -> bytes:
    """The last of the events that stream a transcript."""
    return encode("transcript-stop")


def detection(word: str, timestamp_ms: int) -> bytes:
    """A wake word."""
    return encode("detection", _Detection(name=word, timestamp=timestamp_ms))


def not_detected() -> bytes:
    """The end of audio without a wake word."""
    return encode("not-detected")
