"""Silero's voice detector: one model for the process, one state for each ear of a talker.

It owns the weights and what a state is. It must not decide which windows are worth a score.
The model file comes from the installed silero-vad package, which is never imported: it would import torch.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.silero_network import INPUT_SAMPLES, STATE_WIDTH, Weights, scores
from trio_stt.errors import EngineUnavailable
from trio_stt.runtime.packages import package_folder

_MODEL_FILE = "silero_vad_16k_op15.onnx"

_SHAPES = {
    "stft.forward_basis_buffer": (258, 1, 256),
    "encoder.0.reparam_conv.weight": (128, 129, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}
"""What the file holds, by its own names, in the order of `Weights`."""

_SILENCE_WINDOWS = 20 * SAMPLE_RATE_HZ // WINDOW_SAMPLES

_AS_IT_IS = np.float32(1)

_INSTALL = "install it with: pip install --no-deps 'silero-vad>=6.0,<7'"


def new_state() -> NDArray[np.float32]:
    """What Silero remembers when it has heard nothing: float32, shape (2, 128)."""
    return np.zeros((2, STATE_WIDTH), np.float32)


class SileroModel:
    """Silero for all talkers. It keeps nothing of them, so `score` may run on several threads at once.

    Attributes:
        path: The model file.
        silence: The state after 20 s of digital silence; float32, shape (2, 128). From there Silero catches
            first words better than from nothing: 8 windows into a phrase on average instead of 10, and none missed of
            198 at -20 to -45 dBFS. Read it only.
    """

    def __init__(self) -> None:
        """Load the model.

        Raises:
            EngineUnavailable: The package or its model file is missing, or the file holds another model.
        """
        self.path = _model_path()
        self._weights = _read_weights(self.path)
        self.silence_state = self._process_silence()

    def _process_silence(self) -> NDArray[np.float32]:
        states = new_state()[np.newaxis]
        nothing = np.zeros(INPUT_SAMPLES, np.int16)
        for _ in range(_SILENCE_WINDOWS):
            self.score(nothing, states)
        silence_state: NDArray[np.float32] = states[0]
        return silence_state

    def score(
        self, samples: NDArray[np.int16], states: NDArray[np.float32], gain: np.float32 = _AS_IT_IS
    ) -> NDArray[np.float32]:
        """Hear one window, in one or several states.

        Args:
            samples: int16, shape (576,), mono, 16 kHz: the last 64 samples of the window before, zeros if there was
                none, and the window.
            states: float32, shape (n, 2, 128); they are brought up to date in place.
            gain: What the samples are multiplied by first.

        Returns:
            float32, shape (n,): the window's probability of speech by each state, 0 to 1. No state changes what
            another says.

        Raises:
            ValueError: The samples or states have another type or shape.
        """
        if samples.dtype != np.int16 or samples.shape != (INPUT_SAMPLES,) or not samples.flags.c_contiguous:
            raise ValueError(f"Silero takes int16 of shape ({INPUT_SAMPLES},), not {samples.dtype} {samples.shape}")
        if states.dtype != np.float32 or states.shape[1:] != (2, STATE_WIDTH) or not states.flags.c_contiguous:
            raise ValueError(f"states are float32 of shape (n, 2, {STATE_WIDTH}), not {states.dtype} {states.shape}")
        probabilities: NDArray[np.float32] = scores(samples, gain, states, self._weights)
        return probabilities


def _model_path() -> Path:
    package = package_folder("silero_vad")
    if package is None:
        raise EngineUnavailable(f"voice detection needs the package silero-vad; {_INSTALL}")
    path = package / "data" / _MODEL_FILE
    if not path.is_file():
        raise EngineUnavailable(f"silero-vad has no {_MODEL_FILE} in {path.parent}; {_INSTALL}")
    return path


def _read_weights(path: Path) -> Weights:
    found = {each.name.removeprefix("model."): each for each in onnx.load(path).graph.initializer}
    arrays = []
    for name, shape in _SHAPES.items():
        if name not in found or tuple(found[name].dims) != shape:
            raise EngineUnavailable(f"{path} holds another model than Silero's: {name} of shape {shape}; {_INSTALL}")
        array = np.asarray(to_array(found[name]), np.float32)
        if array.ndim > 1:  # outputs, inputs, and for a convolution time
            array = array.T.reshape(-1, len(array))
        arrays.append(np.ascontiguousarray(array))
    return Weights._make(arrays)
