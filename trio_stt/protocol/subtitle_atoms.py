"""The pieces of an utterance that no line of a subtitle ends in, with their widths and times. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from trio_stt.protocol.scripts import columns, is_ideographic
from trio_stt.protocol.transcript_formats import SpokenSegment, speaker_prefix
from trio_stt.protocol.word_times import Word, words_of

_MAX_COMPARED = 250_000
"""Pairs of words that are compared: those of 500 words, 3 minutes without a pause. The time grows with their square."""
_OPENING, _CLOSING = frozenset(("Ps", "Pi")), frozenset(("Pe", "Pf", "Po", "Lm"))
_MARKS = frozenset(("Mn", "Mc", "Me", "Cf"))
"""Unicode categories of signs that no line begins or ends with, and of marks on the character before them."""
_NEVER_FIRST = frozenset("ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々")


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of text that no line ends in."""

    text: str
    width: int  # in columns
    space: str  # before it
    start: float
    end: float
    is_split: bool = False  # from the one before it, because both together are wider than a line


def atoms_of(segment: SpokenSegment, max_line_width: int) -> list[Atom]:
    """The atoms of one utterance, in order; the speaker's name, if it has one, belongs to the first."""
    tokens = segment.text.split()
    found: list[Atom] = []
    for token, (start, end) in zip(tokens, _times(tokens, words_of(segment)), strict=True):
        parts = list(_parts(token, max_line_width))
        shares = [0, *accumulate(len(text) for text, _ in parts)]
        for (text, is_split), (before, after) in zip(parts, pairwise(shares), strict=True):
            space = " " if found and not before else ""
            at = [start + (end - start) * share / len(token) for share in (before, after)]
            found.append(Atom(text, columns(text), space, at[0], at[1], is_split))
    prefix = speaker_prefix(segment)
    if prefix and found:
        found[0] = replace(found[0], text=prefix + found[0].text, width=columns(prefix) + found[0].width)
    return found


def _times(tokens: Sequence[str], words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of each token of a final text; the engine may have written words otherwise, such as numbers."""
    if len(tokens) == len(words):
        return [(word.start, word.end) for word in words]
    found: list[tuple[float, float]] = []
    for kind, first, last, begin, end in _differences([_plain(word.text) for word in words], list(map(_plain, tokens))):
        if kind == "equal":
            found += [(word.start, word.end) for word in words[first:last]]
            continue
        start_s = words[first].start if first < last else words[max(first - 1, 0)].end
        end_s = words[last - 1].end if first < last else words[min(last, len(words) - 1)].start
        shares = [0, *accumulate(map(len, tokens[begin:end]))]
        times = [start_s + max(end_s - start_s, 0.0) * share / max(shares[-1], 1) for share in shares]
        found += pairwise(times)
    return found


def _differences(words: Sequence[str], tokens: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """What makes tokens of the words, as `SequenceMatcher.get_opcodes` has it."""
    if len(tokens) * len(words) > _MAX_COMPARED:
        return [("replace", 0, len(words), 0, len(tokens))]
    return SequenceMatcher(None, words, tokens, autojunk=False).get_opcodes()


def _plain(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())


def _parts(token: str, width: int) -> Iterator[tuple[str, bool]]:
    """The parts of a token between which a line may end, and whether each is split from the one before by force."""
    part, is_split = "", False
    for character in token:
        if part and unicodedata.category(character) not in _MARKS:
            may_end = _may_end_between(part[-1], character)
            if may_end or columns(part + character) > width:
                yield part, is_split
                part, is_split = "", not may_end
        part += character
    if part:
        yield part, is_split


def _may_end_between(before: str, character: str) -> bool:
    """Whether a line may end between two characters: in Chinese and Japanese, unless it belongs to its line."""
    if not (is_ideographic(before) or is_ideographic(character)):
        return False
    closes = unicodedata.category(character) in _CLOSING or character in _NEVER_FIRST
    return not closes and unicodedata.category(before) not in _OPENING
