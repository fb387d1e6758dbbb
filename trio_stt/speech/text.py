"""Text helpers: normalised text with offsets into the original, its words, and the finishing of a final's text.

It does not decide which words are right. See docs/protocol.md, Stable text and Final text.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from trio_stt.protocol.scripts import is_unspaced

_REPEATED_SEPARATOR = re.compile(r"([,;:、\uff0c])(?:\s*\1)+")
"""Separators that an engine wrote twice, such as Moonshine's "In short,, the period"."""


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text and its normalised form, in which two spellings of the same words are equal.

    Attributes:
        raw: The text, stripped.
        normal: Its normalised characters; single spaces between words, none at either end.
        ends: For each normalised character, the position in `raw` after the character that it comes from.
    """

    raw: str
    normal: str
    ends: tuple[int, ...]

    def raw_end(self, length: int) -> int:
        """Position in `raw` after the first `length` normalised characters, without punctuation that follows."""
        return self.ends[length - 1] if length else 0


def normalized_text(text: str) -> NormalizedText:
    """Normalise a text: NFKC, punctuation (Unicode P*) removed, case folded, runs of white space as one space."""
    raw = text.strip()
    normal: list[str] = []
    ends: list[int] = []
    for end, character in enumerate(raw, 1):
        for folded in _fold(character):
            if folded != " " or (normal and normal[-1] != " "):
                normal.append(folded)
                ends.append(end)
    if normal and normal[-1] == " ":
        normal.pop()
        ends.pop()
    return NormalizedText(raw, "".join(normal), tuple(ends))


def words(normal: str) -> Iterator[tuple[int, int]]:
    """Start and end of each word of a normalised text, in order."""
    start = 0
    for position, character in enumerate(normal):
        if character == " ":
            if start < position:
                yield start, position
            start = position + 1
        elif is_unspaced(character):
            if start < position:
                yield start, position
            yield position, position + 1
            start = position + 1
    if start < len(normal):
        yield start, len(normal)


def ends_word(normal: str, end: int) -> bool:
    """Whether a word of a normalised text ends at `end`, at most the text's length."""
    return (
        end == len(normal)
        or normal[end] == " "
        or (end > 0 and (is_unspaced(normal[end - 1]) or is_unspaced(normal[end])))
    )


def common_length(first: str, second: str) -> int:
    """Length of the common prefix."""
    if second.startswith(first):
        return len(first)
    return next((i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), len(second))


@functools.lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """The normalised characters that one raw character gives; any white space among them as a space."""
    folded = unicodedata.normalize("NFKC", character).casefold()
    return "".join(" " if c.isspace() else c for c in folded if not unicodedata.category(c).startswith("P"))


def without_repeated_separators(text: str) -> str:
    """The text with one comma, semicolon or colon where an engine wrote several in a row."""
    return _REPEATED_SEPARATOR.sub(r"\1", text)


def finalize_text(text: str) -> str:
    """Finish a final's text: single spaces and commas, a capital first letter, a full stop behind a letter or digit.

    Scripts without capitals keep their letters. Text in a script without spaces between words gets no full stop: its
    sentences end with signs of their own, or with none. Empty text stays empty.
    """
    text = without_repeated_separators(" ".join(text.split()))
    if not text:
        return ""
    # Title case instead of upper case: it leaves Georgian as it is, whose upper case is for headlines only.
    text = text[0].title() + text[1:]
    if not text[-1].isalnum():
        return text
    last_letter = next((character for character in reversed(text) if character.isalpha()), "")
    return text if is_unspaced(last_letter) else text + "."
