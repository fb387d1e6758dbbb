"""Word error rate: Whisper's English normaliser, then jiwer; and the words of the installed readings."""

import functools
import warnings

import jiwer

with warnings.catch_warnings():
    # Its docstrings contain invalid escapes, and Python warns of them when it first compiles the package.
    warnings.filterwarnings("ignore", message=".*invalid escape sequence")
    from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it ships no types

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
"""The words of `beckett.wav`."""

TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was "
    "the season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before "
    "us, we had nothing before us, we were all going direct to Heaven, we were all going direct the other way. In "
    "short, the period was so far like the present period, that some of its noisiest authorities insisted on its "
    "being received, for good or for evil, in the superlative degree of comparison only."
)
"""The words of `two_cities.wav`: the first sentence of the book."""


@functools.cache
def _normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


def normalise(text: str) -> str:
    """The text in lower case, without punctuation, with numbers and spellings unified."""
    return str(_normaliser()(text))


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Substituted, missing and added words for each word of the reference, both normalised; 0.0 is perfect."""
    return float(jiwer.wer(normalise(reference), normalise(hypothesis)))
