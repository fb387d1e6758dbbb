"""openWakeWord's embedding network, computed incrementally.

It owns the network and the layout of its state. It knows nothing of audio or words.

The network embeds 76 mel frames and runs again every 8 frames, so nearly all of its work repeats the last run.
`streaming_onnx` rewrites it to compute only what the 8 new frames change: 0.16 ms per step instead of 0.71 ms on one
core of a 2-core AMD EPYC, with bit-identical results there.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp.onnx import open_model
from trio_stt.dsp.streaming_onnx import streaming_onnx

MEL_BINS, MEL_FRAMES, MEL_STEP = 32, 76, 8
EMBEDDING_WIDTH = 96

_TRIAL_STEPS = 4
_TOLERANCE = 1e-3
"""Largest difference between embeddings, whose values reach 50. On machines that sum in another order it is 4e-5."""

State = NDArray[np.float32]


class Embedding(Protocol):
    """The network, shared by all streams. Each stream has a state, which is never changed in place."""

    @property
    def blank(self) -> State:
        """The state before any mel frames."""

    def process(self, mel: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Process a stream's next mel frames, float32, shape (8 * n, 32), n at least 1.

        Returns:
            The embedding of the last 76 frames, float32, shape (96,), meaningless before there were 76; the new state.
        """


class WholeEmbedding:
    """The original network. Its state is the last mel frames."""

    def __init__(self, path: Path) -> None:
        """Load the network."""
        self._session = open_model(path)
        self._input: str = self._session.get_inputs()[0].name
        self.blank = np.zeros((MEL_FRAMES - MEL_STEP, MEL_BINS), np.float32)

    def process(self, mel: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """See `Embedding`."""
        frames = np.concatenate((state, mel))[-MEL_FRAMES:]
        embedded: NDArray[np.float32] = self._session.run(None, {self._input: frames[np.newaxis, :, :, np.newaxis]})[0]
        return embedded.reshape(EMBEDDING_WIDTH), frames[MEL_STEP:]


class StreamingEmbedding:
    """The rewritten network. Its state holds the newest input rows of each convolution over time."""

    def __init__(self, path: Path) -> None:
        """Load and rewrite the network.

        Raises:
            Exception: It cannot be rewritten; onnx and onnxruntime have a class for each reason.
        """
        self._session = open_model(streaming_onnx(path))
        new, state = self._session.get_inputs()
        self._inputs: tuple[str, str] = (new.name, state.name)
        self.blank = np.zeros(state.shape, np.float32)

    def process(self, mel: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """See `Embedding`."""
        new, old = self._inputs
        embedded, after = self._session.run(None, {new: mel[np.newaxis, np.newaxis], old: state})
        return embedded[0, :, -1, 0], after


def load_embedding(path: Path) -> Embedding:
    """Load a network as a StreamingEmbedding if that agrees with the original, else as a WholeEmbedding.

    Raises:
        Exception: The file is no network; onnxruntime has a class for each reason.
    """
    whole = WholeEmbedding(path)
    try:
        rewritten = StreamingEmbedding(path)
        agreed = _agree(whole, rewritten)
    except Exception:  # noqa: BLE001 - whatever keeps a network from being rewritten, the original still runs
        return whole
    return rewritten if agreed else whole


def _agree(one: Embedding, other: Embedding) -> bool:
    """Whether two networks give the same embeddings for noise with the mean and spread of speech's mel frames."""
    count = MEL_FRAMES // MEL_STEP + 1 + _TRIAL_STEPS
    steps = np.random.default_rng(0).normal(6.0, 3.0, (count, MEL_STEP, MEL_BINS)).astype(np.float32)
    first, second = (_embeddings(network, steps)[-_TRIAL_STEPS:] for network in (one, other))
    return np.allclose(first, second, rtol=0.0, atol=_TOLERANCE)


def _embeddings(network: Embedding, steps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The embedding after each step; steps have shape (n, 8, 32)."""
    state, embeddings = network.blank, []
    for mel in steps:
        embedding, state = network.process(mel, state)
        embeddings.append(embedding)
    return embeddings
