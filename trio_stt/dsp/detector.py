"""Voice activity detection of one session, window by window: energy gate, then WebRTC, then Silero.

It owns the detector state of one session and decides which windows Silero gets. The segmenter decides about utterances.

Silero's LSTM state matters more than the windows that it skips:

- With background alone, the state drifts within seconds, and Silero detects the next speech up to 20 windows late or,
  rarely, misses a word that it detects at once from the state after speech.
- From the state after loud speech, it detects a voice 15 to 23 dB softer up to 40 windows late.

So outside utterances, each window is scored from two states, and the higher probability counts. One starts from the
state shortly after the last speech, the other from the state after long silence. Both return there when Silero wakes
after skipped windows, and every half second while it finds no speech in sound that it cannot skip. Inside an utterance,
one state is enough: the better of the two continues alone.

All windows are filtered to the telephone band and brought to one level: the gain maps the loudest recent window, inside
an utterance its loudest so far, to -26 dBFS. So a word begins and ends at the same window at every sample rate from
8 kHz up, with or without the hiss of an "s", and at every level.

Measured with starts above 0.95, on 132 phrases at -20 to -45 dBFS in silence and noise, and 44 that follow a voice 15
to 23 dB louder: no start is more than two windows later than with a Silero that gets every window. All starts are
within 15 windows of the phrase, after loud speech within 21; the other Silero sometimes needs twice as many, and misses
one. After long digital silence, soft speech may start 12 windows later. Noise, clicks and chimes start nothing.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.dsp.band import TelephoneBand
from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.silero import INPUT_SAMPLES, SileroModel, new_state
from trio_stt.dsp.webrtc import WebRtcVad

# Half or twice these counts move starts by less than half a window on average.
_REPLAY_WINDOWS = 4
"""Skipped windows that Silero gets when it wakes: the soft beginning of a word."""

_SAVE_AFTER_WINDOWS = 20
"""Quiet windows after speech until Silero's state is saved. Saved earlier, it gives loud noise a probability of 0.83
instead of 0.6 at most; saved later, the drift has begun."""

_STAY_AWAKE_WINDOWS = 4
"""Quiet windows after any other sound until Silero may skip windows again."""

_RESTART_EVERY_WINDOWS = 16
"""Consecutive quiet windows without speech, 0.5 s, after which both states return to their starting points."""

_WEBRTC_WINDOWS = 31
"""Windows, 1.0 s, for which WebRTC's last speech window counts (docs/protocol.md, Starting an utterance)."""

_SURELY_QUIET = 0.1
"""Probability below which a window is background: its level may raise the noise floor."""

_SURELY_SPEECH = 0.95
"""Probability above which a window is speech for certain: Silero's state after it is worth saving."""

_TARGET_RMS = 1640.0
"""Level of the loudest window after the gain: -26 dBFS. At -23 dBFS a reader's breath is detected as speech."""

_MAX_GAIN = 16.0
"""24 dB: brings the loudest windows of speech at -45 dBFS to the target, and keeps the noise of a quiet room quiet."""

_LOUDEST_DECAY = 0.98
"""Factor per window by which the loudest level decays outside utterances: 20 dB in 3.6 s. At 0.9 starts vary."""


class VadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the voice detectors for one window.

    Attributes:
        rms: Its level in the telephone band, int16 units, 0 to 32768.
        gate_open: Whether the energy gate was open.
        webrtc: Whether WebRTC detected speech; False if it did not run.
        probability: Silero's probability of speech, 0 to 1; 0.0 if it did not run.
    """

    rms: float
    gate_open: bool
    webrtc: bool
    probability: float


class SpeechDetector:
    """Voice detector of one session.

    WebRTC runs if the gate is open, Silero if WebRTC has also detected speech within the last second. Below the energy
    threshold WebRTC's result does not count, because it misses soft speech that Silero detects. During an utterance,
    and for some windows after any sound, both always run.
    """

    def __init__(self, model: SileroModel, *, energy_threshold: float, webrtc_mode: int) -> None:
        """Start with silence.

        Args:
            model: Silero, shared by all sessions.
            energy_threshold: RMS in int16 units from which every window passes the gate.
            webrtc_mode: WebRTC's aggressiveness, 0 to 3.

        Raises:
            ValueError: The mode is out of range.
        """
        self._model = model
        self._threshold = energy_threshold
        self._band = TelephoneBand(_REPLAY_WINDOWS * WINDOW_SAMPLES + INPUT_SAMPLES)
        self._gate = EnergyGate(energy_threshold)
        self._webrtc = WebRtcVad(webrtc_mode)
        self._reset_state()

    def _reset_state(self) -> None:
        self._vad_states = np.stack((new_state(), self._model.silence_state))
        self._saved_state = new_state()
        self._second_is_better = False
        self._skipped = 0
        self._quiet_run = _STAY_AWAKE_WINDOWS
        self._had_speech = False
        self._since_webrtc = _WEBRTC_WINDOWS
        self._speaking = False
        self._loudest = _TARGET_RMS

    def reset(self) -> None:
        """Go back to the initial state, including the noise floor."""
        self._band.reset()
        self._gate.reset()
        self._webrtc.reset()
        self._reset_state()

    def detect(self, window: NDArray[np.int16], *, speaking: bool = False) -> VadResult:
        """Process the session's next window.

        Args:
            window: int16, shape (512,), mono, 16 kHz; the session's windows in order.
            speaking: Whether an utterance is running, in which Silero must get every window.

        Raises:
            ValueError: The window has another type or shape.
        """
        level = self._band.push(window)
        gate_open = self._gate.passes(level)
        # After speech, Silero gets every window until its state is saved; after any other sound, a few windows more.
        awake = self._quiet_run < (_SAVE_AFTER_WINDOWS if self._had_speech else _STAY_AWAKE_WINDOWS)
        active = (gate_open or awake or speaking) and self._webrtc.is_speech(self._band.recent[-WINDOW_SAMPLES:])
        self._since_webrtc = 0 if active else self._since_webrtc + 1
        if speaking != self._speaking:
            self._switch_speaking(speaking=speaking)
        self._loudest = max(level, self._loudest if speaking else self._loudest * _LOUDEST_DECAY)
        # A softer window may be speech without WebRTC's consent.
        voiced = level < self._threshold or self._since_webrtc < _WEBRTC_WINDOWS
        probability = 0.0
        if speaking or awake or (gate_open and voiced):
            probability = self._score_newest()
            self._update_state(level, probability)
        else:
            self._skipped += 1
            if not gate_open:
                self._gate.follow(level)
        return VadResult(rms=level, gate_open=gate_open, webrtc=active, probability=probability)

    def _switch_speaking(self, *, speaking: bool) -> None:
        """Follow the start or end of an utterance: the better state continues alone, or the second one joins again."""
        if speaking and self._second_is_better:
            self._vad_states[0] = self._vad_states[1]
        elif not speaking:
            self._vad_states[1] = self._model.silence_state
        self._speaking = speaking

    def _score_newest(self) -> float:
        """Probability of speech of the newest window, after the replay of skipped ones."""
        replayed = min(self._skipped, _REPLAY_WINDOWS)
        if self._skipped > _REPLAY_WINDOWS:
            # More was skipped than is replayed: the states would jump over a gap, so they start again.
            self._restart_states()
            self._quiet_run = 0
        self._skipped = 0
        gain = np.float32(min(_TARGET_RMS / max(self._loudest, 1.0), _MAX_GAIN))
        states = self._vad_states[:1] if self._speaking else self._vad_states
        for windows in range(replayed, 0, -1):
            self._model.score(self._window_before(windows), states, gain)
        probabilities: list[float] = self._model.score(self._window_before(0), states, gain).tolist()
        probability = max(probabilities)
        if probability >= _SURELY_QUIET:  # in background, a higher probability does not make a better state
            self._second_is_better = probabilities[0] < probability
        return probability

    def _window_before(self, windows: int) -> NDArray[np.int16]:
        """The window `windows` before the newest, with the 64 samples before it: int16, shape (576,)."""
        start = (_REPLAY_WINDOWS - windows) * WINDOW_SAMPLES
        return self._band.recent[start : start + INPUT_SAMPLES]

    def _restart_states(self) -> None:
        self._vad_states[0] = self._saved_state
        self._vad_states[1] = self._model.silence_state

    def _update_state(self, level: float, probability: float) -> None:
        """Update the noise floor and the saved state after a window that Silero scored."""
        if probability >= _SURELY_QUIET:
            self._quiet_run = 0
            self._had_speech = self._had_speech or probability > _SURELY_SPEECH
            return
        self._gate.follow(level)
        self._quiet_run += 1
        if self._had_speech:
            if self._quiet_run >= _SAVE_AFTER_WINDOWS:
                # Inside an utterance the first state runs alone, see `_switch_speaking`.
                self._saved_state[:] = self._vad_states[0]
                self._had_speech = False
        elif not self._speaking and self._quiet_run % _RESTART_EVERY_WINDOWS == 0:
            self._restart_states()
