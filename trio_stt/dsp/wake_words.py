"""Wake-word detection of one session behind an energy gate, and the loading of the configured words.

It owns the backends' names, the loaded words, and the choice of the windows that a detector gets. `speech.wake_mode`
decides what follows from a detection. See docs/protocol.md, Wake words.
"""

from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
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
"""Windows, 0.2 s, from before the gate opened that the detector gets afterwards: the soft start of a word. With 6 of
them openWakeWord detects 293 of 320 words spoken at several levels and noises, with 3 windows 275, with 10 windows 290,
without a gate 281."""

_BACKGROUND_WINDOWS = 25
"""Windows, 0.8 s, before those: the background that a restarted stream is initialised with."""

_STAY_AWAKE_WINDOWS = 40
"""Windows, 1.3 s, that the detector gets after the gate closed: gaps inside a word, and the delay of a detection.
openWakeWord's scores peak up to 0.5 s after the end of a word."""

_FLOOR_WINDOWS = 64
"""Windows, 2 s, whose softest one is the background: speech of that length contains a pause or a closure."""

_CACHED_CONFIGURATIONS = 8


class WakeWordDetector(Protocol):
    """Wake-word detector of one session."""

    def process(self, window: NDArray[np.int16]) -> str | None:
        """Process the session's next window, int16, shape (512,), mono, 16 kHz.

        Returns:
            The label of the word detected with it. A word spoken once is detected once.
        """

    def reset(self) -> None:
        """Forget all audio. Call it also where the audio is not continuous."""


class WakeWordStream(Protocol):
    """Stream of one session in a backend."""

    def resume(self, before: NDArray[np.int16]) -> None:
        """Restart after a gap; `before` is the audio just before the next window, int16, shape (n,), possibly empty."""

    def process(self, window: NDArray[np.int16]) -> str | None:
        """Process the next window; returns the word detected with it, perhaps for several windows in a row."""

    def rest(self) -> None:
        """Release memory until `resume`."""


class _Words(Protocol):
    @property
    def labels(self) -> tuple[str, ...]: ...

    def new_stream(self, sensitivity: float) -> WakeWordStream: ...


class GatedDetector:
    """A backend's stream behind an energy gate: it gets windows louder than the background, and some around them.

    The gate's floor follows the softest of the last windows, so it needs no voice detector to know the background.
    """

    def __init__(self, stream: WakeWordStream, energy_threshold: float) -> None:
        """Start with an empty history.

        Args:
            stream: Stream of the backend, used by this detector alone.
            energy_threshold: RMS in int16 units from which every window passes the gate.
        """
        self._stream = stream
        self._gate = EnergyGate(energy_threshold)
        self._levels: deque[float] = deque(maxlen=_FLOOR_WINDOWS)
        self._recent: deque[NDArray[np.int16]] = deque(maxlen=_BACKGROUND_WINDOWS + _LEAD_WINDOWS)
        self.reset()

    def reset(self) -> None:
        """Forget all audio, except the level of the background."""
        self._recent.clear()
        self._skipped = _LEAD_WINDOWS + 1  # more than is replayed: the stream restarts
        self._awake_windows = 0
        self._stream.rest()

    def process(self, window: NDArray[np.int16]) -> str | None:
        """Process the next window, int16, shape (512,), mono, 16 kHz; it is copied.

        Returns:
            The label of the word detected with it. After a detection the detector is reset.
        """
        window = window.copy()
        if self._passes(window):
            self._awake_windows = _STAY_AWAKE_WINDOWS + 1  # with this one
        elif self._awake_windows:
            self._awake_windows -= 1
        word = None
        if self._awake_windows:
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
        """Replay to the stream the newest of the windows that it skipped, restarting it if it skipped more."""
        if not self._skipped:
            return
        recent = list(self._recent)
        lead = recent[-min(self._skipped, _LEAD_WINDOWS) :]
        if self._skipped > _LEAD_WINDOWS:
            background = recent[: -len(lead)] if lead else []
            self._stream.resume(np.concatenate([np.empty(0, np.int16), *background]))
        self._skipped = 0
        for window in lead:  # too short to contain a word, so the results do not matter
            self._stream.process(window)


class WakeWords:
    """Wake words of a server: loads each configuration once, and creates the detectors of sessions.

    Args:
        downloaded: Returns the folder of openWakeWord's downloaded models, or None; called when they are loaded.
    """

    def __init__(self, downloaded: Callable[[], Path | None] = lambda: None) -> None:
        self._load: Callable[[str, str, str], _Words] = lru_cache(_CACHED_CONFIGURATIONS)(partial(_load, downloaded))
        self._in_use: tuple[tuple[str, str, str], _Words] | None = None

    def check(self, settings: Settings) -> None:
        """Load the words that the settings name, so that no session has to.

        Raises:
            SettingError: They do not exist or are not allowed; one line names the setting, its value and the choices.
        """
        loaded = self._loaded(settings)
        self._in_use = self._in_use or loaded  # a check for PATCH must not displace the words in use

    def new_detector(self, settings: Settings) -> GatedDetector | None:
        """Create a detector for one session; None if the settings name no backend.

        Raises:
            SettingError: The settings were not checked before, and name words that cannot be loaded.
        """
        loaded = self._loaded(settings)
        if loaded is None:
            return None
        self._in_use = loaded  # stays loaded however many other configurations are checked
        return GatedDetector(loaded[1].new_stream(settings.wake_words_sensitivity), settings.vad_energy_threshold)

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """The words that these settings name; none without a backend. Raises as `new_detector` does."""
        loaded = self._loaded(settings)
        return loaded[1].labels if loaded else ()

    def _loaded(self, settings: Settings) -> tuple[tuple[str, str, str], _Words] | None:
        if not settings.wake_words_enabled:
            return None
        key = (settings.wakeword_backend, settings.wake_words, settings.openwakeword_model_paths or "")
        if self._in_use is not None and self._in_use[0] == key:
            return self._in_use
        return key, self._load(*key)


def uses_openwakeword(settings: Settings) -> bool:
    """Whether openWakeWord detects the wake words of these settings."""
    return settings.wakeword_backend in _OPENWAKEWORD


def _load(downloaded: Callable[[], Path | None], backend: str, words: str, paths: str) -> _Words:
    if backend in _PORCUPINE:
        return PorcupineWords(split_list(words))
    if backend not in _OPENWAKEWORD:
        raise SettingError(f"wakeword_backend: {backend[:80]!r} is not allowed; expected openwakeword or pvporcupine")
    return load_words(split_list(words), split_list(paths), downloaded())
