"""Wake words: which are configured, and one detector for each session that sleeps while nothing is to be heard.

It owns the names of the backends, the loaded words and the choice of the windows that a detector hears. It must not
know what a detection leads to. See docs/protocol.md, Wake words.
"""

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.kernels import rms
from trio_stt.dsp.openwakeword import load_words
from trio_stt.dsp.porcupine import PorcupineWords
from trio_stt.errors import SettingError
from trio_stt.settings import Settings, split_list

_OPENWAKEWORD = frozenset({"openwakeword", "openwakewords", "open_wakeword", "open_wakewords", "oww"})
_PORCUPINE = frozenset({"pvporcupine", "porcupine", "pvp"})

_LEAD_WINDOWS = 6
"""Windows, 0.2 s, from before the gate opened that a detector hears after all: the soft start of a word. Of 320 spoken
words at several levels and noises openWakeWord then hears 293, with 3 windows 275, with 10 windows 290; fed without a
gate, 281."""

_BACKGROUND_WINDOWS = 25
"""Windows, 0.8 s, before those, from which a detector that needs a past learns how the background sounds."""

_LISTEN_ON = 40
"""Windows, 1.3 s, that a detector goes on hearing after the gate closed: gaps inside a word, and the time that it takes
to be sure of it. openWakeWord's words score best up to 0.5 s after their end."""

_FLOOR_WINDOWS = 64
"""Windows, 2 s, whose softest is the background: nobody speaks for so long without a breath or a closed mouth."""

_CACHED_CONFIGURATIONS = 8


class WakeWordDetector(Protocol):
    """One session's detector."""

    def process(self, window: NDArray[np.int16]) -> str | None:
        """The session's next window, int16 of shape (512,), mono, 16 kHz.

        Returns:
            The label of the word that was heard with it; a word that was spoken once is heard once.
        """

    def reset(self) -> None:
        """Forget everything heard. Call it, too, where the audio is not continuous."""


class WakeWordStream(Protocol):
    """What a backend offers for each session."""

    def resume(self, before: NDArray[np.int16]) -> None:
        """Forget everything and begin anew after `before`, int16, shape (samples,), possibly empty."""

    def process(self, window: NDArray[np.int16]) -> str | None:
        """The next window; the label of a word that is heard with it, perhaps for several windows in a row."""

    def rest(self) -> None:
        """Let go of memory: nothing is heard until `resume`."""


class _Words(Protocol):
    def new_stream(self, sensitivity: float) -> WakeWordStream: ...


class GatedDetector:
    """A backend's stream behind an energy gate: it hears what rises above the background, and what is around that.

    The gate's floor follows the softest of the last windows, so that no model is asked what is background.
    """

    def __init__(self, stream: WakeWordStream, energy_threshold: float) -> None:
        """Make a detector that has heard nothing.

        Args:
            stream: Of the backend; nobody else may use it.
            energy_threshold: RMS in int16 units from which every window passes the gate.
        """
        self._stream = stream
        self._gate = EnergyGate(energy_threshold)
        self._levels: deque[float] = deque(maxlen=_FLOOR_WINDOWS)
        self._recent: deque[NDArray[np.int16]] = deque(maxlen=_BACKGROUND_WINDOWS + _LEAD_WINDOWS)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, except how loud the background is."""
        self._recent.clear()
        self._skipped = _LEAD_WINDOWS + 1  # more than can be made up for: begin anew
        self._listen_on = 0
        self._stream.rest()

    def process(self, window: NDArray[np.int16]) -> str | None:
        """The next window, int16 of shape (512,), mono, 16 kHz; it is copied.

        Returns:
            The label of the word that was heard with it; then all that was heard is forgotten.
        """
        window = window.copy()
        if self._passes(window):
            self._listen_on = _LISTEN_ON + 1
        elif self._listen_on:
            self._listen_on -= 1
        word = None
        if self._listen_on:
            self._catch_up()
            word = self._stream.process(window)
        else:
            self._skipped += 1
            if self._skipped == _LEAD_WINDOWS + 1:
                self._stream.rest()
        self._recent.append(window)
        if word is not None:
            self.reset()
        return word

    def _passes(self, window: NDArray[np.int16]) -> bool:
        level = rms(window)
        self._levels.append(level)
        self._gate.follow(min(self._levels))
        return self._gate.passes(level)

    def _catch_up(self) -> None:
        """The stream hears what it must of the windows that it skipped."""
        if not self._skipped:
            return
        recent = list(self._recent)
        lead = recent[-min(self._skipped, _LEAD_WINDOWS) :]
        if self._skipped > _LEAD_WINDOWS:
            background = recent[: -len(lead)] if lead else []
            self._stream.resume(np.concatenate([np.empty(0, np.int16), *background]))
        self._skipped = 0
        for window in lead:
            self._stream.process(window)


class WakeWords:
    """The wake words of a server: loads each configuration once, and makes the sessions' detectors."""

    def __init__(self) -> None:
        self._load: Callable[[str, str, str], _Words] = lru_cache(_CACHED_CONFIGURATIONS)(_load)
        self._in_use: tuple[tuple[str, str, str], _Words] | None = None

    def check(self, settings: Settings) -> None:
        """Load what the settings ask for, so that no session has to.

        Raises:
            SettingError: It is not there or not allowed: one line that names the setting, its value and what there is.
        """
        loaded = self._loaded(settings)
        self._in_use = self._in_use or loaded

    def new_detector(self, settings: Settings) -> GatedDetector | None:
        """A detector for one session; None where the settings name no backend.

        Raises:
            SettingError: The settings were never checked and are not possible.
        """
        loaded = self._loaded(settings)
        if loaded is None:
            return None
        self._in_use = loaded  # however many others are checked, the next session need not load it
        return GatedDetector(loaded[1].new_stream(settings.wake_words_sensitivity), settings.vad_energy_threshold)

    def _loaded(self, settings: Settings) -> tuple[tuple[str, str, str], _Words] | None:
        if not settings.wake_words_enabled:
            return None
        asked = (settings.wakeword_backend, settings.wake_words, settings.openwakeword_model_paths or "")
        if self._in_use is not None and self._in_use[0] == asked:
            return self._in_use
        return asked, self._load(*asked)


def _load(backend: str, words: str, paths: str) -> _Words:
    if backend in _PORCUPINE:
        return PorcupineWords(split_list(words))
    if backend not in _OPENWAKEWORD:
        raise SettingError(f"wakeword_backend: {backend[:80]!r} is not allowed; expected openwakeword or pvporcupine")
    return load_words(split_list(words), split_list(paths))
