"""The answers of the transcription route: bodies in each format, and events of a stream. Pure."""

import math
import zlib
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from trio_stt.api.openai.transcription_request import ResponseFormat, TranscriptionRequest
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.http_errors import ErrorBody
from trio_stt.protocol.scripts import joined, space_between
from trio_stt.protocol.subtitles import as_srt, as_vtt
from trio_stt.protocol.transcript_formats import SpokenSegment, as_text
from trio_stt.protocol.word_times import words_of


class Logprob(msgspec.Struct, frozen=True):
    """One piece of the text; `bytes` are its UTF-8 bytes."""

    token: str
    bytes: list[int]
    logprob: float


class Usage(msgspec.Struct, frozen=True):
    """What a request is counted by: the seconds of its sound."""

    seconds: float
    type: str = "duration"


class SpokenLanguage(msgspec.Struct, frozen=True):
    """A language that the model detected, by its code."""

    code: str


class Transcription(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer with the format `json`."""

    text: str
    usage: Usage
    languages: list[SpokenLanguage] | None = None
    logprobs: list[Logprob] | None = None


class TimedWord(msgspec.Struct, frozen=True):
    """A word and its times in seconds."""

    word: str
    start: float
    end: float


class WhisperWord(msgspec.Struct, frozen=True):
    """A word of a segment; its times in seconds, its probability 0 to 1."""

    word: str
    start: float
    end: float
    probability: float


class WhisperSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment with Whisper's ten fields; clients filter hallucinations by the last three of them.

    `words` is for the clients of whisper-asr-webservice that ask for them. `channel` is there where each channel is
    transcribed on its own.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float = 0.0
    words: Sequence[WhisperWord] | UnsetType = UNSET
    channel: int | UnsetType = UNSET


class VerboseTranscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer with the format `verbose_json`; `duration` in seconds."""

    task: str
    language: str
    duration: float
    text: str
    segments: list[WhisperSegment] | None = None
    words: list[TimedWord] | None = None
    usage: Usage


class TextDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="transcript.text.delta"):
    """The text of one more utterance; the deltas of a stream joined are its text.

    With `verbose_json`, which OpenAI does not stream, `start` and `end` are its times in seconds, `duration` is the
    length that the file states, `pieces` are its words or phrases if the engine gives times, and `channel` is its
    channel where each is transcribed on its own.
    """

    delta: str
    logprobs: list[Logprob] | None = None
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    pieces: tuple[Piece, ...] = ()
    channel: int | None = None


class TextDone(msgspec.Struct, frozen=True, omit_defaults=True, tag="transcript.text.done"):
    """The end of a stream.

    With `verbose_json`, `duration` is the length of the sound in seconds, and `warnings` says what could not be read or
    transcribed.
    """

    text: str
    logprobs: list[Logprob] | None = None
    duration: float | None = None
    warnings: list[str] = []


def joined_text(segments: Sequence[SpokenSegment]) -> str:
    """The text of all utterances, with spaces between them where the script has spaces."""
    return joined(segment.text for segment in segments)


def body(
    request: TranscriptionRequest, segments: Sequence[SpokenSegment], *, duration_s: float, language: str
) -> tuple[bytes, str]:
    """The body of an answer, and its content type.

    Args:
        request: What the client asked for.
        segments: The utterances, in order.
        duration_s: Length of the sound in seconds.
        language: For `verbose_json`: the language of the text.
    """
    match request.response_format:
        case ResponseFormat.TEXT:
            has_channels = any(segment.channel is not None for segment in segments)
            text = as_text(segments) if has_channels else f"{joined_text(segments)}\n"
            return text.encode(), "text/plain; charset=utf-8"
        case ResponseFormat.SRT:
            return as_srt(segments).encode(), "text/plain; charset=utf-8"
        case ResponseFormat.VTT:
            return as_vtt(segments).encode(), "text/vtt; charset=utf-8"
        case ResponseFormat.VERBOSE_JSON:
            answer: msgspec.Struct = _verbose(request, segments, duration_s, language)
        case ResponseFormat.JSON:
            answer = Transcription(
                text=joined_text(segments),
                usage=Usage(round(duration_s, 3)),
                languages=detected_languages(segments) or None,
                logprobs=logprobs(segments) if request.with_logprobs else None,
            )
    return msgspec.json.encode(answer), "application/json"


def detected_languages(segments: Sequence[SpokenSegment]) -> list[SpokenLanguage]:
    """The languages that the model detected, in the order in which they were spoken."""
    return [SpokenLanguage(code) for code in dict.fromkeys(segment.language for segment in segments) if code]


def logprobs(segments: Sequence[SpokenSegment]) -> list[Logprob] | None:
    """The pieces of the text with their log probabilities, joined the text; None where the engine gives none."""
    found: list[Logprob] = []
    for segment in segments:
        words = words_of(segment)
        if not words or any(word.confidence is None for word in words):
            return None
        for word in words:
            token = space_between(found[-1].token, word.text) + word.text if found else word.text
            found.append(Logprob(token, list(token.encode()), _log(word.confidence)))
    return found


def sse(event: TextDelta | TextDone | ErrorBody) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % msgspec.json.encode(event)


def _log(confidence: float | None) -> float:
    return math.log(max(confidence or 0.0, 1e-10))


def _verbose(
    request: TranscriptionRequest, segments: Sequence[SpokenSegment], duration_s: float, language: str
) -> VerboseTranscription:
    return VerboseTranscription(
        task="translate" if request.translate else "transcribe",
        language=language,
        duration=round(duration_s, 3),
        text=joined_text(segments),
        segments=whisper_segments(segments) if request.with_segments else None,
        words=[
            TimedWord(word.text, round(word.start, 3), round(word.end, 3))
            for segment in segments
            for word in words_of(segment)
        ]
        if request.with_words
        else None,
        usage=Usage(round(duration_s, 3)),
    )


def whisper_segments(segments: Sequence[SpokenSegment]) -> list[WhisperSegment]:
    """The utterances as Whisper's segments."""
    return [_segment(number, segment) for number, segment in enumerate(segments)]


def _segment(number: int, segment: SpokenSegment) -> WhisperSegment:
    confidences = [word.confidence for word in words_of(segment) if word.confidence is not None]
    text = segment.text.encode()
    return WhisperSegment(
        id=number,
        seek=round(segment.start * 100),
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=f" {segment.text}",
        avg_logprob=sum(map(_log, confidences)) / len(confidences) if confidences else 0.0,
        compression_ratio=round(len(text) / len(zlib.compress(text)), 3) if text else 0.0,
        channel=UNSET if segment.channel is None else segment.channel,
    )
