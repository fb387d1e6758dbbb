"""Stable text: the leading words of a running utterance that successive hypotheses agree on.

The method is local agreement (Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition and translation by
partial hypothesis selection"): a word is committed if the newest hypotheses all begin with the same words up to it, and
an earlier one did, too. Committed text only grows. Time is audio time. See docs/protocol.md, Stable text.

The evidence is one number for each remembered hypothesis: the length of the prefix that it shares with the newest one.
So an observation costs time in proportion to its text.
"""

import sys
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum

from trio_stt.dsp import samples_of
from trio_stt.speech.text import NormalizedText, common_length, ends_word, normalized_text, words


class CommitReason(StrEnum):
    """Why an observation added to the stable text."""

    NONE = "none"
    EVIDENCE = "evidence-threshold"


_AGREEING = ((3, samples_of(0.2)), (2, samples_of(0.8)))
"""Newest hypotheses that must agree on a word, and the audio that they span; the second is for slow engines."""
_FIRST_SEEN_SAMPLES = samples_of(0.8)
"""Audio since a hypothesis first had a word: for the first word of the utterance, and for words without a space before
them, as in Chinese."""
_SEEN_SAMPLES = tuple(samples_of(seconds) for seconds in (0.6, 0.4, 0.2))
"""The same for other words: for the last one of the newest hypothesis, which engines often guess, for the one before
it, and for words before that.

Chosen with benchmarks/stable_text.py on 114 recordings of many kinds, at cadences of 0.1, 0.2 and 0.3 s. The final
contradicts 4.2 % of the committed words. The median word is committed 0.6 s after its first hypothesis, 95 % of them
within 1.7 s. When all hypotheses of 0.75 s had to agree, it was 3.2 %, 0.9 s and 2.0 s, and a quarter fewer words were
committed. Rules that commit 95 % within 1 s have 8 % or more, RealtimeSTT's rule 7.6 %.
"""
# Values of RealtimeSTT's server: docs/protocol.md, Stable text.
_MIN_RIGHT_OF_SPACE = 2  # characters
_WINDOW_SAMPLES = samples_of(8.0)
_MAX_HYPOTHESES = 128
_MIN_SIMILARITY = 0.35  # difflib's ratio, 0 to 1
_COMPARED_ACCEPTED = 5
_COMPARED_OUTLIERS = 3
_COMPARED_CHARACTERS = 256
"""Similarity is computed on the ends of long texts, because its cost grows with the square of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StableText:
    """A partial, split for display: the text fields of the `realtime` event.

    Attributes:
        sequence: Number of the observation in its utterance, from 1.
        raw: The hypothesis itself, stripped.
        stable: Committed words; never revised within the utterance.
        delta: Text added to `stable` since the last publishable observation.
        unstable: Text to show after `stable`, with its leading space or punctuation.
        consensus: Text that the evidence supports now; unlike `stable` it may be rewritten.
        consensus_unstable: The rest of the hypothesis from which `consensus` was taken.
        public_consensus_aligned: Whether `consensus` begins with `stable`, in normalised characters.
        internal_revision: Whether this observation rewrote `consensus` instead of extending it.
        is_outlier: Whether the hypothesis was rejected; then only `raw` and `stable_prefix_conflict` are new.
        stable_prefix_conflict: Whether the hypothesis contradicts `stable`; one that only ends earlier does not.
        commit_reason: Why this observation added to `stable`.
        stable_normalized_offset: Length of `stable` in normalised characters.
    """

    sequence: int = 0
    raw: str = ""
    stable: str = ""
    delta: str = ""
    unstable: str = ""
    consensus: str = ""
    consensus_unstable: str = ""
    public_consensus_aligned: bool = True
    internal_revision: bool = False
    is_outlier: bool = False
    stable_prefix_conflict: bool = False
    commit_reason: CommitReason = CommitReason.NONE
    stable_normalized_offset: int = 0

    @property
    def display(self) -> str:
        """Stable and unstable text together."""
        return (self.stable + self.unstable).strip() or self.raw

    @property
    def consensus_display(self) -> str:
        """Consensus and the rest of its hypothesis together."""
        return (self.consensus + self.consensus_unstable).strip()


class Stabilizer:
    """Stable text of one utterance. Each hypothesis covers the utterance from its start."""

    def __init__(self) -> None:
        self._evidence = _Evidence()
        self._accepted: deque[str] = deque(maxlen=_COMPARED_ACCEPTED)
        self._outliers: deque[tuple[NormalizedText, int]] = deque(maxlen=_COMPARED_OUTLIERS)
        self._stable = ""  # normalised, as is the consensus
        self._consensus = ""
        self._latest = StableText()
        self._published_length = 0

    def observe(
        self, text: str, *, audio_end_sample: int, publishable: bool = True, complete: bool = False
    ) -> StableText:
        """Process the next hypothesis.

        Args:
            text: Hypothesis from the start of the utterance. Text without a letter or digit takes a sequence number
                and changes nothing else.
            audio_end_sample: End of its audio; never decreases. The same position again adds no evidence.
            publishable: Whether the client will get the result. If not, the `delta` of the next publishable result
                begins with the text committed here.
            complete: Whether a silence ends it. Then it is most probably the final, and needs no other evidence.
        """
        hypothesis = normalized_text(text)
        seen = replace(
            self._latest,
            sequence=self._latest.sequence + 1,
            raw=hypothesis.raw,
            delta="",
            internal_revision=False,
            is_outlier=False,
            commit_reason=CommitReason.NONE,
        )
        if hypothesis.normal:
            conflict = not (hypothesis.normal.startswith(self._stable) or self._stable.startswith(hypothesis.normal))
            seen = replace(seen, stable_prefix_conflict=conflict)
            if self._is_outlier(hypothesis.normal):
                self._outliers.append((hypothesis, audio_end_sample))
                seen = replace(seen, is_outlier=True)
            else:
                self._accept(hypothesis, audio_end_sample)
                seen = self._judge(hypothesis, seen, complete=complete)
            if publishable:
                seen = replace(seen, delta=seen.stable[self._published_length :])
                self._published_length = len(seen.stable)
        self._latest = seen
        return seen

    def retract(self) -> StableText:
        """The result that withdraws all text, because the utterance has no words after all; the last one."""
        self._latest = StableText(sequence=self._latest.sequence + 1)
        return self._latest

    def agrees_with(self, final: str) -> bool:
        """Whether a final begins with the words published as stable; case and punctuation may differ."""
        published = normalized_text(self._latest.stable[: self._published_length]).normal
        normal = normalized_text(final).normal
        return not published or (normal.startswith(published) and ends_word(normal, len(published)))

    def _is_outlier(self, normal: str) -> bool:
        """Whether a hypothesis is an outlier. If it confirms earlier outliers, they replace the accepted ones."""
        # Text that continues the consensus is no outlier. Without a consensus, no text counts as its continuation.
        if not self._accepted or normal.startswith(self._consensus or normal + " "):
            return False
        if any(_alike(normal, accepted) for accepted in self._accepted):
            return False
        if self._consensus or not any(_similar(normal, outlier.normal) for outlier, _ in self._outliers):
            return True
        self._evidence = _Evidence()
        self._accepted.clear()
        for outlier, audio_end_sample in tuple(self._outliers):
            self._accept(outlier, audio_end_sample)
        return False

    def _accept(self, hypothesis: NormalizedText, audio_end_sample: int) -> None:
        self._outliers.clear()
        self._accepted.append(hypothesis.normal)
        self._evidence.add(hypothesis.normal, audio_end_sample)

    def _judge(self, hypothesis: NormalizedText, seen: StableText, *, complete: bool) -> StableText:
        """Update consensus and stable text with an accepted hypothesis."""
        raw, normal = hypothesis.raw, hypothesis.normal
        consensus = normal if complete else normal[: self._supported(normal)]
        revised = not consensus.startswith(self._consensus)
        self._consensus = consensus
        stable, reason = seen.stable, CommitReason.NONE
        if consensus.startswith(self._stable) and consensus != self._stable:
            stable += raw[hypothesis.raw_end(len(self._stable)) : hypothesis.raw_end(len(consensus))]
            reason = CommitReason.EVIDENCE
            self._stable = consensus
        return replace(
            seen,
            stable=stable,
            unstable=self._unstable(hypothesis),
            consensus=raw[: hypothesis.raw_end(len(consensus))],
            consensus_unstable=raw[hypothesis.raw_end(len(consensus)) :],
            public_consensus_aligned=consensus.startswith(self._stable),
            internal_revision=revised,
            commit_reason=reason,
            stable_normalized_offset=len(self._stable),
        )

    def _supported(self, normal: str) -> int:
        """Length of the prefix of the newest hypothesis whose words have enough evidence."""
        agreed = self._evidence.agreed()
        first = min(agreed, self._evidence.seen(_FIRST_SEEN_SAMPLES))
        later = [min(agreed, self._evidence.seen(samples)) for samples in _SEEN_SAMPLES]
        spans = list(words(normal))
        supported = 0
        for right, (start, end) in zip(range(len(spans) - 1, -1, -1), spans, strict=True):
            after_space = start > 0 and normal[start - 1] == " "
            # All hypotheses must end the word here, so one character more than the word's own must be agreed.
            if end + 1 > (later[min(right, len(later) - 1)] if after_space else first):
                break
            if after_space and end - start < _MIN_RIGHT_OF_SPACE:
                letters = normal[start:agreed].replace(" ", "")
                if len(letters) < _MIN_RIGHT_OF_SPACE:
                    break
            supported = end
        return supported

    def _unstable(self, hypothesis: NormalizedText) -> str:
        raw, normal = hypothesis.raw, hypothesis.normal
        if normal.startswith(self._stable):
            return raw[hypothesis.raw_end(len(self._stable)) :]
        if self._stable.startswith(normal):
            return ""
        shared = common_length(normal, self._stable)
        while shared and not (ends_word(normal, shared) and ends_word(self._stable, shared)):
            shared -= 1
        rest = raw[hypothesis.raw_end(shared) :].strip()
        return f" ... {rest}" if rest else ""


class _Evidence:
    """Length of the prefix that each hypothesis of the last 8 s of audio shares with the newest."""

    def __init__(self) -> None:
        # One entry for each hypothesis, in order of time; the last is the newest.
        self._ends: list[int] = []  # of its audio, in samples
        self._texts: list[str] = []
        self._shared: list[int] = []  # characters that it shares with the newest
        self._agreed: list[int] = []  # the same, plus one if both end a word there

    def add(self, normal: str, audio_end_sample: int) -> None:
        """Add a hypothesis; one of the same audio replaces the newest."""
        step = common_length(self._texts[-1], normal) if self._texts else 0
        shared = [
            # What shared another length with the hypothesis before shares the shorter of both with this one.
            min(length, step) if length != step else step + common_length(text[step:], normal[step:])
            for text, length in zip(self._texts, self._shared, strict=True)
        ]
        count = len(self._ends)
        if count and audio_end_sample <= self._ends[-1]:
            count -= 1
            audio_end_sample = self._ends[-1]
        oldest = bisect_left(self._ends, audio_end_sample - _WINDOW_SAMPLES, max(0, count - _MAX_HYPOTHESES + 1), count)
        self._ends = [*self._ends[oldest:count], audio_end_sample]
        self._texts = [*self._texts[oldest:count], normal]
        self._shared = [*shared[oldest:count], len(normal)]
        self._agreed = [
            length + (ends_word(normal, length) and ends_word(text, length))
            for text, length in zip(self._texts, self._shared, strict=True)
        ]

    def agreed(self) -> int:
        """Characters that enough of the newest hypotheses agree on, plus one if all end a word there; 0 if too few."""
        agreed = sys.maxsize
        for count, (end, length) in enumerate(zip(reversed(self._ends), reversed(self._agreed), strict=True), 1):
            agreed = min(agreed, length)
            if any(count >= least and self._ends[-1] - end >= samples for least, samples in _AGREEING):
                return agreed
        return 0

    def seen(self, samples: int) -> int:
        """Characters that a hypothesis had at least this much audio ago, plus one if it ended a word there."""
        return max(self._agreed[: bisect_right(self._ends, self._ends[-1] - samples)], default=0)


def _alike(normal: str, accepted: str) -> bool:
    return normal.startswith(accepted) or accepted.startswith(normal) or _similar(normal, accepted)


def _similar(first: str, second: str) -> bool:
    """Whether the ends of two texts have a difflib ratio of at least `_MIN_SIMILARITY`."""
    matcher = SequenceMatcher(None, first[-_COMPARED_CHARACTERS:], second[-_COMPARED_CHARACTERS:], autojunk=False)
    return matcher.quick_ratio() >= _MIN_SIMILARITY and matcher.ratio() >= _MIN_SIMILARITY
