"""Times of words: the engine's where it gives some, else estimates within the utterance. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from trio_stt.protocol.transcript_formats import SpokenSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a transcript.

    Attributes:
        text: The word with its punctuation.
        start: Where it begins, in seconds from the start of the file.
        end: Where it ends, in seconds; not before `start`.
        confidence: The engine's, 0 to 1, or None.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None


def words_of(segment: SpokenSegment) -> list[Word]:
    """The words of an utterance, in order, within its time.

    Engines give times of words, of phrases, or none. The words of a phrase, or of the whole utterance, share its time
    by their number of characters.
    """
    words: list[Word] = []
    for piece in segment.pieces:
        confidence = None if piece.confidence is msgspec.UNSET else piece.confidence
        start = min(max(piece.start_seconds, segment.start), segment.end)
        end = min(max(piece.end_seconds, start), segment.end)
        words += _spread(piece.text, start, end, confidence)
    return words or list(_spread(segment.text, segment.start, segment.end, None))


def _spread(text: str, start: float, end: float, confidence: float | None) -> Iterator[Word]:
    words = text.split()
    # A space belongs to the word before it, so that one-letter words do not become points.
    lengths = [len(word) + 1 for word in words]
    total, done = sum(lengths), 0
    for word, length in zip(words, lengths, strict=True):
        begins = start + (end - start) * done / total
        done += length
        yield Word(text=word, start=begins, end=start + (end - start) * done / total, confidence=confidence)
