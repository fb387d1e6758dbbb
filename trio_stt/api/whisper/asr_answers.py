"""The answers of whisper-asr-webservice's routes. Pure: segments in, text out."""

from collections.abc import Sequence

import msgspec

from trio_stt.api.openai.answers import WhisperSegment, WhisperWord, joined_text, whisper_segments
from trio_stt.api.whisper.asr_request import AsrRequest, Output
from trio_stt.protocol.subtitles import as_srt, as_vtt
from trio_stt.protocol.transcript_formats import SpokenSegment, as_text
from trio_stt.protocol.word_times import words_of


class AsrTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """What Whisper's own `transcribe` returns: the answer of `/asr` with `output=json`."""

    text: str
    segments: Sequence[WhisperSegment]
    language: str


class DetectedLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/detect-language`."""

    detected_language: str
    language_code: str
    confidence: float


def as_tsv(segments: Sequence[SpokenSegment]) -> str:
    """Tab-separated values with a header: start and end in whole milliseconds, then the text."""
    rows = [f"{round(s.start * 1000)}\t{round(s.end * 1000)}\t{s.text.replace(chr(9), ' ')}\n" for s in segments]
    return "".join(["start\tend\ttext\n", *rows])


def asr_body(wanted: AsrRequest, segments: Sequence[SpokenSegment], *, language: str) -> bytes:
    """The body of an answer of `/asr`.

    Args:
        wanted: What the client asked for.
        segments: The utterances, in order.
        language: Code of the language; empty where it is not known.
    """
    match wanted.output:
        case Output.TXT:
            text = as_text(segments)
        case Output.VTT:
            text = as_vtt(segments)
        case Output.SRT:
            text = as_srt(segments)
        case Output.TSV:
            text = as_tsv(segments)
        case Output.JSON:
            return _json(segments, language=language, with_words=wanted.with_words)
    return text.encode()


def _json(segments: Sequence[SpokenSegment], *, language: str, with_words: bool) -> bytes:
    rows = whisper_segments(segments)
    if with_words:
        rows = [
            msgspec.structs.replace(row, words=_words(segment)) for row, segment in zip(rows, segments, strict=True)
        ]
    return msgspec.json.encode(AsrTranscript(text=joined_text(segments), segments=rows, language=language))


def _words(segment: SpokenSegment) -> list[WhisperWord]:
    return [
        WhisperWord(
            f" {word.text}",
            round(word.start, 3),
            round(word.end, 3),
            1.0 if word.confidence is None else word.confidence,
        )
        for word in words_of(segment)
    ]
