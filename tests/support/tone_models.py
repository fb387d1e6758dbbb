"""Small ONNX models that the tests write and that recognise words in tones, because released models are too large.

A tone of `ONE_HZ` is the word "one", one of `TWO_HZ` "two", and one of `THREE_HZ` followed by `END_HZ` the two tokens
of "three". A pause between two tones is optional.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ONE_HZ, TWO_HZ, THREE_HZ, END_HZ = 400.0, 1_000.0, 2_200.0, 5_000.0
TONES_HZ = (ONE_HZ, TWO_HZ, THREE_HZ, END_HZ)
PIECES = ("▁one", "▁two", "▁th", "ree")

_RATE_HZ = 16_000
_MELS = 80
_SUBSAMPLING = 8
_DURATIONS = 5
_OPSET = 17
_IR_VERSION = 9

Floats = NDArray[np.float32]


def tone(hz: float, seconds: float, *, level: float = 0.3) -> Floats:
    """A sine as float32, shape (samples,), 16 kHz."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * _RATE_HZ)) / _RATE_HZ)).astype(np.float32)


def pause(seconds: float) -> Floats:
    """Digital silence as float32, shape (samples,), 16 kHz."""
    return np.zeros(round(seconds * _RATE_HZ), np.float32)


def spoken(*tones_hz: float) -> Floats:
    """Tones of 0.32 s, each after a pause of 0.32 s, and a last pause."""
    return np.concatenate([part for hz in tones_hz for part in (pause(0.32), tone(hz, 0.32))] + [pause(0.32)])


def write_transducer(folder: Path, *, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a NeMo token-and-duration transducer for sherpa-onnx; `metadata` changes the encoder's metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    size = len(PIECES) + 1
    known = {
        "vocab_size": str(len(PIECES)),
        "normalize_type": "",
        "pred_rnn_layers": "1",
        "pred_hidden": "1",
        "subsampling_factor": str(_SUBSAMPLING),
        "model_type": "EncDecRNNTBPEModel",
        "url": "tdt",  # with this word sherpa-onnx expects durations from the joiner
    }
    save(folder / "encoder.int8.onnx", _encoder(size), known | dict(metadata or {}))
    save(folder / "decoder.int8.onnx", _decoder(), {})
    save(folder / "joiner.int8.onnx", _joiner(size), {})
    write_tokens(folder, (*PIECES, "<blk>"))
    return folder


def write_ctc(folder: Path) -> Path:
    """Write an Omnilingual CTC model for sherpa-onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "model.int8.onnx", _ctc(), {"model_type": "omnilingual-asr"})
    write_tokens(folder, ("<blk>", *PIECES))
    return folder


def write_tokens(folder: Path, symbols: Sequence[str]) -> None:
    """Write a model's token table, the symbols numbered from 0."""
    table = "".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols))
    (folder / "tokens.txt").write_text(table, encoding="utf-8")


def save(path: Path, graph: onnx.GraphProto, metadata: Mapping[str, str]) -> None:
    """Save a graph as a model, with an operator set that older ONNX runtimes read too."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def constant(name: str, value: object, dtype: type = np.float32) -> onnx.TensorProto:
    """A constant tensor of a graph."""
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def _slaney_mel(hz: float) -> float:
    return 3 * hz / 200 if hz < 1_000 else 15 + 27 * float(np.log(hz / 1_000) / np.log(6.4))


def slaney_bands() -> Floats:
    """Weights, shape (tokens, mels, frames), for how much louder a tone's band is than all others; NeMo's mels."""
    top = _slaney_mel(_RATE_HZ / 2)
    weights = np.zeros((len(TONES_HZ), _MELS, _SUBSAMPLING), np.float32)
    for row, hz in enumerate(TONES_HZ):
        centre = round(_slaney_mel(hz) / top * (_MELS + 1)) - 1
        band = np.zeros(_MELS, bool)
        band[max(0, centre - 1) : centre + 2] = True
        weights[row, band] = 1 / (band.sum() * _SUBSAMPLING)
        weights[row, ~band] = -1 / ((~band).sum() * _SUBSAMPLING)
    return weights


def _encoder(size: int) -> onnx.GraphProto:
    """An encoder with 1.0 in the row of a tone at its start, and always in the last row: (batch, size, frames / 8)."""
    nodes = [
        helper.make_node("Conv", ["audio_signal", "bands"], ["contrast"], strides=[_SUBSAMPLING]),
        helper.make_node("Greater", ["contrast", "threshold"], ["is_loud"]),
        helper.make_node("Cast", ["is_loud"], ["loud"], to=TensorProto.FLOAT),
        helper.make_node("Pad", ["loud", "one_before"], ["with_before"]),
        helper.make_node("Slice", ["with_before", "zero", "minus_one", "time"], ["before"]),
        helper.make_node("Sub", ["loud", "before"], ["step"]),
        helper.make_node("Relu", ["step"], ["onset"]),
        helper.make_node("Pad", ["onset", "one_row", "one"], ["outputs"]),
        helper.make_node("Div", ["length", "subsampling"], ["encoded_lengths"]),
    ]
    return helper.make_graph(
        nodes,
        "encoder",
        [
            helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["N", _MELS, "T"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["N"]),
        ],
        [
            helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["N", size, "S"]),
            helper.make_tensor_value_info("encoded_lengths", TensorProto.INT64, ["N"]),
        ],
        [
            constant("bands", slaney_bands()),
            constant("threshold", 3.0),
            constant("one_before", [0, 0, 1, 0, 0, 0], np.int64),
            constant("one_row", [0, 0, 0, 0, 1, 0], np.int64),
            constant("zero", [0], np.int64),
            constant("minus_one", [-1], np.int64),
            constant("time", [2], np.int64),
            constant("one", 1.0),
            constant("subsampling", [_SUBSAMPLING], np.int64),
        ],
    )


def _decoder() -> onnx.GraphProto:
    """A decoder without state: its output is zero."""
    state = ["one_layer", "N", "hidden"]
    nodes = [
        helper.make_node("Cast", ["targets"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "first"], ["wide"]),
        helper.make_node("Mul", ["wide", "nought"], ["outputs"]),
        helper.make_node("Identity", ["target_length"], ["prednet_lengths"]),
        helper.make_node("Identity", ["states.1"], ["states"]),
        helper.make_node("Identity", ["onnx::Slice_3"], ["162"]),
    ]
    return helper.make_graph(
        nodes,
        "decoder",
        [
            helper.make_tensor_value_info("targets", TensorProto.INT32, ["N", "U"]),
            helper.make_tensor_value_info("target_length", TensorProto.INT32, ["N"]),
            helper.make_tensor_value_info("states.1", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("onnx::Slice_3", TensorProto.FLOAT, state),
        ],
        [
            helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["N", 1, "U"]),
            helper.make_tensor_value_info("prednet_lengths", TensorProto.INT32, ["N"]),
            helper.make_tensor_value_info("states", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("162", TensorProto.FLOAT, state),
        ],
        [constant("first", [1], np.int64), constant("nought", 0.0)],
    )


def _joiner(size: int) -> onnx.GraphProto:
    """Scores of the tokens, the blank and the durations; every duration is one frame."""
    scale = np.append(np.full(size - 1, 20.0), 10.0).reshape(1, size, 1)
    durations = np.zeros((1, _DURATIONS, 1))
    durations[0, 1] = 1.0
    nodes = [
        helper.make_node("Mul", ["encoder_outputs", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "decoder_outputs"], ["pieces"]),
        helper.make_node("Concat", ["pieces", "durations"], ["both"], axis=1),
        helper.make_node("Transpose", ["both"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Unsqueeze", ["rows", "second"], ["outputs"]),
    ]
    return helper.make_graph(
        nodes,
        "joiner",
        [
            helper.make_tensor_value_info("encoder_outputs", TensorProto.FLOAT, [1, size, 1]),
            helper.make_tensor_value_info("decoder_outputs", TensorProto.FLOAT, [1, 1, 1]),
        ],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [1, 1, 1, size + _DURATIONS])],
        [
            constant("scale", scale),
            constant("durations", durations),
            constant("second", [2], np.int64),
        ],
    )


def _ctc() -> onnx.GraphProto:
    """The power of each tone in windows of 20 ms, as the score of its token: (batch, windows, tokens + 1)."""
    window = _RATE_HZ // 50
    phase = 2 * np.pi * np.outer(TONES_HZ, np.arange(window)) / _RATE_HZ
    nodes = [
        helper.make_node("Unsqueeze", ["x", "first"], ["channel"]),
        helper.make_node("Conv", ["channel", "cosines"], ["real"], strides=[window]),
        helper.make_node("Conv", ["channel", "sines"], ["imaginary"], strides=[window]),
        helper.make_node("Mul", ["real", "real"], ["real_power"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary_power"]),
        helper.make_node("Add", ["real_power", "imaginary_power"], ["power"]),
        helper.make_node("Pad", ["power", "one_row", "blank"], ["scores"]),
        helper.make_node("Transpose", ["scores"], ["logits"], perm=[0, 2, 1]),
    ]
    return helper.make_graph(
        nodes,
        "ctc",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "samples"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "windows", len(PIECES) + 1])],
        [
            constant("first", [1], np.int64),
            constant("cosines", np.cos(phase)[:, None] / window),
            constant("sines", np.sin(phase)[:, None] / window),
            constant("one_row", [0, 1, 0, 0, 0, 0], np.int64),
            constant("blank", 0.1),
        ],
    )
