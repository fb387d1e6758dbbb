"""The streaming embedding equals the whole network, or is not used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save

from tests.support.real import package_folder
from trio_stt.dsp.embedding import (
    MEL_BINS,
    MEL_FRAMES,
    MEL_STEP,
    Embedding,
    StreamingEmbedding,
    WholeEmbedding,
    load_embedding,
)

STEPS = 24
SETTLED = 10
"""Steps until there are 76 frames."""


def mel(seed: int, steps: int = STEPS) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(6.0, 3.0, (steps * MEL_STEP, MEL_BINS)).astype(np.float32)


@pytest.fixture(scope="module")
def path() -> Path:
    return package_folder("openwakeword") / "resources" / "models" / "embedding_model.onnx"


@pytest.fixture(scope="module")
def streaming_onnx(path: Path) -> StreamingEmbedding:
    network = load_embedding(path)
    assert isinstance(network, StreamingEmbedding), "the package's network can be rewritten"
    return network


@pytest.fixture(scope="module")
def expected(path: Path) -> NDArray[np.float32]:
    """Embeddings of the whole network after each settled step of the first talker."""
    whole = WholeEmbedding(path)
    ends = range(SETTLED * MEL_STEP, STEPS * MEL_STEP + 1, MEL_STEP)
    return np.array([whole.process(mel(0)[end - MEL_FRAMES : end], whole.blank)[0] for end in ends])


@given(pieces=st.lists(st.integers(1, SETTLED), min_size=1, max_size=STEPS))
@settings(max_examples=20)
def test_steps_of_any_number_give_the_embeddings_of_the_whole_network(
    streaming_onnx: StreamingEmbedding, expected: NDArray[np.float32], pieces: list[int]
) -> None:
    state, at = streaming_onnx.blank, 0
    for piece in pieces:
        frames = mel(0)[at * MEL_STEP : (at + piece) * MEL_STEP]
        if frames.size:
            embedding, state = streaming_onnx.process(frames, state)
            at += len(frames) // MEL_STEP
            if at >= SETTLED:
                np.testing.assert_allclose(embedding, expected[at - SETTLED], rtol=0, atol=1e-4)
    assert not streaming_onnx.blank.any()


def test_states_of_streams_do_not_affect_each_other(
    streaming_onnx: StreamingEmbedding, expected: NDArray[np.float32]
) -> None:
    states = [streaming_onnx.blank, streaming_onnx.blank]
    for at in range(0, STEPS * MEL_STEP, MEL_STEP):
        for stream_index in (0, 1):
            embedding, states[stream_index] = streaming_onnx.process(
                mel(stream_index)[at : at + MEL_STEP], states[stream_index]
            )
            if stream_index == 0 and at >= (SETTLED - 1) * MEL_STEP:
                np.testing.assert_allclose(embedding, expected[at // MEL_STEP + 1 - SETTLED], rtol=0, atol=1e-4)


def averaging() -> tuple[list[object], dict[str, NDArray[np.generic]]]:
    """A network that averages over all frames and therefore cannot run step by step."""
    weights = np.random.default_rng(0).normal(size=(96, 1, 3, MEL_BINS)).astype(np.float32)
    return [
        helper.make_node("Reshape", ["mel", "shape"], ["frames"]),
        helper.make_node("Conv", ["frames", "weights"], ["features"], kernel_shape=[3, MEL_BINS]),
        helper.make_node("GlobalAveragePool", ["features"], ["average"]),
        helper.make_node("Reshape", ["average", "out"], ["embedding"]),
    ], {"weights": weights}


def without_convolutions() -> tuple[list[object], dict[str, NDArray[np.generic]]]:
    weights = np.random.default_rng(0).normal(size=(MEL_FRAMES * MEL_BINS, 96)).astype(np.float32)
    return [
        helper.make_node("Flatten", ["mel"], ["frames"]),
        helper.make_node("MatMul", ["frames", "weights"], ["features"]),
        helper.make_node("Reshape", ["features", "out"], ["embedding"]),
    ], {"weights": weights}


@pytest.mark.parametrize("network", [averaging, without_convolutions])
def test_network_that_cannot_be_rewritten_runs_as_it_is(
    tmp_path: Path, network: Callable[[], tuple[list[object], dict[str, NDArray[np.generic]]]]
) -> None:
    nodes, constants = network()
    constants |= {"shape": np.array([-1, 1, MEL_FRAMES, MEL_BINS]), "out": np.array([-1, 1, 1, 96])}
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", MEL_FRAMES, MEL_BINS, 1])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 1, 1, 96])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = tmp_path / "other.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)
    found: Embedding = load_embedding(path)
    assert isinstance(found, WholeEmbedding)
    assert found.process(mel(0), found.blank)[0].shape == (96,)
