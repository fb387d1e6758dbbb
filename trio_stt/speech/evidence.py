"""Evidence for speech: decides over several windows whether sound that may be speech is speech.

The first decision is early: a window that is more likely speech than not opens a candidate. The second one adds up the
log-odds of its windows (Page's test, a sequential likelihood ratio). Enough evidence confirms the candidate as an
utterance; when none is left, it is dropped, and no client hears of it. So one clear window or several doubtful ones in
a row are speech, and a short sound that resembles speech a little is not.
"""

import math
from dataclasses import dataclass, field

from trio_stt.dsp import SAMPLE_RATE_HZ

_MOST = 3.0
"""Log-odds that one window adds, at most: those of a probability of 0.95. Silero's highest probabilities are no better
evidence."""

_LEAST = -0.5
"""Log-odds that one window adds, at least: a pause of 0.2 s within a word must not use up its evidence."""

_ENOUGH = 6.0
"""Evidence that confirms a candidate, in log-odds: two windows above 0.95, or eight of 0.7. On the recordings of
`benchmarks.real_speech`, every clip of speech reaches 28, and sounds without any speech 2.3 at most; telephone noise
reached 4.4. One window above `start_probability` needs no more evidence. Of 400 recordings whose voice was replaced by
noise (`--change whispered`), 23 have neither: their evidence lies from 0 to 5.9, among that of other sounds.

More does not separate better: on 120 min of voices of animals, instruments and signals, changed in ten ways, evidence 9
starts 77 utterances instead of 114, but misses 231 of 5,200 changed clips of speech instead of 193, the more of them
whispered, far or without the sound below 300 Hz. With 9 only where no window is above 0.9, it is 85 and 226."""

_BEYOND_DOUBT = 15.0
"""Evidence, at its highest, from which an utterance is speech whatever its text: five windows above 0.95. Every clip of
speech reaches 28. Of 40 min of distorted sounds without speech, seven reached 3.5 to 12.4, and one 16."""

_MAX_AGE_SAMPLES = SAMPLE_RATE_HZ
"""A candidate reaches back at most this far: evidence that grows more slowly is no beginning of a word."""


def _log_odds(probability: float) -> float:
    if probability <= 0.0:
        return _LEAST
    if probability >= 1.0:
        return _MOST
    return min(max(math.log(probability / (1.0 - probability)), _LEAST), _MOST)


@dataclass(slots=True)
class Evidence:
    """The evidence of one sound, added up window by window."""

    sum: float = 0.0
    most: float = 0.0

    def add(self, probability: float) -> None:
        """Add the next window."""
        self.sum = max(0.0, self.sum + _log_odds(probability))
        self.most = max(self.most, self.sum)

    @property
    def doubtful(self) -> bool:
        """Whether it was never beyond doubt: a text that engines invent for noise is not believed."""
        return self.most < _BEYOND_DOUBT


@dataclass(slots=True)
class Candidate:
    """Sound that may be the beginning of an utterance.

    Attributes:
        start_sample: Start of its first window; the pre-roll lies before it.
        speech_end_sample: Position after its last window of speech.
        speech_windows: Its windows of speech.
        evidence: That it is speech.
    """

    start_sample: int
    speech_end_sample: int
    speech_windows: int = 0
    evidence: Evidence = field(default_factory=Evidence)

    def add(self, probability: float, *, end_sample: int, speech: bool) -> None:
        """Add the next window, which ends at `end_sample`; `speech` if it belongs to a run of speech."""
        self.evidence.add(probability)
        self.start_sample = max(self.start_sample, end_sample - _MAX_AGE_SAMPLES)
        if speech:
            self.speech_end_sample = end_sample
            self.speech_windows += 1

    @property
    def confirmed(self) -> bool:
        """Whether it is an utterance."""
        return self.evidence.sum >= _ENOUGH

    @property
    def refuted(self) -> bool:
        """Whether no evidence is left."""
        return self.evidence.sum == 0.0
