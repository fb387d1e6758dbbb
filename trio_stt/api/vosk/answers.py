"""The answers of vosk-server. Pure: segments in, JSON out."""

from collections.abc import Sequence

import msgspec

from trio_stt.protocol.scripts import joined
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.protocol.word_times import words_of


class _Word(msgspec.Struct, frozen=True):
    conf: float
    end: float
    start: float
    word: str


class _Result(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    result: Sequence[_Word] = ()
    text: str
    error: str = ""


class _Alternatives(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    alternatives: "Sequence[_Alternative]"
    error: str = ""


class _Alternative(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    confidence: float
    result: Sequence[_Word] = ()
    text: str


def partial_result(text: str) -> str:
    """The words so far of an utterance that runs; empty between two."""
    return msgspec.json.encode({"partial": text}).decode()


def result(segments: Sequence[SpokenSegment], *, with_words: bool, with_alternatives: bool, error: str = "") -> str:
    """The text of utterances, with the times of their words; empty without any.

    Args:
        segments: In order.
        with_words: Whether words have their times.
        with_alternatives: Whether the client asked for alternatives; the engines here give one.
        error: Why words are missing; vosk-server has no such field.
    """
    text = joined(segment.text for segment in segments)
    words = [
        _Word(
            conf=1.0 if word.confidence is None else word.confidence,
            end=round(word.end, 3),
            start=round(word.start, 3),
            word=word.text,
        )
        for segment in segments
        for word in words_of(segment)
    ]
    shown = words if with_words else ()
    if not with_alternatives:
        return msgspec.json.encode(_Result(result=shown, text=text, error=error)).decode()
    confidence = sum(word.conf for word in words) / len(words) if words else 1.0
    alternative = _Alternative(confidence=confidence, result=shown, text=text)
    return msgspec.json.encode(_Alternatives(alternatives=[alternative], error=error)).decode()
