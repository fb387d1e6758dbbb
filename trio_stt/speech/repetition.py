"""Text that is not words: an engine in a loop, or nothing that could be spoken.

Recognisers that generate text may fall into a loop on noise, music or clips longer than they were trained on, and say
one phrase until their limit. It owns what counts as a loop; what becomes of refused text is its caller's business.
"""

from enum import StrEnum

from trio_stt.speech.text import normalized_text, words

_ALLOWED = {1: 9, 2: 6, 3: 5}
_ALLOWED_LONG = 4
"""How often a person may say a phrase in a row, by its number of words, before it is taken for a loop.

Set between people and engines. People: "no, no, no, no", laughter, "one two one two", choruses and "never" five times
over (King Lear) stay below; so do all transcripts of the test readings, in which no phrase comes more than twice in a
row. Loops: Moonshine on 10 s and more of buzzing and throbbing tones, on a second of speech over and over and on clips
of 60 s and more repeats a phrase 14 to 168 times.
"""
_LONGEST_PHRASE = 30
"""Words; loops of whole sentences are this long at most."""
_HYPHENS = str.maketrans("-\u2010\u2011\u2012\u2013\u2014", " " * 6)  # "mm-mm-mm" says "mm" three times


class RejectedText(StrEnum):
    """Why text is not words."""

    NO_WORDS = "no_words"
    REPETITION = "repetition"


def rejected_text(text: str) -> RejectedText | None:
    """Tell why a partial or final must not be published as words; None where it may be.

    Args:
        text: What an engine heard.

    Returns:
        `NO_WORDS` for text without a letter or number: nothing, punctuation, notes of music. `REPETITION` for text in
        which a phrase of up to 30 words follows itself more often than a person would say it.
    """
    if not any(character.isalnum() for character in text):
        return RejectedText.NO_WORDS
    normal = normalized_text(text.translate(_HYPHENS)).normal
    said = [normal[start:end] for start, end in words(normal)]
    if any(_repeats(said, size) > _ALLOWED.get(size, _ALLOWED_LONG) for size in range(1, _LONGEST_PHRASE + 1)):
        return RejectedText.REPETITION
    return None


def _repeats(said: list[str], size: int) -> int:
    """How often a phrase of `size` words follows itself in a row, at most."""
    longest = run = 0
    for earlier, later in zip(said, said[size:], strict=False):
        run = run + 1 if earlier == later else 0
        longest = max(longest, run)
    return longest // size + 1
