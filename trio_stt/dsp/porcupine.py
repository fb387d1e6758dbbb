"""Picovoice's Porcupine: one native wake-word detector per stream.

It owns the only import of the optional pvporcupine package and the lifetime of the native handles; `wake_words` decides
which windows a detector gets. Measured on one core of an AMD EPYC: creating a detector takes 1 ms and 0.8 MB, a window
0.11 ms (3.4 ms per second of audio).
"""

import importlib
import inspect
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.errors import SettingError, first_line

ACCESS_KEY_VARIABLE = "PICOVOICE_ACCESS_KEY"
"""Environment variable with the access key that pvporcupine needs since version 2."""

_INSTALL = "install it with: pip install --no-deps pvporcupine==1.9.5"


class PorcupineStream:
    """Wake-word detection of one stream. A native detector cannot be reset, so a new one replaces it."""

    def __init__(self, create: Callable[[], Any], words: Sequence[str]) -> None:
        self._create = create
        self._words = words
        self._handle: Any = None
        self._release: Callable[[], object] = lambda: None

    def resume(self, before: NDArray[np.int16]) -> None:
        """Restart after a gap; Porcupine has no use for the audio before it."""
        del before
        self.rest()

    def rest(self) -> None:
        """Release the detector; the next window creates a new one."""
        self._release()
        self._handle = None

    def process(self, window: NDArray[np.int16]) -> str | None:
        """Process the next window, int16, shape (512,); returns the word that ends with it."""
        if self._handle is None:
            self._handle = self._create()
            self._release = weakref.finalize(self, self._handle.delete)
        index: int = self._handle.process(window.tolist())
        return self._words[index] if index >= 0 else None


class PorcupineWords:
    """Loaded wake words, shared by all streams."""

    def __init__(self, words: Sequence[str]) -> None:
        """Check the words, and that a detector can be created.

        Args:
            words: Keywords of the package, in any case.

        Raises:
            SettingError: The list is empty, a word is unknown, or the package or its access key is missing.
        """
        if not words:
            raise SettingError("wake_words: Porcupine needs at least one word")
        self._package = _import()
        self._words = tuple(dict.fromkeys(" ".join(word.lower().replace("_", " ").split()) for word in words))
        known = sorted(self._package.KEYWORDS)
        for word in self._words:
            if word not in known:
                raise SettingError(f"wake_words: Porcupine has no {word[:80]!r}; there are {', '.join(known)}")
        self._credentials: dict[str, str] = {}
        if "access_key" in inspect.signature(self._package.create).parameters:
            key = os.environ.get(ACCESS_KEY_VARIABLE, "")
            if not key:
                raise SettingError(f"wakeword_backend: this pvporcupine needs an access key in {ACCESS_KEY_VARIABLE}")
            self._credentials = {"access_key": key}
        try:
            self._check_handle()
        except Exception as error:  # noqa: BLE001 - each version has error classes of its own
            reason = first_line(error)
            raise SettingError(f"wakeword_backend: Porcupine does not start: {reason[:200]}") from None

    @property
    def labels(self) -> tuple[str, ...]:
        """The words."""
        return self._words

    def _check_handle(self) -> None:
        handle = self._new_handle(0.5)
        try:
            if handle.frame_length != WINDOW_SAMPLES:
                raise ValueError(f"it takes {handle.frame_length} samples, not {WINDOW_SAMPLES}")
        finally:
            handle.delete()

    def _new_handle(self, sensitivity: float) -> Any:
        return self._package.create(
            keywords=list(self._words), sensitivities=[sensitivity] * len(self._words), **self._credentials
        )

    def new_stream(self, sensitivity: float) -> PorcupineStream:
        """A new stream; a higher sensitivity, 0 to 1, gives fewer misses and more false alarms."""
        return PorcupineStream(lambda: self._new_handle(sensitivity), self._words)


def _import() -> Any:
    try:
        return importlib.import_module("pvporcupine")
    except ImportError:
        raise SettingError(f"wakeword_backend: Porcupine needs the package pvporcupine; {_INSTALL}") from None
    except Exception as error:  # noqa: BLE001 - its import loads the native library and raises anything
        raise SettingError(f"wakeword_backend: pvporcupine cannot be imported: {str(error)[:200]}") from None
