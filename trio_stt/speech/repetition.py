"""Detection of hallucinated text: a repetition loop, a phrase or credits invented for noise, or text without words.

Generating speech models may loop on noise, music or clips longer than those of their training, and repeat one phrase up
to their limit. The caller decides what happens to rejected text.
"""

from enum import StrEnum

from trio_stt.speech.text import normalized_text, words

_ALLOWED = {1: 9, 2: 6, 3: 5}
_ALLOWED_LONG = 4
"""Consecutive repetitions of a phrase, by its number of words, that still count as speech.

Set between speech and loops. Speech stays below: "no, no, no, no", laughter, "one two one two", choruses, "never" five
times (King Lear), and all transcripts of the test readings, in which no phrase comes more than twice in a row. In a
loop, Moonshine repeats a phrase 14 to 168 times: on 10 s and more of buzzing and throbbing tones, on a repeated second
of speech, and on clips of 60 s and more.
"""
_LONGEST_PHRASE = 30
"""Words of the longest phrase that is looked for; loops of whole sentences are not longer."""
_HYPHENS = str.maketrans("-\u2010\u2011\u2012\u2013\u2014", " " * 6)  # "mm-mm-mm" is "mm" three times


_PHANTOMS = frozenset(
    [
        "you",
        "thank you",
        "thank you very much",
        "thanks for watching",
        "thank you for watching",
        "thank you so much for watching",
        "please subscribe",
        "bye",
        "bye bye",
        "mm",
        "mm hmm",
        "mmm",
        "hm",
        "hmm",
        "mhm",
        "uh",
        "uh huh",
        "um",
        "huh",
        "ah",
        "eh",
    ]
)
"""What Moonshine and Whisper make of noise, normalised. Of 113 texts for 120 min of animals, instruments and signals,
38 were one of the sounds without a word, from "mm" on. Of 683 pieces of distorted speech, two were, both wrong. "Oh"
and "yeah" are no members: they are answers, and "oh" is a digit."""

_CREDITS = frozenset(
    [
        "transcript emily beynon",
        "subtitles by the amaraorg community",
        "transcription by castingwords",
        "transcribed by httpsotterai",
    ]
)
"""Credits of the subtitles on which engines were trained, normalised: for music and animals, and never spoken."""
_COPYRIGHT = "\u00a9"
"""The sign before credits. Speech has the word."""


class RejectedText(StrEnum):
    """Reason why text is rejected."""

    NO_WORDS = "no_words"
    REPETITION = "repetition"
    PHANTOM = "no_speech"


def rejected_text(text: str, *, doubtful: bool = False) -> RejectedText | None:
    """Reason why a partial or final must not be published; None if it may be.

    Args:
        text: Transcript of an engine.
        doubtful: Whether the sound may be no speech at all.

    Returns:
        `NO_WORDS` for text without a letter or number, such as punctuation or musical notes. `REPETITION` for text with
        a phrase of up to 30 words that is repeated more often than in speech. `PHANTOM` for the credits of subtitles,
        and, if the sound is doubtful, for a phrase that engines invent for noise.
    """
    if not any(character.isalnum() for character in text):
        return RejectedText.NO_WORDS
    normal = normalized_text(text.translate(_HYPHENS)).normal
    spoken = [normal[start:end] for start, end in words(normal)]
    if any(_repeats(spoken, size) > _ALLOWED.get(size, _ALLOWED_LONG) for size in range(1, _LONGEST_PHRASE + 1)):
        return RejectedText.REPETITION
    if normal in _CREDITS or normal.startswith(_COPYRIGHT):
        return RejectedText.PHANTOM
    return RejectedText.PHANTOM if doubtful and normal in _PHANTOMS else None


def _repeats(spoken: list[str], size: int) -> int:
    """Length of the longest run of one phrase of `size` words, in phrases."""
    longest = run = 0
    # `size` words repeat where each word equals the one `size` places later.
    for earlier, later in zip(spoken, spoken[size:], strict=False):
        run = run + 1 if earlier == later else 0
        longest = max(longest, run)
    return longest // size + 1
