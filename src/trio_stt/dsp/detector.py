"""The verdict on each window of one session: energy gate, then WebRTC, then Silero.

It owns one session's detector state and the choice of the windows that Silero hears. It must not decide about
utterances: the segmenter does, from the verdicts.

What Silero remembers matters more than which windows it skips. Fed with nothing but background for seconds, it drifts
into a state that hears speech late: after 12 s of room noise 15 dB below the voice it needs 10 windows more on average,
up to 25, and now and then misses a word that it catches at once when its state is fresh from speech. So the detector
keeps the state from shortly after the last speech (the anchor) and returns to it whenever Silero is woken after a
skipped stretch, and every half second while it hears nothing in sound that it cannot skip. On all speech at hand,
-20 to -45 dBFS, clean and in noise, starts then come as early as with a Silero that is always fed or earlier; at most
one in a hundred comes two or three windows later, at -45 dBFS.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.kernels import rms, to_float32
from trio_stt.dsp.silero import CONTEXT_SAMPLES, SileroModel, SileroState
from trio_stt.dsp.webrtc import WebRtcVad

# The detections stay the same from half to twice these counts of windows; they were chosen for cost within that.
_REPLAY = 16
"""Skipped windows that Silero hears after all when it is woken: the soft beginning of a word."""

_ANCHOR_AFTER = 20
"""Quiet windows after speech until its state is kept: the word has faded, and the drift has not begun."""

_LISTEN_ON = 4
"""Quiet windows after any other sound until Silero may sleep again."""

_REANCHOR_EVERY = 16
"""Quiet windows in a row, without speech, after which a Silero that is kept awake returns to the anchor."""

_WEBRTC_RECENT = 31
"""Windows, 1.0 s, for which WebRTC's last yes counts (contract, 4.2)."""

_SURELY_QUIET = 0.1
"""Below this probability a window is background: its level may lift the noise floor."""

_SURELY_SPEECH = 0.95
"""Above this probability somebody spoke: a state worth keeping follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the detectors think of one window.

    Attributes:
        rms: Its level, int16 units, 0 to 32768.
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

    A caller that scores many sessions together calls `prepare`, scores the windows that it names with `state`, and calls
    `complete`; `verdict` does that for one session.
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
        self.state = SileroState()
        self._model = model
        self._threshold = energy_threshold
        self._gate = EnergyGate(energy_threshold)
        self._webrtc = WebRtcVad(webrtc_mode)
        self._forget()

    def _forget(self) -> None:
        self._anchor = self.state.recurrent
        self._recent: deque[NDArray[np.int16]] = deque(maxlen=_REPLAY + 2)
        self._skipped = 0
        self._quiet_run = _LISTEN_ON
        self._spoke = False
        self._since_webrtc = _WEBRTC_RECENT
        self._speaking = False
        self._awake = False
        self._facts = (0.0, False, False)

    def reset(self) -> None:
        """Forget everything heard, the noise floor too."""
        self.state.reset()
        self._gate.reset()
        self._webrtc.reset()
        self._forget()

    def prepare(self, window: NDArray[np.int16], *, speaking: bool = False) -> tuple[NDArray[np.float32], ...]:
        """First half of a verdict: gate and WebRTC.

        Args:
            window: int16, shape (512,), mono, 16 kHz; the session's windows in order.
            speaking: The session is inside an utterance, so that Silero must hear every window.

        Returns:
            The windows that Silero must hear with `state` now, in order, float32 of shape (512,). Empty when it is not
            asked; otherwise `window` comes last, and is alone unless windows before it had been skipped.

        Raises:
            ValueError: The window has another type or shape.
        """
        level = rms(window)
        gate_open = self._gate.passes(level)
        listening = self._quiet_run < (_ANCHOR_AFTER if self._spoke else _LISTEN_ON)
        active = (gate_open or listening or speaking) and self._webrtc.is_speech(window)
        self._since_webrtc = 0 if active else self._since_webrtc + 1
        voiced = level < self._threshold or self._since_webrtc < _WEBRTC_RECENT
        self._awake = speaking or listening or (gate_open and voiced)
        self._speaking = speaking
        self._facts = (level, gate_open, active)
        self._recent.append(window.copy())
        if not self._awake:
            self._skipped += 1
            return ()
        return self._wake()

    def _wake(self) -> tuple[NDArray[np.float32], ...]:
        """The windows to hear now; after a stretch too long to make up for, from the anchor."""
        replayed = min(self._skipped, _REPLAY)
        windows = list(self._recent)
        if self._skipped > _REPLAY:
            self.state.recurrent = self._anchor
            self.state.context = to_float32(windows[-replayed - 2][-CONTEXT_SAMPLES:])
            self._quiet_run = 0
        self._skipped = 0
        return tuple(to_float32(window) for window in windows[-replayed - 1 :])

    def complete(self, probability: float = 0.0) -> Verdict:
        """Second half of a verdict.

        Args:
            probability: Silero's for the last window that `prepare` returned; anything when it returned none.
        """
        level, gate_open, active = self._facts
        if not self._awake:
            if not gate_open:
                self._gate.follow(level)
            return Verdict(rms=level, gate_open=gate_open, webrtc=active, probability=0.0)
        if probability >= _SURELY_QUIET:
            self._quiet_run = 0
            self._spoke = self._spoke or probability > _SURELY_SPEECH
        else:
            self._gate.follow(level)
            self._fade()
        return Verdict(rms=level, gate_open=gate_open, webrtc=active, probability=probability)

    def _fade(self) -> None:
        """One more quiet window that Silero heard: keep its state, or return to the one kept."""
        self._quiet_run += 1
        if self._spoke:
            if self._quiet_run >= _ANCHOR_AFTER:
                self._anchor = self.state.recurrent
                self._spoke = False
        elif not self._speaking and self._quiet_run % _REANCHOR_EVERY == 0:
            self.state.recurrent = self._anchor

    def verdict(self, window: NDArray[np.int16], *, speaking: bool = False) -> Verdict:
        """The verdict on the session's next window: `prepare`, Silero and `complete`; arguments and errors as there."""
        probability = 0.0
        for heard in self.prepare(window, speaking=speaking):
            probability = float(self._model.score(heard[np.newaxis], (self.state,))[0])
        return self.complete(probability)
