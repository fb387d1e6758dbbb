"""Silero's network for 16 kHz as Numba kernels: what it makes of one window, for one or several states.

It owns the arithmetic. It must not load files, nor keep anything of a talker.

The layers, as the published model has them: a short-time Fourier transform of four overlapping frames, its magnitudes,
four convolutions over time, an LSTM cell, one weighted sum. onnxruntime takes 70 us for a window, because matrices of
four columns are no work for it, and starts anew for every state. Here all up to the cell's input is worked out once for
all states, in a third of the time. Sums are float32 in another order than there: probabilities agree within 1e-5.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trio_stt.dsp import WINDOW_SAMPLES

CONTEXT_SAMPLES = 64
"""Samples of the window before that Silero hears again ahead of each window."""

INPUT_SAMPLES = CONTEXT_SAMPLES + WINDOW_SAMPLES
"""Samples that one score takes."""

STATE_WIDTH = 128
"""Of the cell: a state is its output and its memory, shape (2, 128)."""

_FRAME_STEP = 128
_BINS = 129

Floats = NDArray[np.float32]


class Weights(NamedTuple):
    """What Silero learned, float32, inputs by outputs; those of a convolution by time, then channel.

    A named tuple is what Numba takes.
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
    from_sound: Floats
    from_output: Floats
    sound_bias: Floats
    output_bias: Floats
    last: Floats
    last_bias: Floats


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_products(rows: Floats, step: int, weights: Floats, totals: Floats) -> None:
    """Add to each row of `totals` what `weights` make of the stretch of `rows` that begins `step` after the last."""
    inputs, outputs = weights.shape
    eights = inputs // 8 * 8  # eight at a time: a sum is loaded and stored once for eight products
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
    """The same for `totals` of four rows, in half the time: a weight is loaded once for all."""
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
    _add_products(rows[fours:], step, weights[fours:], totals)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _convolved(frames: Floats, stride: int, weights: Floats, bias: Floats) -> Floats:
    """A convolution over three frames, zero where it is negative; with a frame of zeros at either end, in and out."""
    count = (frames.shape[0] - 3) // stride + 1
    result = np.zeros((count + 2, bias.size), np.float32)
    inner = result[1:-1]
    for t in range(count):
        inner[t] = bias
    if count == 4:  # noqa: PLR2004 - that is what it is for
        _add_products_to_four(frames.reshape(-1), stride * frames.shape[1], weights, inner)
    else:
        _add_products(frames.reshape(-1), stride * frames.shape[1], weights, inner)
    for t in range(count):
        for n in range(bias.size):
            inner[t, n] = max(inner[t, n], np.float32(0))
    return result


@njit(cache=True, nogil=True, fastmath={"contract"})
def _cell_input(samples: NDArray[np.int16], gain: np.float32, weights: Weights) -> Floats:
    """What the samples give to the cell, whatever it remembers: shape (1, 4 * STATE_WIDTH)."""
    heard = np.empty(INPUT_SAMPLES + CONTEXT_SAMPLES, np.float32)
    for i in range(INPUT_SAMPLES):
        heard[i] = samples[i] * np.float32(1 / 32768) * gain
    for i in range(CONTEXT_SAMPLES):  # the end mirrored, so that the last frame is whole
        heard[INPUT_SAMPLES + i] = heard[INPUT_SAMPLES - 2 - i]
    spectrum = np.zeros((4, 2 * _BINS), np.float32)
    _add_products_to_four(heard, _FRAME_STEP, weights.transform, spectrum)
    frames = np.zeros((6, _BINS), np.float32)
    for t in range(4):
        for n in range(_BINS):
            real, imaginary = spectrum[t, n], spectrum[t, _BINS + n]
            frames[t + 1, n] = np.sqrt(real * real + imaginary * imaginary)
    frames = _convolved(frames, 1, weights.first, weights.first_bias)
    frames = _convolved(frames, 2, weights.second, weights.second_bias)
    frames = _convolved(frames, 2, weights.third, weights.third_bias)
    frames = _convolved(frames, 1, weights.fourth, weights.fourth_bias)
    gates = (weights.sound_bias + weights.output_bias).reshape(1, -1)
    _add_products(frames[1], 0, weights.from_sound, gates)
    return gates


@njit(cache=True, nogil=True, fastmath={"contract"})
def _sigmoid(x: np.float32) -> np.float32:
    return np.float32(1) / (np.float32(1) + math.exp(-x))


@njit(cache=True, nogil=True, fastmath={"contract"})
def _tanh(x: np.float32) -> np.float32:
    # Of this and `math.tanh` this takes a third of the time, and is off by 1e-7 at most.
    return np.float32(2) * _sigmoid(np.float32(2) * x) - np.float32(1)


@njit(cache=True, nogil=True, fastmath={"contract"})
def scores(samples: NDArray[np.int16], gain: np.float32, states: Floats, weights: Weights) -> Floats:
    """The probability of speech by each state, which is brought up to date; unchecked, see `SileroModel.score`."""
    given = _cell_input(samples, gain, weights)
    probabilities = np.empty(states.shape[0], np.float32)
    for row in range(states.shape[0]):
        output, memory = states[row]
        gates = given.copy()
        _add_products(output, 0, weights.from_output, gates)
        taken, kept, new, told = gates.reshape(4, -1)
        total = weights.last_bias[0]
        for n in range(output.size):
            memory[n] = _sigmoid(kept[n]) * memory[n] + _sigmoid(taken[n]) * _tanh(new[n])
            output[n] = _sigmoid(told[n]) * _tanh(memory[n])
            total += max(output[n], np.float32(0)) * weights.last[n, 0]
        probabilities[row] = _sigmoid(total)
    return probabilities
