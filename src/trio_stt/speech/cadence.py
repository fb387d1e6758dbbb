"""When the next partial of an utterance is due, on the audio clock. Contract: sections 5.1 and 5.4.

It owns the rhythm only: who transcribes, and what was heard, is not its business.
"""

from trio_stt.dsp import SAMPLE_RATE_HZ


class PartialCadence:
    """The rhythm of one utterance: a first partial after a least length, then one each time enough audio came."""

    def __init__(self, *, start_sample: int, pause_s: float, min_audio_s: float) -> None:
        self._pause_samples = max(1, round(pause_s * SAMPLE_RATE_HZ))
        self._next_sample = start_sample + max(1, round(min_audio_s * SAMPLE_RATE_HZ))

    def is_due(self, end_sample: int) -> bool:
        """Whether audio up to `end_sample` deserves a partial."""
        return end_sample >= self._next_sample

    def taken(self, end_sample: int) -> None:
        """A partial of the audio up to `end_sample` was asked for."""
        self._next_sample = end_sample + self._pause_samples
