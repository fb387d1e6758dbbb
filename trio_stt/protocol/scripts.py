"""Scripts without spaces between words: which characters they have, how texts in them are joined, how wide they are."""

import unicodedata
from collections.abc import Iterable

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Unicode blocks of scripts that put no space between words. There, each character counts as a word."""
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7FF))
"""Wide characters of a script with spaces."""


def is_unspaced(character: str) -> bool:
    """Whether a character, or none, belongs to a script without spaces between words."""
    return character >= "\u0e00" and _is_in(character, _UNSPACED)


def is_ideographic(character: str) -> bool:
    """Whether a character, or none, is Chinese or Japanese, their punctuation included: wide, and without spaces."""
    return character >= "\u2e80" and columns(character) == 2 and not _is_in(character, _HANGUL)  # noqa: PLR2004 - wide


def columns(text: str) -> int:
    """Width in columns: 2 for a wide character, 0 for a mark on the one before it, else 1."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1
        for c in text
    )


def space_between(left: str, right: str) -> str:
    """What belongs between two texts that follow each other: a space, or nothing in Chinese and Japanese."""
    return "" if not left or not right or (is_ideographic(left[-1]) and is_ideographic(right[0])) else " "


def joined(texts: Iterable[str]) -> str:
    """The texts one after the other, with `space_between` them."""
    whole = ""
    for text in texts:
        whole += space_between(whole, text) + text
    return whole


def _is_in(character: str, blocks: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= ord(character) <= high for low, high in blocks)
