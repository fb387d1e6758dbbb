"""Stable text: the words of a running utterance that successive partials agree on. See docs/protocol.md, Stable text.

Local agreement in the sense of Liu et al. (2020), "Low-latency sequence-to-sequence speech recognition and translation
by partial hypothesis selection", over a stretch of audio: a word is committed when all hypotheses of that stretch begin
with the same words up to it. Committed text only grows. It owns the text of one utterance and must not know where
hypotheses come from; time is audio time.

Evidence is one figure for each remembered hypothesis: how many leading characters it shares with all later ones. So an
observation costs time in proportion to its text, and nothing grows with the utterance but its text.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Threshold:
    """What a word must have before it counts as stable."""

    confirmations: int
    span_samples: int


def _threshold(confirmations: int, span_s: float) -> _Threshold:
    return _Threshold(confirmations=confirmations, span_samples=samples_of(span_s))


_FIRST_WORD = _threshold(2, 0.80)
"""For the utterance's first word, and for more letters of a word that was committed as if it were complete."""
_LATER_WORD = _threshold(4, 0.75)
"""For a word after a space: what RealtimeSTT's server asks of the space, here asked of the word as well.

Besides, all hypotheses of the span must agree, where that server counts those that do; and whole words only. Measured
on Moonshine's partials of 17 utterances at 15 cadences and phases of 0.06 to 0.32 s: 0 to 2.5 % of the committed words
contradicted by the final, committed at the median 0.77 to 0.96 s after they were first heard. Spans of up to 1 s
contradict as much.
"""
_LAST_WORD = _threshold(2, 0.80)
"""For the last word of a hypothesis: the one that the engine guesses at."""
_LEAST_RIGHT_OF_SPACE = 2
_WINDOW_SAMPLES = samples_of(8.0)
_REMEMBERED = 128
_SIMILARITY = 0.35
_COMPARED_ACCEPTED = 5
_COMPARED_OUTLIERS = 3
"""The values of RealtimeSTT's server: docs/protocol.md, Stable text."""
_COMPARED_CHARACTERS = 256
"""Similarity is judged on the ends of long texts, for its cost grows with the square of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StableText:
    """A partial, split for display: the text fields of the `realtime` event.

    Attributes:
        sequence: Number of the observation in its utterance, from 1.
        raw: The hypothesis itself, stripped.
        stable: Committed words; they are never taken back within the utterance.
        delta: What was added to `stable` since the last publishable observation.
        unstable: What to show after `stable`, with its leading space or punctuation.
        consensus: What the evidence supports now; unlike `stable` it may be rewritten.
        consensus_unstable: The rest of the hypothesis that `consensus` comes from.
        public_consensus_aligned: Whether `stable` is the beginning of `consensus`, in normalised characters.
        internal_revision: Whether this observation rewrote `consensus` instead of extending it.
        is_outlier: Whether the hypothesis was rejected; all but `raw` and `stable_prefix_conflict` is as before.
        stable_prefix_conflict: Whether the hypothesis contradicts `stable`; one that merely ends earlier does not.
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
        """Consensus and its rest together."""
        return (self.consensus + self.consensus_unstable).strip()


class Stabilizer:
    """Follows the hypotheses of one utterance; each covers the utterance from its start."""

    def __init__(self) -> None:
        self._evidence = _Evidence()
        self._accepted: deque[str] = deque(maxlen=_COMPARED_ACCEPTED)
        self._outliers: deque[tuple[NormalizedText, int]] = deque(maxlen=_COMPARED_OUTLIERS)
        self._stable = ""  # normalised, as is the consensus
        self._consensus = ""
        self._latest = StableText()
        self._published_length = 0

    def observe(self, text: str, *, audio_end_sample: int, publishable: bool = True) -> StableText:
        """Take the next hypothesis.

        Args:
            text: What the engine heard from the start of the utterance. Text without a letter or digit takes a
                sequence number and changes nothing.
            audio_end_sample: Position up to which it heard; does not decrease. The same position again is no evidence.
            publishable: Whether the client will see the result. If not, what was committed is held back, and the next
                publishable result's `delta` begins with it.
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
                seen = self._judge(hypothesis, seen)
            if publishable:
                seen = replace(seen, delta=seen.stable[self._published_length :])
                self._published_length = len(seen.stable)
        self._latest = seen
        return seen

    def agrees_with(self, final: str) -> bool:
        """Whether a final begins with the words published as stable; case and punctuation may differ."""
        published = normalized_text(self._latest.stable[: self._published_length]).normal
        normal = normalized_text(final).normal
        return not published or (normal.startswith(published) and ends_word(normal, len(published)))

    def _is_outlier(self, normal: str) -> bool:
        """Tell whether a hypothesis is too odd; may adopt the branch of earlier outliers that it confirms."""
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

    def _judge(self, hypothesis: NormalizedText, seen: StableText) -> StableText:
        """Consensus, commit and display of an accepted hypothesis."""
        raw, normal = hypothesis.raw, hypothesis.normal
        consensus = normal[: self._supported(normal)]
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
        """How many leading characters of the newest hypothesis are words with enough evidence."""
        first, later, last = (self._evidence.agreed(t) for t in (_FIRST_WORD, _LATER_WORD, _LAST_WORD))
        supported = 0
        for start, end in words(normal):
            after_space = start > 0 and normal[start - 1] == " "
            agreed = later if after_space else first
            if end == len(normal):
                agreed = min(agreed, last)
            # A word counts as agreed on only if all hypotheses ended it there: one character more than its own.
            if end + 1 > agreed:
                break
            if after_space and end - start < _LEAST_RIGHT_OF_SPACE:
                right = normal[start:agreed].replace(" ", "")
                if len(right) < _LEAST_RIGHT_OF_SPACE:
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
    """How far the hypotheses of the last stretch of audio agree with the newest one."""

    def __init__(self) -> None:
        self._newest = ""
        self._points: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)  # (audio end, characters agreed on)

    def add(self, normal: str, audio_end_sample: int) -> None:
        """Add a hypothesis; one of the same audio takes the place of the newest."""
        shared = common_length(normal, self._newest)
        shared += ends_word(normal, shared) and ends_word(self._newest, shared)
        if self._points and audio_end_sample <= self._points[-1][0]:
            audio_end_sample, _ = self._points.pop()
        oldest = audio_end_sample - _WINDOW_SAMPLES
        kept = [(end, min(agreed, shared)) for end, agreed in self._points if end >= oldest]
        self._points = deque([*kept, (audio_end_sample, len(normal) + 1)], maxlen=_REMEMBERED)
        self._newest = normal

    def agreed(self, threshold: _Threshold) -> int:
        """Characters of the newest hypothesis that as much evidence as this supports; one more where a word ends."""
        latest = self._points[-1][0]
        for number, (end, agreed) in enumerate(reversed(self._points), 1):
            if number >= threshold.confirmations and latest - end >= threshold.span_samples:
                return agreed
        return 0


def _alike(normal: str, accepted: str) -> bool:
    return normal.startswith(accepted) or accepted.startswith(normal) or _similar(normal, accepted)


def _similar(first: str, second: str) -> bool:
    """Whether the ends of two texts have a difflib ratio of at least `_SIMILARITY`."""
    matcher = SequenceMatcher(None, first[-_COMPARED_CHARACTERS:], second[-_COMPARED_CHARACTERS:], autojunk=False)
    return matcher.quick_ratio() >= _SIMILARITY and matcher.ratio() >= _SIMILARITY
