"""The energy gate: is a window worth the attention of the voice detectors?

It owns the followed level of a session's background noise. It saves work in quiet rooms and nothing else: when in doubt
it lets a window pass, and it must not judge what is speech.
"""

_MIN_FLOOR_RMS = 1.0
"""The floor starts here and never sinks below: a level of dither, 90 dB below full scale. So a stream that begins
inside speech or in noise passes until the noise is known."""

_OPEN_RATIO = 1.5
"""A window passes 3.5 dB above the floor. White noise stays within 1 dB of its median, pink room noise within 2 dB. On
all speech at hand 1.25 and 2 find the same words at the same windows; 2.5 finds some later."""

_STEP = 1.05
"""The floor moves by 5 % (0.4 dB) for each quiet window: from nothing to a noise of RMS 100 in 3 s, while one slammed
door or a breath changes nothing."""


class EnergyGate:
    """Follows the noise floor of one session.

    The floor is a running median: it goes up one step for each louder and down one for each softer window that the
    owner calls quiet. The owner is to call quiet what the gate stopped, and what a detector heard and was sure to be no
    speech; so speech never lifts the floor, however the stream begins and however long somebody talks.
    """

    def __init__(self, energy_threshold: float) -> None:
        """Make a gate with the floor at its lowest.

        Args:
            energy_threshold: RMS in int16 units from which every window passes; 0 lets everything pass.
        """
        self._threshold = energy_threshold
        self._floor = _MIN_FLOOR_RMS

    @property
    def floor_rms(self) -> float:
        """The followed noise floor, RMS in int16 units, at least 1."""
        return self._floor

    def passes(self, rms: float) -> bool:
        """Whether a window of this RMS (int16 units) is worth more attention."""
        return rms >= self._threshold or rms > self._floor * _OPEN_RATIO

    def follow(self, rms: float) -> None:
        """Move the floor toward the RMS (int16 units) of a window that is known to be quiet."""
        if rms > self._floor:
            self._floor = min(self._floor * _STEP, rms)
        else:
            self._floor = max(self._floor / _STEP, rms, _MIN_FLOOR_RMS)

    def reset(self) -> None:
        """Forget the floor."""
        self._floor = _MIN_FLOOR_RMS
