"""Subtitles as a subtitler writes them, as SubRip and WebVTT: short cues, broken where a sentence or a clause ends.

`cues` decides the cues; pysubs2 writes them. Pure: segments in, text out.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from html import escape
from itertools import accumulate, groupby, pairwise

import pysubs2

from trio_stt.protocol.scripts import columns, is_ideographic, space_between
from trio_stt.protocol.transcript_formats import SpokenSegment, speaker_prefix
from trio_stt.protocol.word_times import Word, words_of

_MIN_CUE_S = 0.8
"""A shorter cue cannot be read."""
_MAX_CUE_S = 7.0
"""A longer cue is read twice."""
_COLUMNS_PER_S = 20.0
"""Reading speed: where nothing follows, a cue stays until it can be read."""
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
_OPENING, _CLOSING = frozenset(("Ps", "Pi")), frozenset(("Pe", "Pf", "Po", "Lm"))
_MARKS = frozenset(("Mn", "Mc", "Me", "Cf"))
"""Unicode categories of signs that no line begins or ends with, and of marks on the character before them."""
_NEVER_FIRST = frozenset("ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々")

_CUE_COST, _EMPTY_COST, _SHORT_COST, _ORPHAN_COST, _IMBALANCE_COST = 2.5, 1.5, 4.0, 2.0, 4.0
_SENTENCE_COST, _CLAUSE_COST, _WORD_BEFORE_CLAUSE_COST, _WORD_COST, _SPLIT_COST = 0.0, 1.0, 5.0, 7.0, 10.0
_ORPHAN_COLUMNS = 8
"""Costs of where cues and lines end, relative to each other: the cheapest way to lay out an utterance is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleLayout:
    """How large a cue may be.

    Attributes:
        max_line_width: Columns of a line; wide characters, such as Chinese ones, take two.
        max_lines: Lines of a cue.
    """

    max_line_width: int = 42
    max_lines: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One subtitle: its lines, and when it is shown, in seconds from the start of the file."""

    start: float
    end: float
    lines: tuple[str, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class _Atom:
    """A piece of text that no line ends in."""

    text: str
    width: int  # in columns
    space: str  # before it
    start: float
    end: float
    is_split: bool = False  # from the one before it, because both together are wider than a line


@dataclass(frozen=True, slots=True)
class _Draft:
    """The atoms of a cue."""

    atoms: tuple[_Atom, ...]
    start: float
    end: float


_DEFAULT_LAYOUT = SubtitleLayout()


def as_srt(segments: Sequence[SpokenSegment], layout: SubtitleLayout = _DEFAULT_LAYOUT) -> str:
    """SubRip. It has no way to write its own arrow in a text, so a real arrow takes the place of `-->`."""
    found = cues([replace(segment, text=segment.text.replace("-->", "→")) for segment in segments], layout)
    return _written(found, "srt") if found else ""


def as_vtt(segments: Sequence[SpokenSegment], layout: SubtitleLayout = _DEFAULT_LAYOUT) -> str:
    """WebVTT. Markup characters in the text are escaped, as the W3C's WebVTT requires; so is `-->`."""
    found = cues(segments, layout)
    return _written(
        [replace(cue, lines=tuple(escape(line, quote=False) for line in cue.lines)) for cue in found], "vtt"
    )


def cues(segments: Iterable[SpokenSegment], layout: SubtitleLayout = _DEFAULT_LAYOUT) -> list[Cue]:
    """The cues of a transcript, in order of their start.

    Cues of one channel follow each other and are shown for 0.8 to 7 s; those of several channels may overlap.
    """
    found: list[Cue] = []
    by_channel = sorted(segments, key=lambda segment: segment.channel or 0)
    for channel, of_channel in groupby(by_channel, key=lambda segment: segment.channel):
        in_order = sorted(of_channel, key=lambda segment: segment.start)
        drafts = [draft for segment in in_order for draft in _drafts(_atoms(segment, layout), layout)]
        prefix = speaker_prefix(in_order[0])
        found += _timed(_joined(drafts, layout, prefix), layout, channel)
    return sorted(found, key=lambda cue: cue.start)


def _written(found: Sequence[Cue], format_name: str) -> str:
    subtitles = pysubs2.SSAFile()
    for cue in found:
        event = pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.end * 1000))
        # The writer takes `\n`, `\N` and `\h` in a text for its own signs.
        event.plaintext = "\n".join(cue.lines).replace("\\", _BACKSLASH)
        subtitles.append(event)
    # Without keep_ssa_tags, the writer takes braces in the text for markup and drops what they hold.
    text: str = subtitles.to_string(format_name, keep_ssa_tags=True)
    return text.replace(_BACKSLASH, "\\").rstrip("\n") + "\n"


_BACKSLASH = "\ue000"
"""Stands for a backslash while pysubs2 writes: a character for private use, which no engine writes."""


def _atoms(segment: SpokenSegment, layout: SubtitleLayout) -> list[_Atom]:
    tokens = segment.text.split()
    found: list[_Atom] = []
    for token, (start, end) in zip(tokens, _times(tokens, words_of(segment)), strict=True):
        parts = list(_parts(token, layout.max_line_width))
        shares = [0, *accumulate(len(text) for text, _ in parts)]
        for (text, is_split), (before, after) in zip(parts, pairwise(shares), strict=True):
            space = " " if found and not before else ""
            at = [start + (end - start) * share / len(token) for share in (before, after)]
            found.append(_Atom(text, columns(text), space, at[0], at[1], is_split))
    prefix = speaker_prefix(segment)
    if prefix and found:
        found[0] = replace(found[0], text=prefix + found[0].text, width=columns(prefix) + found[0].width)
    return found


def _times(tokens: Sequence[str], words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of each token of a final text; the engine may have written words otherwise, such as numbers."""
    if len(tokens) == len(words):
        return [(word.start, word.end) for word in words]
    found: list[tuple[float, float]] = []
    same = SequenceMatcher(None, [_plain(word.text) for word in words], list(map(_plain, tokens)), autojunk=False)
    for kind, first, last, begin, end in same.get_opcodes():
        if kind == "equal":
            found += [(word.start, word.end) for word in words[first:last]]
            continue
        start_s = words[first].start if first < last else words[max(first - 1, 0)].end
        end_s = words[last - 1].end if first < last else words[min(last, len(words) - 1)].start
        shares = [0, *accumulate(map(len, tokens[begin:end]))]
        times = [start_s + max(end_s - start_s, 0.0) * share / max(shares[-1], 1) for share in shares]
        found += pairwise(times)
    return found


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


def _drafts(atoms: Sequence[_Atom], layout: SubtitleLayout) -> list[_Draft]:
    """The cheapest way to make cues of an utterance."""
    best = [0.0] + [math.inf] * len(atoms)
    came_from = [0] * (len(atoms) + 1)
    for first in range(len(atoms)):
        line, width, whole = 1, 0, 0
        for last in range(first, len(atoms)):
            atom = atoms[last]
            space = len(atom.space) if width else 0
            whole += space + atom.width
            line, width = (
                (line, width + space + atom.width) if _fits(width, space, atom, layout) else (line + 1, atom.width)
            )
            lasts_s = atom.end - atoms[first].start
            if last > first and (line > layout.max_lines or lasts_s > _MAX_CUE_S):
                break
            cost = best[first] + _CUE_COST + _end_cost(atoms, last)
            cost += _EMPTY_COST * (1 - whole / (layout.max_lines * layout.max_line_width)) ** 2
            cost += _SHORT_COST if lasts_s < _MIN_CUE_S else 0.0
            is_orphan = (first > 0 or last + 1 < len(atoms)) and line == 1 and width < _ORPHAN_COLUMNS
            cost += _ORPHAN_COST if is_orphan else 0.0
            if cost < best[last + 1]:
                best[last + 1], came_from[last + 1] = cost, first
    found: list[_Draft] = []
    end = len(atoms)
    while end:
        of_cue = tuple(atoms[came_from[end] : end])
        found.append(_Draft(of_cue, of_cue[0].start, of_cue[-1].end))
        end = came_from[end]
    return found[::-1]


def _fits(width: int, space: int, atom: _Atom, layout: SubtitleLayout) -> bool:
    return not width or width + space + atom.width <= layout.max_line_width


def _end_cost(atoms: Sequence[_Atom], last: int) -> float:
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


def _joined(drafts: Sequence[_Draft], layout: SubtitleLayout, prefix: str) -> list[_Draft]:
    """The drafts, with those that are too short, and have no time to stay, joined to the one before."""
    found: list[_Draft] = []
    for number, draft in enumerate(drafts):
        next_start = drafts[number + 1].start if number + 1 < len(drafts) else math.inf
        if found:
            before, first = found[-1], draft.atoms[0]
            text = first.text.removeprefix(prefix)
            space = space_between(before.atoms[-1].text, text)
            first = replace(first, text=text, width=columns(text), space=space)
            is_short = min(draft.start - before.start, next_start - draft.start) < _MIN_CUE_S
            both = (*before.atoms, first, *draft.atoms[1:])
            fits = len(_lines(both, layout)) <= layout.max_lines and draft.end - before.start <= _MAX_CUE_S
            if is_short and fits and draft.start - before.end <= _MIN_CUE_S:
                found[-1] = _Draft(both, before.start, draft.end)
                continue
        found.append(draft)
    return found


def _timed(drafts: Sequence[_Draft], layout: SubtitleLayout, channel: int | None) -> Iterator[Cue]:
    """The cues of drafts, each long enough, none before the one in front of it has ended."""
    free_from = 0.0
    for number, draft in enumerate(drafts):
        lines = _lines(draft.atoms, layout)
        start = max(draft.start, free_from)
        next_start = drafts[number + 1].start if number + 1 < len(drafts) else math.inf
        wanted_s = min(max(_MIN_CUE_S, sum(map(columns, lines)) / _COLUMNS_PER_S), _MAX_CUE_S)
        end = max(draft.end, min(start + wanted_s, next_start), start + _MIN_CUE_S)
        free_from = min(end, start + _MAX_CUE_S)
        yield Cue(start=start, end=free_from, lines=lines, channel=channel)


def _lines(atoms: Sequence[_Atom], layout: SubtitleLayout) -> tuple[str, ...]:
    """The lines of a cue: as few as possible, of like length, broken at the best places."""
    count, width = 1, 0
    for atom in atoms:
        space = len(atom.space) if width else 0
        if _fits(width, space, atom, layout):
            width += space + atom.width
        else:
            count, width = count + 1, atom.width
    if count == 1:
        return (_line(atoms),)
    ends = [0, *accumulate(len(atom.space) + atom.width for atom in atoms)]
    ideal = ends[-1] / count
    costs = [_end_cost(atoms, last) / 4 for last in range(len(atoms))]
    # Cheapest end of each line, given where it begins: from the last line to the first.
    best = {(len(atoms), 0): (0.0, len(atoms))}
    for left in range(1, count + 1):
        for first in range(len(atoms)):
            for end in range(first + 1, len(atoms) + 1):
                width = ends[end] - ends[first] - len(atoms[first].space)
                if width > layout.max_line_width and end > first + 1:
                    break
                if (rest := best.get((end, left - 1))) is not None:
                    uneven = _IMBALANCE_COST * ((width - ideal) / layout.max_line_width) ** 2
                    choice = rest[0] + uneven + costs[end - 1], end
                    best[first, left] = min(best.get((first, left), choice), choice)
    lines, first = [], 0
    for left in range(count, 0, -1):
        end = best[first, left][1]
        lines.append(_line(atoms[first:end]))
        first = end
    return tuple(lines)


def _line(atoms: Sequence[_Atom]) -> str:
    return "".join(atom.space + atom.text for atom in atoms).strip()
