"""Evidence for speech: decides over several windows whether sound that may be speech is speech.

The first decision is early: a window that is more likely speech than not opens a candidate. The second one adds up the
log-odds of its windows (Page's test, a sequential likelihood ratio). Enough evidence confirms the candidate as an
utterance; when none is left, it is dropped, and no client hears of it. So one clear window or several doubtful ones in
a row are speech, and a short sound that resembles speech a little is not.
"""

import math
from dataclasses import dataclass

from trio_stt.dsp import SAMPLE_RATE_HZ

_MOST = 3.0
"""Log-odds that one window adds, at most: those of a probability of 0.95. Silero's highest probabilities are no better
evidence."""

_LEAST = -0.5
"""Log-odds that one window adds, at least: a pause of 0.2 s within a word must not use up its evidence."""

_ENOUGH = 6.0
"""Evidence that confirms a candidate, in log-odds: two windows above 0.95, or eight of 0.7. On the recordings of
`benchmarks.real_speech`, every clip of speech reaches 28, and sounds without any speech 2.3 at most; telephone noise
reached 4.4. One window above `start_probability` needs no more evidence."""

_MAX_AGE_SAMPLES = SAMPLE_RATE_HZ
"""A candidate reaches back at most this far: evidence that grows more slowly is no beginning of a word."""


def _log_odds(probability: float) -> float:
    if probability <= 0.0:
        return _LEAST
    if probability >= 1.0:
        return _MOST
    return min(max(math.log(probability / (1.0 - probability)), _LEAST), _MOST)


@dataclass(slots=True)
class Candidate:
    """Sound that may be the beginning of an utterance.

    Attributes:
        start_sample: Start of its first window; the pre-roll lies before it.
        speech_end_sample: Position after its last window of speech.
        speech_windows: Its windows of speech.
    """

    start_sample: int
    speech_end_sample: int
    speech_windows: int = 0
    _evidence: float = 0.0

    def add(self, probability: float, *, end_sample: int, speech: bool) -> None:
        """Add the next window, which ends at `end_sample`; `speech` if it belongs to a run of speech."""
        self._evidence = max(0.0, self._evidence + _log_odds(probability))
        self.start_sample = max(self.start_sample, end_sample - _MAX_AGE_SAMPLES)
        if speech:
            self.speech_end_sample = end_sample
            self.speech_windows += 1

    @property
    def confirmed(self) -> bool:
        """Whether it is an utterance."""
        return self._evidence >= _ENOUGH

    @property
    def refuted(self) -> bool:
        """Whether no evidence is left."""
        return self._evidence == 0.0
