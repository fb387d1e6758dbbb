"""Silero's voice detector: one model for the process, one state for each talker.

It owns the onnxruntime session and what a talker's state is. It must not decide which windows are worth a score.
The model file comes from the installed silero-vad package, which is never imported: it would import torch.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.onnx import open_model
from trio_stt.errors import EngineUnavailable
from trio_stt.packages import package_folder

CONTEXT_SAMPLES = 64
"""Samples of the window before that Silero hears again ahead of each window."""

_STATE_LAYERS, _STATE_WIDTH = 2, 128

_MODEL_FILES = ("silero_vad_op18_ifless.onnx", "silero_vad.onnx")
"""Best first. Measured on one core: 74 and 81 us for one window, 34 and 35 us per window in a batch of 16; their
probabilities agree within 1e-6. The half-precision file is no faster and disagrees by up to 0.7."""

_SILENCE_WINDOWS = 20 * SAMPLE_RATE_HZ // WINDOW_SAMPLES

_INSTALL = "install it with: pip install --no-deps 'silero-vad>=6.0'"


class SileroState:
    """What Silero remembers of one talker: its recurrent state and the end of the window before."""

    __slots__ = ("context", "recurrent")

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.recurrent: NDArray[np.float32]
        self.context: NDArray[np.float32]
        self.reset()

    def reset(self) -> None:
        """Forget everything heard."""
        self.recurrent = np.zeros((_STATE_LAYERS, _STATE_WIDTH), np.float32)
        self.context = np.zeros(CONTEXT_SAMPLES, np.float32)


class SileroModel:
    """Silero for all talkers, on the CPU, one thread for each call.

    It keeps nothing of a talker, so `score` may run on several threads at once as long as no state is in two calls.

    Attributes:
        path: The model file.
        silence: The recurrent state after 20 s of digital silence; float32, shape (2, 128). From there Silero catches
            first words better than from nothing: 8 windows into a phrase on average instead of 10, and none missed of
            198 at -20 to -45 dBFS. Read it only.
    """

    def __init__(self) -> None:
        """Load the model.

        Raises:
            EngineUnavailable: The package or its model file is missing.
        """
        self.path = _model_path()
        self._session = open_model(self.path)
        self._rate = np.array(SAMPLE_RATE_HZ, np.int64)
        self.silence = self._hear_silence()

    def _hear_silence(self) -> NDArray[np.float32]:
        state = SileroState()
        nothing = np.zeros((1, WINDOW_SAMPLES), np.float32)
        for _ in range(_SILENCE_WINDOWS):
            self.score(nothing, (state,))
        return state.recurrent

    def score(self, windows: NDArray[np.float32], states: Sequence[SileroState]) -> NDArray[np.float32]:
        """Hear one window of each of several talkers.

        A batch gives the probabilities that one call for each talker would give, within 1e-6: the order of float32
        additions differs.

        Args:
            windows: float32, shape (talkers, 512), mono, 16 kHz, range -1 to 1; at least one talker.
            states: The talkers' states in the same order, no state twice; they are brought up to date.

        Returns:
            float32, shape (talkers,): each window's probability of speech, 0 to 1.

        Raises:
            ValueError: The windows have another type or shape, or there is not one state for each.
        """
        if windows.dtype != np.float32 or windows.ndim != 2 or windows.shape[1] != WINDOW_SAMPLES:  # noqa: PLR2004 - talkers by samples
            raise ValueError(f"windows are float32 of shape (talkers, 512), not {windows.dtype} {windows.shape}")
        if not len(states) == len(windows) > 0:
            raise ValueError(f"{len(windows)} windows came with {len(states)} states")
        heard = np.concatenate((np.stack([state.context for state in states]), windows), axis=1)
        recurrent = np.stack([state.recurrent for state in states], axis=1)
        outputs = self._session.run(None, {"input": heard, "state": recurrent, "sr": self._rate})
        probabilities: NDArray[np.float32] = outputs[0][:, 0]
        for row, state in enumerate(states):
            # Copies: a view would keep the whole batch alive for as long as one talker is quiet.
            state.recurrent = outputs[1][:, row].copy()
            state.context = heard[row, -CONTEXT_SAMPLES:].copy()
        return probabilities


def _model_path() -> Path:
    package = package_folder("silero_vad")
    if package is None:
        raise EngineUnavailable(f"voice detection needs the package silero-vad; {_INSTALL}")
    folder = package / "data"
    for name in _MODEL_FILES:
        if (folder / name).is_file():
            return folder / name
    raise EngineUnavailable(f"silero-vad has no {' or '.join(_MODEL_FILES)} in {folder}; {_INSTALL}")
