"""How the text of a subtitle is broken into lines, and how good each place is for a break. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from trio_stt.protocol.subtitle_atoms import Atom

_PAUSE_S = 0.3
"""A pause in speech, at which a cue may end as after a comma."""

_SENTENCE_ENDS = frozenset(".?!…。\uff01\uff1f؟।")  # the last: of Chinese and Japanese, Arabic, Hindi
_CLAUSE_ENDS = frozenset(",;:\uff0c、\uff1b\uff1a،\u2013—")
_BEGIN_CLAUSES = frozenset(
    (
        *("and", "but", "or", "because", "that", "which", "who", "when", "while", "if", "so", "than", "as"),
        *("to", "of", "in", "on", "at", "with", "for", "from"),
    )
)
"""English words that a line or a cue had rather begin with. In other languages only punctuation and pauses count."""
_SENTENCE_COST, _CLAUSE_COST, _WORD_BEFORE_CLAUSE_COST, _WORD_COST, _SPLIT_COST = 0.0, 1.0, 5.0, 7.0, 10.0
_IMBALANCE_COST = 4.0
"""Costs of where lines end, relative to each other: the cheapest way to break a cue is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleLayout:
    """How large a cue may be.

    Attributes:
        max_line_width: Columns of a line; wide characters, such as Chinese ones, take two.
        max_lines: Lines of a cue.
    """

    max_line_width: int = 42
    max_lines: int = 2


def fits(width: int, space: int, atom: Atom, layout: SubtitleLayout) -> bool:
    """Whether a line of this width has room for a space and one more atom; an empty line always has."""
    return not width or width + space + atom.width <= layout.max_line_width


def end_cost(atoms: Sequence[Atom], last: int) -> float:
    """The cost of ending a cue or a line behind an atom."""
    if last + 1 == len(atoms):
        return _SENTENCE_COST
    atom, following = atoms[last], atoms[last + 1]
    sign = atom.text.rstrip("\"'”\u2019»)]』」")[-1:]
    if following.is_split:
        return _SPLIT_COST
    if sign in _SENTENCE_ENDS:
        return _SENTENCE_COST
    if sign in _CLAUSE_ENDS or following.start - atom.end >= _PAUSE_S:
        return _CLAUSE_COST
    return _WORD_BEFORE_CLAUSE_COST if following.text.lower() in _BEGIN_CLAUSES else _WORD_COST


def line_count(atoms: Sequence[Atom], layout: SubtitleLayout) -> int:
    """The fewest lines that the atoms fit in."""
    count, width = 1, 0
    for atom in atoms:
        space = len(atom.space) if width else 0
        if fits(width, space, atom, layout):
            width += space + atom.width
        else:
            count, width = count + 1, atom.width
    return count


def lines_of(atoms: Sequence[Atom], layout: SubtitleLayout) -> tuple[str, ...]:
    """The lines of a cue: as few as possible, of like length, broken at the best places."""
    count = line_count(atoms, layout)
    if count == 1:
        return (_line(atoms),)
    right = [0, *accumulate(len(atom.space) + atom.width for atom in atoms)]
    ideal = right[-1] / count
    costs = [end_cost(atoms, last) / 4 for last in range(len(atoms))]

    @cache
    def cheapest(first: int, lines: int) -> tuple[float, tuple[int, ...]]:
        """The cheapest ends of this many lines that begin with an atom and have all from there on; and their cost."""
        ends = range(first + 1, len(atoms) - lines + 2) if lines > 1 else (len(atoms),)
        best: tuple[float, tuple[int, ...]] = math.inf, ()
        for end in ends:
            width = right[end] - right[first] - len(atoms[first].space)
            if width > layout.max_line_width and end > first + 1:
                break
            rest, later = cheapest(end, lines - 1) if lines > 1 else (0.0, ())
            uneven = _IMBALANCE_COST * ((width - ideal) / layout.max_line_width) ** 2
            best = min(best, (rest + uneven + costs[end - 1], (end, *later)))
        return best

    _, ends = cheapest(0, count)
    return tuple(_line(atoms[first:end]) for first, end in zip((0, *ends), ends, strict=False))


def _line(atoms: Sequence[Atom]) -> str:
    return "".join(atom.space + atom.text for atom in atoms).strip()
