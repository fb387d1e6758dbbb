"""Words of a transcript as Deepgram gives them, and its numbers. Pure."""

import re
from collections.abc import Sequence

from trio_stt.api.deepgram.messages import Alternative, Word
from trio_stt.protocol import word_times
from trio_stt.protocol.transcript_formats import SpokenSegment

_STEPS_PER_S = 1024
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def exact_s(seconds: float) -> float:
    """Round to 1/1024 s: sums and differences of such times are exact, so that no end lies before another by a bit."""
    return round(seconds * _STEPS_PER_S) / _STEPS_PER_S


def alternative(segment: SpokenSegment) -> Alternative:
    """The text of an utterance with its words, all of them within its time.

    Where the engine has no confidences, they are 1: clients calculate with them, and some drop what has 0.
    """
    words = [
        Word(
            word=_EDGES.sub("", word.text).lower() or word.text,
            start=exact_s(word.start),
            end=exact_s(word.end),
            confidence=1.0 if word.confidence is None else word.confidence,
            punctuated_word=word.text,
        )
        for word in word_times.words_of(segment)
    ]
    return Alternative(transcript=segment.text, confidence=confidence_of(words), words=words)


def confidence_of(words: Sequence[Word]) -> float:
    """The mean over the words; 0 where there are none."""
    return round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0
