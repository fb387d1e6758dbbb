"""Subtitles as a subtitler writes them, as SubRip and WebVTT: short cues, broken where a sentence or a clause ends.

`cues` decides the cues; pysubs2 writes them. Pure: segments in, text out.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

import pysubs2

from trio_stt.protocol.scripts import columns, space_between
from trio_stt.protocol.subtitle_atoms import Atom, atoms_of
from trio_stt.protocol.subtitle_lines import SubtitleLayout, end_cost, fits, line_count, lines_of
from trio_stt.protocol.transcript_formats import SpokenSegment, speaker_prefix

_MIN_CUE_S = 0.8
"""A shorter cue cannot be read."""
_MAX_CUE_S = 7.0
"""A longer cue is read twice."""
_COLUMNS_PER_S = 20.0
"""Reading speed: where nothing follows, a cue stays until it can be read."""

_CUE_COST, _EMPTY_COST, _SHORT_COST, _ORPHAN_COST = 2.5, 1.5, 4.0, 2.0
_ORPHAN_COLUMNS = 8
"""Costs of cues, relative to those of where lines end: the cheapest way to lay out an utterance is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One subtitle: its lines, and when it is shown, in seconds from the start of the file."""

    start: float
    end: float
    lines: tuple[str, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """The text of a cue, whose lines and times are still to be decided. `start` and `end` are those of its speech."""

    atoms: tuple[Atom, ...]

    @property
    def start(self) -> float:
        return self.atoms[0].start

    @property
    def end(self) -> float:
        return self.atoms[-1].end


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


def reading_time_s(text: str) -> float:
    """How long a text takes to be read, in seconds: the length of speech whose end is not known."""
    return columns(text) / _COLUMNS_PER_S


def cues(segments: Iterable[SpokenSegment], layout: SubtitleLayout = _DEFAULT_LAYOUT) -> list[Cue]:
    """The cues of a transcript, in order of their start.

    Cues of one channel follow each other and are shown for 0.8 to 7 s; those of several channels may overlap.
    """
    found: list[Cue] = []
    by_channel = sorted(segments, key=lambda segment: segment.channel or 0)
    for channel, of_channel in groupby(by_channel, key=lambda segment: segment.channel):
        in_order = sorted(of_channel, key=lambda segment: segment.start)
        drafts = [draft for segment in in_order for draft in _drafts(atoms_of(segment, layout.max_line_width), layout)]
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


def _drafts(atoms: Sequence[Atom], layout: SubtitleLayout) -> list[_Draft]:
    """The cheapest way to make cues of an utterance: a shortest path over the places between its atoms.

    The cheapest cues of the first `n` atoms cost `costs[n]`, and the last of these cues begins with atom `firsts[n]`.
    """
    costs = [0.0] + [math.inf] * len(atoms)
    firsts = [0] * (len(atoms) + 1)
    end_costs = [end_cost(atoms, last) for last in range(len(atoms))]
    for first in range(len(atoms)):
        for end, fill_cost in _fill_costs(atoms, first, layout):
            cost = costs[first] + _CUE_COST + end_costs[end - 1] + fill_cost
            if cost < costs[end]:
                costs[end], firsts[end] = cost, first
    found: list[_Draft] = []
    end = len(atoms)
    while end:
        found.append(_Draft(tuple(atoms[firsts[end] : end])))
        end = firsts[end]
    return found[::-1]


def _fill_costs(atoms: Sequence[Atom], first: int, layout: SubtitleLayout) -> Iterator[tuple[int, float]]:
    """The cues that may begin with an atom, the shortest first: the end of each, and what its length costs."""
    lines, width, columns_used = 1, 0, 0
    for last in range(first, len(atoms)):
        atom = atoms[last]
        space = len(atom.space) if width else 0
        columns_used += space + atom.width
        if fits(width, space, atom, layout):
            width += space + atom.width
        else:
            lines, width = lines + 1, atom.width
        lasts_s = atom.end - atoms[first].start
        if last > first and (lines > layout.max_lines or lasts_s > _MAX_CUE_S):
            return
        cost = _EMPTY_COST * (1 - columns_used / (layout.max_lines * layout.max_line_width)) ** 2
        if lasts_s < _MIN_CUE_S:
            cost += _SHORT_COST
        is_whole = first == 0 and last + 1 == len(atoms)
        if lines == 1 and width < _ORPHAN_COLUMNS and not is_whole:
            cost += _ORPHAN_COST
        yield last + 1, cost


def _joined(drafts: Sequence[_Draft], layout: SubtitleLayout, prefix: str) -> list[_Draft]:
    """The drafts, with those that are too short, and have no time to stay, joined to the one before."""
    found: list[_Draft] = []
    for draft, next_start in _with_next_start(drafts):
        if found:
            before = found[-1]
            both = _both(before, draft, prefix)
            is_short = min(draft.start - before.start, next_start - draft.start) < _MIN_CUE_S
            is_near = draft.end - before.start <= _MAX_CUE_S and draft.start - before.end <= _MIN_CUE_S
            if is_short and is_near and line_count(both.atoms, layout) <= layout.max_lines:
                found[-1] = both
                continue
        found.append(draft)
    return found


def _both(before: _Draft, draft: _Draft, prefix: str) -> _Draft:
    """Two drafts in one, which names the speaker once."""
    first = draft.atoms[0]
    text = first.text.removeprefix(prefix)
    space = space_between(before.atoms[-1].text, text)
    return _Draft((*before.atoms, replace(first, text=text, width=columns(text), space=space), *draft.atoms[1:]))


def _with_next_start(drafts: Sequence[_Draft]) -> Iterator[tuple[_Draft, float]]:
    """Each draft with the start of the one after it."""
    return zip(drafts, [*(draft.start for draft in drafts[1:]), math.inf], strict=False)


def _timed(drafts: Sequence[_Draft], layout: SubtitleLayout, channel: int | None) -> Iterator[Cue]:
    """The cues of drafts, each long enough, none before the one in front of it has ended."""
    free_from = 0.0
    for draft, next_start in _with_next_start(drafts):
        lines = lines_of(draft.atoms, layout)
        start = max(draft.start, free_from)
        wanted_s = min(max(_MIN_CUE_S, sum(map(reading_time_s, lines))), _MAX_CUE_S)
        end = max(draft.end, min(start + wanted_s, next_start), start + _MIN_CUE_S)
        free_from = min(end, start + _MAX_CUE_S)
        yield Cue(start=start, end=free_from, lines=lines, channel=channel)
