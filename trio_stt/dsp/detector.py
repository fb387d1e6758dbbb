"""The verdict on each window of one session: telephone band, energy gate, then WebRTC, then Silero.

It owns one session's detector state and the choice of the windows that Silero hears. It must not decide about
utterances: the segmenter does, from the verdicts.

What Silero remembers matters more than which windows it skips. Fed with background alone, it drifts within seconds into
a state that hears speech late, up to 20 windows and more, and now and then misses a word that it catches at once when
its state is fresh from speech. Fresh from loud speech, in turn, it is up to 40 windows late on a voice 15 to 23 dB
softer. So while nobody speaks two states, the ears, hear the same windows, and the higher probability counts. Whenever
Silero is woken after a skipped stretch, and every half second while it hears nothing in sound that it cannot skip, the
first ear returns to its state from shortly after the last speech and the second to its state after long silence. Inside
an utterance one ear is enough: the better one goes on alone.

Everything here is judged in the telephone band, at one level: the loudest recent window, inside an utterance the
loudest of it so far, is brought to it. So a word begins and ends at the same window at every sample rate from 8 kHz up,
where the hiss of an "s" is or is not in the signal, and as soft speech as in loud.

Measured with starts above 0.95, on 132 phrases at -20 to -45 dBFS in silence and noise and 44 that follow a voice 15 to
23 dB louder: no start comes more than two windows later than from a Silero that is always fed, all come within 15
windows of the phrase, after loud speech within 21, where that one at times needs twice as many and misses one. After
long digital silence soft speech may be found 12 windows later. Noise, clicks and chimes start nothing.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.dsp.band import TelephoneBand
from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.silero import INPUT_SAMPLES, SileroModel, new_state
from trio_stt.dsp.webrtc import WebRtcVad

# Starts move by less than half a window on average from half to twice these counts.
_REPLAY = 4
"""Skipped windows that Silero hears after all when it is woken: the soft beginning of a word."""

_KEEP_AFTER = 20
"""Quiet windows after speech until the first ear's state is kept. Kept earlier, it takes loud noise for half a voice
(0.83 instead of 0.6 at most); kept later, the drift has begun."""

_LISTEN_ON = 4
"""Quiet windows after any other sound until Silero may sleep again."""

_RETURN_EVERY = 16
"""Quiet windows in a row, without speech, after which ears that are kept awake return to where they start from."""

_WEBRTC_RECENT = 31
"""Windows, 1.0 s, for which WebRTC's last yes counts (docs/protocol.md, Starting an utterance)."""

_SURELY_QUIET = 0.1
"""Below this probability a window is background: its level may lift the noise floor."""

_SURELY_SPEECH = 0.95
"""Above this probability somebody spoke: a state worth keeping follows."""

_HEARD_RMS = 1640.0
"""To this level, -26 dBFS, the loudest window is brought for Silero. At -23 a reader's breath becomes speech."""

_MAX_GAIN = 16.0
"""24 dB brings the loudest windows of speech at -45 dBFS there, and leaves the noise of a quiet room quiet."""

_FADE = 0.98
"""How the loudest window fades for each window where nobody speaks: 20 dB in 3.6 s. At 0.9 starts waver."""


class VadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the detectors think of one window.

    Attributes:
        rms: Its level in the telephone band, int16 units, 0 to 32768.
        gate_open: The energy gate let it pass.
        webrtc: WebRTC hears speech; False when it was not asked.
        probability: Silero's probability of speech, 0 to 1; 0.0 when it was not asked.
    """

    rms: float
    gate_open: bool
    webrtc: bool
    probability: float


class SpeechDetector:
    """The voice detection of one session.

    WebRTC is asked when the gate is open, Silero when besides that WebRTC has heard speech within the last second.
    WebRTC has no say on windows below the energy threshold: it misses soft speech that Silero hears. While somebody
    speaks, and until what was heard has faded, both are always asked.
    """

    def __init__(self, model: SileroModel, *, energy_threshold: float, webrtc_mode: int) -> None:
        """Make a detector that has heard nothing.

        Args:
            model: Silero, shared by all sessions.
            energy_threshold: RMS in int16 units from which every window passes the gate.
            webrtc_mode: WebRTC's aggressiveness, 0 to 3.

        Raises:
            ValueError: The mode is out of range.
        """
        self._model = model
        self._threshold = energy_threshold
        self._band = TelephoneBand(_REPLAY * WINDOW_SAMPLES + INPUT_SAMPLES)
        self._gate = EnergyGate(energy_threshold)
        self._webrtc = WebRtcVad(webrtc_mode)
        self._forget()

    def _forget(self) -> None:
        self._vad_states = np.stack((new_state(), self._model.silence_state))
        self._saved_state = new_state()
        self._second_is_better = False
        self._skipped = 0
        self._quiet_run = _LISTEN_ON
        self._spoke = False
        self._since_webrtc = _WEBRTC_RECENT
        self._speaking = False
        self._loudest = _HEARD_RMS

    def reset(self) -> None:
        """Forget everything heard, the noise floor too."""
        self._band.reset()
        self._gate.reset()
        self._webrtc.reset()
        self._forget()

    def detect(self, window: NDArray[np.int16], *, speaking: bool = False) -> VadResult:
        """The verdict on the session's next window.

        Args:
            window: int16, shape (512,), mono, 16 kHz; the session's windows in order.
            speaking: The session is inside an utterance, so that Silero must hear every window.

        Raises:
            ValueError: The window has another type or shape.
        """
        level = self._band.push(window)
        gate_open = self._gate.passes(level)
        listening = self._quiet_run < (_KEEP_AFTER if self._spoke else _LISTEN_ON)
        active = (gate_open or listening or speaking) and self._webrtc.is_speech(self._band.recent[-WINDOW_SAMPLES:])
        self._since_webrtc = 0 if active else self._since_webrtc + 1
        if speaking != self._speaking:
            self._switch_speaking(speaking=speaking)
        self._loudest = max(level, self._loudest if speaking else self._loudest * _FADE)
        voiced = level < self._threshold or self._since_webrtc < _WEBRTC_RECENT
        probability = 0.0
        if speaking or listening or (gate_open and voiced):
            probability = self._hear()
            self._learn(level, probability)
        else:
            self._skipped += 1
            if not gate_open:
                self._gate.follow(level)
        return VadResult(rms=level, gate_open=gate_open, webrtc=active, probability=probability)

    def _switch_speaking(self, *, speaking: bool) -> None:
        """An utterance begins, and the better ear goes on alone; or it ends, and the second ear joins in."""
        if speaking and self._second_is_better:
            self._vad_states[0] = self._vad_states[1]
        elif not speaking:
            self._vad_states[1] = self._model.silence_state
        self._speaking = speaking

    def _hear(self) -> float:
        """The window's probability of speech; after a stretch too long to make up for, by ears that start afresh."""
        replayed = min(self._skipped, _REPLAY)
        if self._skipped > _REPLAY:
            self._start_afresh()
            self._quiet_run = 0
        self._skipped = 0
        gain = np.float32(min(_HEARD_RMS / max(self._loudest, 1.0), _MAX_GAIN))
        states = self._vad_states[:1] if self._speaking else self._vad_states
        for windows in range(replayed, 0, -1):
            self._model.score(self._newest(windows), states, gain)
        probabilities: list[float] = self._model.score(self._newest(0), states, gain).tolist()
        probability = max(probabilities)
        if probability >= _SURELY_QUIET:
            self._second_is_better = probabilities[0] < probability
        return probability

    def _newest(self, windows: int) -> NDArray[np.int16]:
        """The newest window but so many, and the context before it."""
        start = (_REPLAY - windows) * WINDOW_SAMPLES
        return self._band.recent[start : start + INPUT_SAMPLES]

    def _start_afresh(self) -> None:
        self._vad_states[0] = self._saved_state
        self._vad_states[1] = self._model.silence_state

    def _learn(self, level: float, probability: float) -> None:
        """What follows from a window that Silero heard, for the noise floor and what it remembers."""
        if probability >= _SURELY_QUIET:
            self._quiet_run = 0
            self._spoke = self._spoke or probability > _SURELY_SPEECH
            return
        self._gate.follow(level)
        self._quiet_run += 1
        if self._spoke:
            if self._quiet_run >= _KEEP_AFTER:
                self._saved_state[:] = self._vad_states[0]
                self._spoke = False
        elif not self._speaking and self._quiet_run % _RETURN_EVERY == 0:
            self._start_afresh()
