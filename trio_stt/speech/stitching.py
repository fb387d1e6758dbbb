"""Hypotheses of an utterance's last seconds, joined to the words before them.

Where partials are decoded on a tail window, each hypothesis begins somewhere inside the utterance, and its first words
are guesses: the window cuts into them and nothing precedes them. `Stitcher` finds where its words overlap with those
heard before and gives text that covers the utterance from its start, as the stabiliser needs it.

The overlap is a semi-global alignment of words (Needleman and Wunsch 1970, with free ends as in Sellers 1980): words
that the window has left cost nothing, nor do new ones. It owns the words of one utterance and must not judge them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.speech.text import normalized_text, words

_MATCH = 2.0
_MISS = -2.0
_DRIFT = 0.5
"""Taken from a match for each second between the two places: phrases recur, and time tells them apart."""
_UNSURE_HEAD = -0.5
"""For a word at the window's start that fits nothing: common, so cheap."""
_RETRACTED = -0.5
"""For a word at the end that is no longer heard."""
_LEAST_MATCHES = 2
_LEAST_WORTH = 1.0
"""A path must be worth two matches of so much, for any two texts share a word; one, where there is only one word."""
_HEAD_WORDS = 2
"""So many of them are cheap."""
_SETTLED = 0.5
"""Share of a clip's words that are taken from earlier hypotheses where those have them.

They heard what precedes the words and some seconds of what follows; hearing them again without what precedes them would
only unsettle text that is stable by then. Measured on 25 s of five readings with windows of 4 and 8 s at cadences of
0.4 to 1.6 s: mean WER against the whole clip 5.6 % and 3.3 %.
"""


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with what stands between it and the word before it, and its normalised form."""

    raw: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hypothesis:
    """What was heard so far.

    Attributes:
        words: From the utterance's start.
        tail: What follows the last word.
        origin: Index at which the newest clip's first word stands.
        start_sample: First sample of the newest clip.
        end_sample: Position after its last one.
    """

    words: tuple[_Word, ...]
    tail: str
    origin: int
    start_sample: int
    end_sample: int

    @property
    def text(self) -> str:
        return ("".join(word.raw for word in self.words) + self.tail).strip()


class Stitcher:
    """Follows the hypotheses of one utterance, whose clips may begin later and later."""

    def __init__(self) -> None:
        self._best: _Hypothesis | None = None
        self._alternative: _Hypothesis | None = None
        self._first_sample = 0

    def stitch(self, text: str, *, clip_start_sample: int, clip_end_sample: int) -> str:
        """Take the next hypothesis.

        Args:
            text: What the engine heard in the clip.
            clip_start_sample: The clip's first sample: the first of the utterance, or none before an earlier clip's.
            clip_end_sample: Position after its last sample; does not decrease.

        Returns:
            Text from the utterance's start. Empty where the hypothesis has no words, or fits neither what was heard
            before nor the hypothesis before it: an odd one out must not change what is known.
        """
        spoken, tail = _split(text)
        if not spoken:
            return ""
        if self._best is None:
            self._first_sample = clip_start_sample
        clip = _Hypothesis(
            words=spoken, tail=tail, origin=0, start_sample=clip_start_sample, end_sample=clip_end_sample
        )
        if self._best is None or clip_start_sample <= self._first_sample:
            joined: _Hypothesis | None = clip
        elif clip_start_sample >= self._best.end_sample:
            joined = _appended(self._best, len(self._best.words), clip)
        else:
            joined = _overlapped(self._best, clip) or (self._alternative and _overlapped(self._alternative, clip))
            if joined is None:
                self._alternative = _appended(self._best, _words_before(self._best, clip_start_sample), clip)
        if joined is None:
            return ""
        self._best, self._alternative = joined, None
        return joined.text


def _split(text: str) -> tuple[tuple[_Word, ...], str]:
    """The words of a text, and what follows the last one."""
    whole = normalized_text(text)
    spans = list(words(whole.normal))
    cuts = [0, *(whole.raw_end(end) for _, end in spans)]
    found = [
        _Word(whole.raw[start:end], whole.normal[first:last])
        for (start, end), (first, last) in zip(pairwise(cuts), spans, strict=True)
    ]
    return tuple(found), whole.raw[cuts[-1] :]


def _words_before(heard: _Hypothesis, sample: int) -> int:
    """How many words were spoken before a sample of the newest clip, as far as time tells."""
    share = (sample - heard.start_sample) / (heard.end_sample - heard.start_sample)
    return heard.origin + round(share * (len(heard.words) - heard.origin))


def _appended(heard: _Hypothesis, kept: int, clip: _Hypothesis) -> _Hypothesis:
    """The first `kept` words of what was heard, then the clip's."""
    first, *others = clip.words
    between = (heard.tail if kept == len(heard.words) else "") + (" " if kept else "")
    glued = _Word(between + first.raw, first.key)
    return _Hypothesis(
        words=(*heard.words[:kept], glued, *others),
        tail=clip.tail,
        origin=kept,
        start_sample=clip.start_sample,
        end_sample=clip.end_sample,
    )


def _overlapped(heard: _Hypothesis, clip: _Hypothesis) -> _Hypothesis | None:
    """What was heard up to a word that the clip shares, then the clip's words; None where they share too little."""
    pairs = _alignment(_placed(heard), _placed(clip))
    if not pairs:
        return None
    # One equal word may be an accident, two in a row are not.
    runs = [pair for pair, (old, new) in pairwise(pairs) if (old, new) == (pair[0] + 1, pair[1] + 1)]
    settled = [pair for pair in runs if pair[1] < len(clip.words) * _SETTLED]
    old, new = (settled or runs or pairs)[-1]
    joint = heard.origin + old
    return _Hypothesis(
        words=heard.words[: joint + 1] + clip.words[new + 1 :],
        tail=clip.tail,
        origin=max(0, joint - new),
        start_sample=clip.start_sample,
        end_sample=clip.end_sample,
    )


def _placed(heard: _Hypothesis) -> list[tuple[str, float]]:
    """The newest clip's words, each with the second at which it was spoken if all take equally long."""
    keys = [word.key for word in heard.words[heard.origin :]]
    word_samples = (heard.end_sample - heard.start_sample) / len(keys)
    return [(key, (heard.start_sample + (i + 0.5) * word_samples) / SAMPLE_RATE_HZ) for i, key in enumerate(keys)]


def _alignment(old: Sequence[tuple[str, float]], new: Sequence[tuple[str, float]]) -> list[tuple[int, int]]:
    """Index pairs of equal words on the best path, in order; empty where its score is too low."""
    # Row i, column j: best score of a path that has used old[:i] and new[:j], and the move that ends it.
    head = [_UNSURE_HEAD * min(j, _HEAD_WORDS) + _MISS * max(0, j - _HEAD_WORDS) for j in range(len(new) + 1)]
    scores, moves = [head], [["start"] * len(head)]
    for word, old_s in old:
        above = scores[-1]
        row, move = [0.0], ["start"]
        for j, (other, new_s) in enumerate(new):
            gain = _MATCH - _DRIFT * abs(old_s - new_s) if word == other else _MISS
            score, how = max(
                (above[j] + gain, "both"),
                (above[j + 1] + _MISS, "old"),
                (row[j] + _MISS, "new"),
                (head[j + 1], "start"),
            )
            row.append(score)
            move.append(how)
        scores.append(row)
        moves.append(move)
    total, i, j = max(
        (score + _RETRACTED * (len(old) - i), i, j) for i, row in enumerate(scores) for j, score in enumerate(row)
    )
    if total < _LEAST_WORTH * min(_LEAST_MATCHES, len(old), len(new)):
        return []
    pairs = []
    while (how := moves[i][j]) != "start":
        i -= how != "new"
        j -= how != "old"
        if how == "both" and old[i][0] == new[j][0]:
            pairs.append((i, j))
    return pairs[::-1]
