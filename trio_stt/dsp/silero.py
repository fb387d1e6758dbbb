"""Silero's voice detector: one model for the process, and one or more states for each stream.

It owns the model file, the choice of what runs it, and the layout of a state. Which windows are worth a score is the
caller's decision. The file comes from the installed silero-vad package, which is never imported, because it would
import torch. Without that package it is the one that faster-whisper carries: another version 6 of the network, with the
two parts of a state apart.

onnxruntime is the reference. The Numba kernels of `silero_network` need a third of its time, and run only where they
agree with it at start-up. In all other cases onnxruntime runs the model.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.onnx import open_model
from trio_stt.errors import EngineUnavailable, first_line
from trio_stt.runtime.packages import install_command, package_folder

logger = logging.getLogger(__name__)

CONTEXT_SAMPLES = 64
"""Last samples of the window before, which Silero gets again in front of each window."""

INPUT_SAMPLES = CONTEXT_SAMPLES + WINDOW_SAMPLES
"""Samples that one score takes."""

STATE_WIDTH = 128
"""Width of the LSTM cell. A state is its output and its memory: shape (2, 128)."""

_MODEL_FILES = {"silero_vad": "data/silero_vad_16k_op15.onnx", "faster_whisper": "assets/silero_vad_v6.onnx"}
"""Package and file in it, the preferred one first."""
_OUTPUTS_WITH_SPLIT_STATE = 3

_SILENCE_WINDOWS = 20 * SAMPLE_RATE_HZ // WINDOW_SAMPLES
"""Windows of the 20 s of digital silence that lead to `silence_state`."""

_UNCHANGED = np.float32(1)

_TRIAL_WINDOWS = 12
"""Windows, 0.4 s, of the test signal on which the two implementations are compared."""

_TOLERANCE = 1e-3
"""Largest difference between the two implementations in a probability or a state value. On the test signal they differ
by 1e-5 in probabilities and 3e-4 in states, whose values reach tens."""

Floats = NDArray[np.float32]
Score = Callable[[NDArray[np.int16], Floats, np.float32], Floats]
"""`SileroModel.score` without its checks: samples, states and gain to probabilities."""


def new_state() -> Floats:
    """The state before any audio: float32, shape (2, 128), zeros."""
    return np.zeros((2, STATE_WIDTH), np.float32)


class SileroModel:
    """Silero for all streams. It keeps no state of a stream, so `score` may run on several threads at once.

    Attributes:
        path: The model file.
        silence_state: The state after 20 s of digital silence; float32, shape (2, 128), read-only. From there Silero
            detects first words better than from a new state: 8 windows into a phrase on average instead of 10, and it
            missed none of 198 phrases at -20 to -45 dBFS.
    """

    def __init__(self) -> None:
        """Load the model.

        Raises:
            EngineUnavailable: The package or its model file is missing, or the file holds another model.
        """
        self.path = _model_path()
        reference = _load_reference(self.path)
        self._score = _load_fast(self.path, reference) or reference
        self.silence_state = self._process_silence()

    def _process_silence(self) -> Floats:
        states = new_state()[np.newaxis]
        silence = np.zeros(INPUT_SAMPLES, np.int16)
        for _ in range(_SILENCE_WINDOWS):
            self.score(silence, states)
        silence_state: Floats = states[0]
        silence_state.flags.writeable = False
        return silence_state

    def score(self, samples: NDArray[np.int16], states: Floats, gain: np.float32 = _UNCHANGED) -> Floats:
        """Score one window, from one or several states.

        Args:
            samples: int16, shape (576,), mono, 16 kHz: the last 64 samples of the window before, zeros if there was
                none, then the window.
            states: float32, shape (n, 2, 128), contiguous; updated in place.
            gain: Factor that the samples are multiplied by first.

        Returns:
            float32, shape (n,): the probability of speech from each state, 0 to 1. States do not affect each other.

        Raises:
            ValueError: The samples or states have another type or shape.
        """
        if samples.dtype != np.int16 or samples.shape != (INPUT_SAMPLES,) or not samples.flags.c_contiguous:
            raise ValueError(f"Silero takes int16 of shape ({INPUT_SAMPLES},), not {samples.dtype} {samples.shape}")
        if states.dtype != np.float32 or states.shape[1:] != (2, STATE_WIDTH) or not states.flags.c_contiguous:
            raise ValueError(f"states are float32 of shape (n, 2, {STATE_WIDTH}), not {states.dtype} {states.shape}")
        return self._score(samples, states, gain)


def _model_path() -> Path:
    for package, name in _MODEL_FILES.items():
        folder = package_folder(package)
        if folder is not None and (folder / name).is_file():
            return folder / name
    names = " and ".join(_MODEL_FILES.values())
    command = install_command("faster-whisper")
    raise EngineUnavailable(f"voice detection has no model: {names} are missing; run `{command}`")


def _load_reference(path: Path) -> Score:
    """Silero in onnxruntime.

    Raises:
        EngineUnavailable: The file cannot be run as Silero.
    """
    try:
        score = _onnxruntime_score(open_model(path))
        score(np.zeros(INPUT_SAMPLES, np.int16), new_state()[np.newaxis], _UNCHANGED)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a class of its own for each kind of bad file
        why = first_line(error)
        raise EngineUnavailable(f"{path} does not run as Silero's model: {why[:200]}") from None
    return score


def _onnxruntime_score(session: Any) -> Score:
    inputs = [each.name for each in session.get_inputs()]
    if len(session.get_outputs()) == _OUTPUTS_WITH_SPLIT_STATE:
        return _split_state_score(session, *inputs)
    # By order, so that a renamed input or output does no harm.
    audio, state, rate = inputs
    rate_hz = np.array(SAMPLE_RATE_HZ, np.int64)

    def score(samples: NDArray[np.int16], states: Floats, gain: np.float32) -> Floats:
        rows = np.repeat(_scaled(samples, gain), len(states), axis=0)
        # The file's axes are (output and memory, batch, width), ours (batch, output and memory, width).
        probabilities, after = session.run(None, {audio: rows, state: states.swapaxes(0, 1), rate: rate_hz})
        states[:] = after.swapaxes(0, 1)
        flat: Floats = probabilities.reshape(len(states))
        return flat

    return score


def _split_state_score(session: Any, audio: str, output: str, memory: str) -> Score:
    """`_onnxruntime_score` for faster-whisper's file, whose batch is a sequence of windows: it takes one state."""

    def score(samples: NDArray[np.int16], states: Floats, gain: np.float32) -> Floats:
        row, probabilities = _scaled(samples, gain), np.empty(len(states), np.float32)
        for number, state in enumerate(states):
            parts = state.reshape(2, 1, 1, STATE_WIDTH)
            found, *after = session.run(None, {audio: row, output: parts[0], memory: parts[1]})
            probabilities[number] = found.item()
            state[:] = np.concatenate(after).reshape(2, STATE_WIDTH)
        return probabilities

    return score


def _scaled(samples: NDArray[np.int16], gain: np.float32) -> Floats:
    """The samples as the network takes them: float32, shape (1, 576)."""
    scaled: Floats = (samples.astype(np.float32) * (gain / np.float32(32768)))[np.newaxis]
    return scaled


def _load_fast(path: Path, reference: Score) -> Score | None:
    """Silero as Numba kernels; None, with a warning, if they cannot be had or do not agree with the reference."""
    try:
        from trio_stt.dsp.silero_network import load_score  # noqa: PLC0415 - a failed import must not stop the start

        fast = load_score(path)
        if _agree(fast, reference):
            return fast
        reason = "it does not agree with onnxruntime on a test signal"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the reference can still run
        reason = first_line(error)[:200]
    logger.warning(
        "voice detection falls back to onnxruntime, at three times the CPU time; the fast Silero network cannot be "
        "used: %s",
        reason,
    )
    return None


def _agree(one: Score, other: Score) -> bool:
    """Whether two implementations give the same probabilities and states for a buzz that swells and fades in noise."""
    return np.allclose(_trial(one), _trial(other), rtol=0.0, atol=_TOLERANCE)


def _trial(score: Score) -> Floats:
    """Probabilities and states after each window of the test signal, for two states: shape (windows, 2 + 2 * 256)."""
    time_s = np.arange(_TRIAL_WINDOWS * WINDOW_SAMPLES + CONTEXT_SAMPLES) / SAMPLE_RATE_HZ
    buzz = np.sign(np.sin(2 * np.pi * 140 * time_s)) * np.sin(np.pi * time_s / time_s[-1])
    noise = np.random.default_rng(0).normal(size=time_s.size)
    signal = np.rint(6000 * buzz + 300 * noise).astype(np.int16)
    states = np.stack((new_state(), np.full((2, STATE_WIDTH), 0.1, np.float32)))
    rows = []
    for at in range(0, _TRIAL_WINDOWS * WINDOW_SAMPLES, WINDOW_SAMPLES):
        probabilities = score(signal[at : at + INPUT_SAMPLES], states, np.float32(0.7))
        rows.append(np.concatenate((probabilities, states.ravel())))
    return np.stack(rows)
