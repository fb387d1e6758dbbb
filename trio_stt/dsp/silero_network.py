"""Silero's network for 16 kHz as Numba kernels: the probability of speech in one window, from one or several states.

It owns the arithmetic and the reading of the weights. It keeps no state of a stream. `silero` compares it with
onnxruntime before it is used.

The layers, as in the published model (snakers4/silero-vad, version 6): a short-time Fourier transform of four
overlapping frames, its magnitudes, four convolutions over time with ReLU, an LSTM cell, one weighted sum.

onnxruntime takes 70 µs for a window, because matrices of four columns are too small for it, and computes all layers
again for each state. Here all layers up to the cell's input are computed once for all states, in a third of the time.
Sums are float32 in another order than in onnxruntime: probabilities agree within 1e-5.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numba import njit
from numpy.typing import NDArray
from onnx import GraphProto
from onnx.numpy_helper import to_array

from trio_stt.dsp.silero import CONTEXT_SAMPLES, INPUT_SAMPLES, STATE_WIDTH, Floats, Score

_FRAME_STEP = 128
"""Samples from one Fourier frame of 256 to the next."""

_BINS = 129
"""Frequencies of a frame: 0 to 8 kHz in steps of 62.5 Hz."""


class Weights(NamedTuple):
    """The learned weights, float32, shape (inputs, outputs); inputs of a convolution are ordered by time, then channel.

    A named tuple, because Numba compiles functions of one.
    """

    transform: Floats
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    third: Floats
    third_bias: Floats
    fourth: Floats
    fourth_bias: Floats
    cell_from_features: Floats
    cell_from_output: Floats
    features_bias: Floats
    output_bias: Floats
    last: Floats
    last_bias: Floats


_SHAPES = {
    "stft.forward_basis_buffer": (258, 1, 256),  # 129 cosines, then 129 sines
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
"""The file's tensors by their names, in the order of `Weights`: outputs, inputs, time."""

_OTHER_NAMES = {
    "encoder.feature_extractor.forward_basis_buffer": "stft.forward_basis_buffer",
    **{
        f"encoder.conv_layers.{layer}.{part}": f"encoder.{layer}.reparam_conv.{part}"
        for layer in range(4)
        for part in ("weight", "bias")
    },
    **{f"decoder.conv1d.{part}": f"decoder.decoder.2.{part}" for part in ("weight", "bias")},
}
"""Names of the tensors in faster-whisper's file, and those of the published one."""


def load_score(path: Path) -> Score:
    """Read the weights of a model file; returns its scoring function, compiled.

    Raises:
        ValueError: The file has other tensors than Silero's.
        Exception: It is no ONNX file; onnx has classes of its own.
    """
    weights = _read_weights(path)

    def score(samples: NDArray[np.int16], states: Floats, gain: np.float32) -> Floats:
        probabilities: Floats = _score(samples, gain, states, weights)
        return probabilities

    return score


def _read_weights(path: Path) -> Weights:
    graph = onnx.load(path).graph
    tensors = {_published_name(each.name): to_array(each) for each in graph.initializer}
    if "decoder.rnn.weight_ih" not in tensors:
        tensors |= _cell_tensors(graph, tensors)
    arrays = []
    for name, shape in _SHAPES.items():
        if name not in tensors or tensors[name].shape != shape:
            raise ValueError(f"{path} has no tensor {name} of shape {shape}")
        array = np.asarray(tensors[name], np.float32)
        if array.ndim > 1:  # to inputs by outputs; `.T` of (outputs, inputs, time) is (time, inputs, outputs)
            array = array.T.reshape(-1, len(array))
        arrays.append(np.ascontiguousarray(array))
    return Weights._make(arrays)


def _published_name(name: str) -> str:
    return _OTHER_NAMES.get(name, name.removeprefix("model."))


def _cell_tensors(graph: GraphProto, tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the cell by their published names, from a file that has them as ONNX's LSTM takes them."""
    cells = [node for node in graph.node if node.op_type == "LSTM"]
    if len(cells) != 1 or not set(cells[0].input[1:4]) <= tensors.keys():
        return {}
    weights_in, weights_out, biases = (tensors[name][0] for name in cells[0].input[1:4])

    def reordered(array: Any) -> Any:
        # ONNX's gates are input, output, forget, candidate; PyTorch's input, forget, candidate, output.
        return array.reshape(4, STATE_WIDTH, -1)[[0, 2, 3, 1]].reshape(array.shape)

    bias_in, bias_out = biases.reshape(2, -1)
    return {
        "decoder.rnn.weight_ih": reordered(weights_in),
        "decoder.rnn.weight_hh": reordered(weights_out),
        "decoder.rnn.bias_ih": reordered(bias_in),
        "decoder.rnn.bias_hh": reordered(bias_out),
    }


# `fastmath={"contract"}` allows fused multiply-adds and nothing else: the order of sums stays as written, so that a
# result does not depend on the machine's vector width.
@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_products(rows: Floats, step: int, weights: Floats, totals: Floats) -> None:
    """Add to row t of `totals` the product of `weights` and the values of `rows`, flat, from t * `step` on."""
    inputs, outputs = weights.shape
    # Eight inputs at a time: a sum is loaded and stored once for eight products.
    eights = inputs // 8 * 8
    for at in range(0, eights, 8):
        for t in range(totals.shape[0]):
            x = rows[t * step + at : t * step + at + 8]
            x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
            for n in range(outputs):
                totals[t, n] += (
                    x0 * weights[at, n] + x1 * weights[at + 1, n] + x2 * weights[at + 2, n] + x3 * weights[at + 3, n]
                ) + (
                    x4 * weights[at + 4, n]
                    + x5 * weights[at + 5, n]
                    + x6 * weights[at + 6, n]
                    + x7 * weights[at + 7, n]
                )
    for at in range(eights, inputs):
        for t in range(totals.shape[0]):
            for n in range(outputs):
                totals[t, n] += rows[t * step + at] * weights[at, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_products_to_four(rows: Floats, step: int, weights: Floats, totals: Floats) -> None:
    """`_add_products` for four rows of totals, in half the time: each weight is loaded once for all four rows."""
    fours = weights.shape[0] // 4 * 4
    for at in range(0, fours, 4):
        a, b, c, d = rows[at:], rows[step + at :], rows[2 * step + at :], rows[3 * step + at :]
        a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
        b0, b1, b2, b3 = b[0], b[1], b[2], b[3]
        c0, c1, c2, c3 = c[0], c[1], c[2], c[3]
        d0, d1, d2, d3 = d[0], d[1], d[2], d[3]
        for n in range(weights.shape[1]):
            w0, w1, w2, w3 = weights[at, n], weights[at + 1, n], weights[at + 2, n], weights[at + 3, n]
            totals[0, n] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
            totals[1, n] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
            totals[2, n] += c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
            totals[3, n] += d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
    _add_products(rows[fours:], step, weights[fours:], totals)  # the inputs that are left over


@njit(cache=True, nogil=True, fastmath={"contract"})
def _convolved(frames: Floats, stride: int, weights: Floats, bias: Floats) -> Floats:
    """Convolution over three frames, then ReLU.

    Args:
        frames: Shape (n + 2, channels): n frames between two of zeros, the padding.
        stride: Frames from one output to the next.
        weights: Shape (3 * channels, outputs).
        bias: Shape (outputs,).

    Returns:
        Shape (m + 2, outputs): m frames between two of zeros, ready for the next layer.
    """
    count = (frames.shape[0] - 3) // stride + 1
    result = np.zeros((count + 2, bias.size), np.float32)
    inner = result[1:-1]
    for t in range(count):
        inner[t] = bias
    # Three consecutive frames are one stretch of the flat array, in the order of the weights. So the convolution is a
    # product of the weights with the stretch that begins at each output's first frame.
    if count == 4:  # noqa: PLR2004 - the rows that the faster one is for
        _add_products_to_four(frames.reshape(-1), stride * frames.shape[1], weights, inner)
    else:
        _add_products(frames.reshape(-1), stride * frames.shape[1], weights, inner)
    for t in range(count):
        for n in range(bias.size):
            inner[t, n] = max(inner[t, n], np.float32(0))
    return result


@njit(cache=True, nogil=True, fastmath={"contract"})
def _cell_input(samples: NDArray[np.int16], gain: np.float32, weights: Weights) -> Floats:
    """Contribution of the samples to the cell's gates, the same for every state: shape (1, 4 * STATE_WIDTH)."""
    audio = np.empty(INPUT_SAMPLES + CONTEXT_SAMPLES, np.float32)
    for i in range(INPUT_SAMPLES):
        audio[i] = samples[i] * np.float32(1 / 32768) * gain
    for i in range(CONTEXT_SAMPLES):  # the model pads by reflection, so that the last frame is whole
        audio[INPUT_SAMPLES + i] = audio[INPUT_SAMPLES - 2 - i]
    spectrum = np.zeros((4, 2 * _BINS), np.float32)
    _add_products_to_four(audio, _FRAME_STEP, weights.transform, spectrum)
    frames = np.zeros((6, _BINS), np.float32)
    for t in range(4):
        for n in range(_BINS):
            real, imaginary = spectrum[t, n], spectrum[t, _BINS + n]
            frames[t + 1, n] = np.sqrt(real * real + imaginary * imaginary)
    frames = _convolved(frames, 1, weights.first, weights.first_bias)
    frames = _convolved(frames, 2, weights.second, weights.second_bias)
    frames = _convolved(frames, 2, weights.third, weights.third_bias)
    frames = _convolved(frames, 1, weights.fourth, weights.fourth_bias)
    gates = (weights.features_bias + weights.output_bias).reshape(1, -1)
    # The two strides of 2 have turned four frames into one, which lies between two rows of padding.
    _add_products(frames[1], 0, weights.cell_from_features, gates)
    return gates


@njit(cache=True, nogil=True, fastmath={"contract"})
def _sigmoid(x: np.float32) -> np.float32:
    return np.float32(1) / (np.float32(1) + math.exp(-x))


@njit(cache=True, nogil=True, fastmath={"contract"})
def _tanh(x: np.float32) -> np.float32:
    # A third of the time of `math.tanh`, and within 1e-7 of it.
    return np.float32(2) * _sigmoid(np.float32(2) * x) - np.float32(1)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _score(samples: NDArray[np.int16], gain: np.float32, states: Floats, weights: Weights) -> Floats:
    """Probability of speech from each state, which is updated in place; arguments as checked by `SileroModel.score`."""
    from_features = _cell_input(samples, gain, weights)
    probabilities = np.empty(states.shape[0], np.float32)
    for row in range(states.shape[0]):
        output, memory = states[row]  # views: the state is updated through them
        gates = from_features.copy()
        _add_products(output, 0, weights.cell_from_output, gates)
        # PyTorch's order of an LSTM cell's gates.
        input_gate, forget_gate, candidate, output_gate = gates.reshape(4, -1)
        total = weights.last_bias[0]
        for n in range(output.size):
            memory[n] = _sigmoid(forget_gate[n]) * memory[n] + _sigmoid(input_gate[n]) * _tanh(candidate[n])
            output[n] = _sigmoid(output_gate[n]) * _tanh(memory[n])
            total += max(output[n], np.float32(0)) * weights.last[n, 0]
        probabilities[row] = _sigmoid(total)
    return probabilities
