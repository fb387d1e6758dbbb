"""Voice activity detection of one session, window by window: energy gate, WebRTC if it is asked for, then Silero.

It owns the detector state of one session and decides which windows Silero gets. The segmenter decides about utterances.

Silero gets the whole band: without the hiss above the telephone band, its probability of whispered, creaky and falsetto
speech stays below 0.6. All windows are brought to one level: the gain maps the loudest recent window, inside an
utterance its loudest so far, to -26 dBFS. Without that, music is detected more often than soft speech. On the
recordings of `benchmarks.real_speech`, every clip of speech has windows above 0.95, and no other sound one above 0.8,
except a crowd in which people talk. Elsewhere voices of animals reach 0.97, and an office without the sound above
2.5 kHz reaches 0.92. Silero's own network for 8 kHz starts half as many utterances on telephone sounds without speech,
and understands hoarse and short speech worse: 26.3 % of words wrong instead of 25.3 %, of 205 clips.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.kernels import rms
from trio_stt.dsp.silero import INPUT_SAMPLES, SileroModel
from trio_stt.dsp.webrtc import WebRtcVad

_REPLAY_WINDOWS = 4
"""Skipped windows that Silero gets when it wakes: the soft beginning of a word. Half or twice as many move starts by
less than half a window on average."""

_STAY_AWAKE_WINDOWS = 4
"""Quiet windows after any other sound until Silero may skip windows again."""

_WEBRTC_WINDOWS = 31
"""Windows, 1.0 s, for which WebRTC's last speech window counts (docs/protocol.md, Starting an utterance)."""

_SURELY_QUIET = 0.1
"""Probability below which a window is background: its level may raise the noise floor."""

_TARGET_RMS = 1640.0
"""Level of the loudest window after the gain: -26 dBFS. At -23 dBFS a reader's breath is detected as speech."""

_MAX_GAIN = 16.0
"""24 dB: brings the loudest windows of speech at -45 dBFS to the target, and keeps the noise of a quiet room quiet."""

_LOUDEST_DECAY = 0.98
"""Factor per window by which the loudest level decays outside utterances: 20 dB in 3.6 s. At 0.9 starts vary."""


class VadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the voice detectors for one window.

    Attributes:
        rms: Its level, int16 units, 0 to 32768.
        probability: Silero's probability of speech, 0 to 1; 0.0 if it did not run.
    """

    rms: float
    probability: float


class SpeechDetector:
    """Voice detector of one session.

    Silero runs on windows that stand out of the noise; during an utterance, and for some windows after any sound, on
    all. The two settings of the reference server change that only if they are given.
    """

    def __init__(
        self, model: SileroModel, *, energy_threshold: float | None = None, webrtc_mode: int | None = None
    ) -> None:
        """Start with silence.

        Args:
            model: Silero, shared by all sessions.
            energy_threshold: RMS in int16 units from which every window passes the gate; None for no such level.
            webrtc_mode: WebRTC's aggressiveness, 0 to 3. Above the energy threshold, Silero then runs only if WebRTC
                has detected speech within the last second. None for no consent of WebRTC, which misses soft speech.

        Raises:
            ValueError: The mode is out of range.
        """
        self._model = model
        self._threshold = math.inf if energy_threshold is None else energy_threshold
        self._gate = EnergyGate(self._threshold)
        self._webrtc = None if webrtc_mode is None else WebRtcVad(webrtc_mode)
        self._reset_state()

    def _reset_state(self) -> None:
        self._recent = np.zeros(_REPLAY_WINDOWS * WINDOW_SAMPLES + INPUT_SAMPLES, np.int16)  # newest samples
        self._state = self._model.silence_state[np.newaxis].copy()
        self._skipped = 0
        self._quiet_run = _STAY_AWAKE_WINDOWS
        self._since_webrtc = _WEBRTC_WINDOWS
        self._loudest = 0.0

    def reset(self) -> None:
        """Go back to the initial state, including the noise floor."""
        self._gate.reset()
        if self._webrtc is not None:
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
        if window.dtype != np.int16 or window.shape != (WINDOW_SAMPLES,):
            raise ValueError(f"a window is int16 of shape ({WINDOW_SAMPLES},), not {window.dtype} {window.shape}")
        self._recent[:-WINDOW_SAMPLES] = self._recent[WINDOW_SAMPLES:]
        self._recent[-WINDOW_SAMPLES:] = window
        level = rms(window)
        self._loudest = max(level, self._loudest if speaking else self._loudest * _LOUDEST_DECAY)
        gate_open = self._gate.passes(level)
        awake = speaking or self._quiet_run < _STAY_AWAKE_WINDOWS
        consents = self._webrtc is None or self._webrtc_consents(self._webrtc, level)
        if not (awake or (gate_open and consents)):
            self._skipped += 1
            if not gate_open:
                self._gate.follow(level)
            return VadResult(rms=level, probability=0.0)
        probability = self._score_newest()
        if probability < _SURELY_QUIET:
            self._gate.follow(level)
            self._quiet_run += 1
        else:
            self._quiet_run = 0
        return VadResult(rms=level, probability=probability)

    def _webrtc_consents(self, webrtc: WebRtcVad, level: float) -> bool:
        active = webrtc.is_speech(self._recent[-WINDOW_SAMPLES:])
        self._since_webrtc = 0 if active else self._since_webrtc + 1
        return level < self._threshold or self._since_webrtc < _WEBRTC_WINDOWS

    def _score_newest(self) -> float:
        """Probability of speech of the newest window, after the replay of skipped ones."""
        replayed = min(self._skipped, _REPLAY_WINDOWS)
        if self._skipped > _REPLAY_WINDOWS:
            # The state goes on over the gap: one that starts again takes music for speech for some windows.
            self._quiet_run = 0
        self._skipped = 0
        gain = np.float32(min(_TARGET_RMS / max(self._loudest, 1.0), _MAX_GAIN))
        for windows in range(replayed, 0, -1):
            self._model.score(self._window_before(windows), self._state, gain)
        return float(self._model.score(self._window_before(0), self._state, gain)[0])

    def _window_before(self, windows: int) -> NDArray[np.int16]:
        """The window `windows` before the newest, with the 64 samples before it: int16, shape (576,)."""
        start = (_REPLAY_WINDOWS - windows) * WINDOW_SAMPLES
        return self._recent[start : start + INPUT_SAMPLES]
