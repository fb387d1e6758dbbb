"""Small streaming ONNX models that the tests write; they recognise the words of `tone_models` chunk by chunk.

They have the inputs, outputs, states and metadata that sherpa-onnx expects of Zipformer2 models; `stream_families` has
other kinds. Their output depends on one state that goes from chunk to chunk: the tones of the last step.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.support.tone_models import PIECES, TONES_HZ, constant, save, write_tokens

CHUNK_FRAMES, WINDOW_FRAMES = 32, 45
"""Frames of 10 ms per chunk, and per window, of a Zipformer2 or NeMo model; as in released ones."""

FRAMES_PER_STEP = 4
"""Frames per step of the model."""
MELS = 80
TONES = len(TONES_HZ)

_ZIPFORMER2 = {
    "model_type": "zipformer2",
    "encoder_dims": str(TONES),
    "query_head_dims": "1",
    "value_head_dims": "1",
    "num_heads": "1",
    "num_encoder_layers": "1",
    "cnn_module_kernels": "3",
    "left_context_len": "1",
    "T": str(WINDOW_FRAMES),
    "decode_chunk_len": str(CHUNK_FRAMES),
}
Value = tuple[str, int, Sequence[str | int]]
"""Name, type and shape of an input or output."""


def write_stream_transducer(
    folder: Path, *, metadata: Mapping[str, str] | None = None, decoder: Mapping[str, str] | None = None
) -> Path:
    """Write a Zipformer2 transducer with the file names of releases; the mappings change the metadata of two files."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "epoch-99-avg-1-chunk-16-left-128"
    known = {"vocab_size": str(len(PIECES) + 1), "context_size": "2"}
    save(
        folder / f"encoder-{name}.int8.onnx", _zipformer2("encoder_out", blank=1.0), _ZIPFORMER2 | dict(metadata or {})
    )
    save(folder / f"decoder-{name}.onnx", _decoder(), known | dict(decoder or {}))
    save(folder / f"joiner-{name}.int8.onnx", _joiner(), {"joiner_dim": str(TONES + 1)})
    write_tokens(folder, ("<blk>", *PIECES))
    return folder


def write_zipformer2_ctc(folder: Path) -> Path:
    """Write a Zipformer2 CTC model."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "ctc-epoch-20-avg-1-chunk-16-left-128.int8.onnx", _zipformer2("log_probs", blank=0.5), _ZIPFORMER2)
    write_tokens(folder, ("<blk>", *PIECES))
    return folder


def pack_kroko(folder: Path, path: Path, *, header: Mapping[str, object] | None = None) -> Path:
    """Pack a transducer's folder as a Kroko `.data` file; `header` changes its header."""
    header_values = {"free": True, "id": "tones", "type": "zipformer2"} | dict(header or {})
    text = json.dumps(header_values).encode()
    files = [next(iter(sorted(folder.glob(f"{name}*")))) for name in ("encoder", "decoder", "joiner", "tokens")]
    blocks = [text, *(file.read_bytes() for file in files)]
    path.write_bytes(b"".join(struct.pack("<I", len(block)) + block for block in blocks))
    return path


def _mel(hz: float) -> float:
    return 1127.0 * float(np.log1p(hz / 700.0))


def bands(frames: int = FRAMES_PER_STEP) -> NDArray[np.float32]:
    """Weights, shape (tones, mels, frames), for how much louder a tone's band is than the others; Kaldi's mels."""
    low, high = _mel(20.0), _mel(7_600.0)
    weights = np.zeros((TONES, MELS, frames), np.float32)
    for row, hz in enumerate(TONES_HZ):
        centre = round((_mel(hz) - low) / (high - low) * (MELS + 1)) - 1
        band = np.zeros(MELS, bool)
        band[max(0, centre - 1) : centre + 2] = True
        weights[row, band] = 1 / (band.sum() * frames)
        weights[row, ~band] = -1 / ((~band).sum() * frames)
    return weights


def onsets(mels: str, *, frames: int, weights: NDArray[np.float32] | None = None) -> list[onnx.NodeProto]:
    """From `mels` (N, mels, T) and `before` (N, tones, 1): `onset` (N, tones, steps), `after` like `before`."""
    weights = bands() if weights is None else weights
    return [
        helper.make_node("Constant", [], ["end"], value=constant("end", [frames], np.int64)),
        helper.make_node("Slice", [mels, "zero", "end", "time"], ["chunk"]),
        helper.make_node("Constant", [], ["bands"], value=constant("bands", weights)),
        helper.make_node("Conv", ["chunk", "bands"], ["contrast"], strides=[weights.shape[2]]),
        helper.make_node("Greater", ["contrast", "threshold"], ["is_loud"]),
        helper.make_node("Cast", ["is_loud"], ["loud"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["loud", "zero", "minus_one", "time"], ["but_last"]),
        helper.make_node("Slice", ["loud", "minus_one", "far", "time"], ["after"]),
        helper.make_node("Concat", ["before", "but_last"], ["earlier"], axis=2),
        helper.make_node("Sub", ["loud", "earlier"], ["step"]),
        helper.make_node("Relu", ["step"], ["onset"]),
    ]


def graph(
    name: str, inputs: Sequence[Value], outputs: Sequence[Value], nodes: Sequence[onnx.NodeProto], *, blank: float
) -> onnx.GraphProto:
    """A graph with the constants that these models share; `blank` is the score of the blank."""
    return helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [
            constant("threshold", 3.0),
            constant("blank", blank),
            constant("row_before", [0, 1, 0, 0, 0, 0], np.int64),
            constant("row_behind", [0, 0, 0, 0, 1, 0], np.int64),
            constant("zero", [0], np.int64),
            constant("zeroth", [0], np.int64),
            constant("first", [1], np.int64),
            constant("minus_one", [-1], np.int64),
            constant("far", [np.iinfo(np.int64).max], np.int64),
            constant("time", [2], np.int64),
        ],
    )


def _zipformer2(output: str, *, blank: float) -> onnx.GraphProto:
    """A stack of one layer. Of its states only the sixth from the end is used; the others are passed on."""
    number = TensorProto.FLOAT
    states: list[Value] = [
        ("cached_key_0", number, [1, "N", 1]),
        ("cached_nonlin_attn_0", number, [1, "N", 1, 3 * TONES // 4]),
        ("cached_val1_0", number, [1, "N", 1]),
        ("cached_val2_0", number, [1, "N", 1]),
        ("cached_conv1_0", number, ["N", TONES, 1]),
        ("cached_conv2_0", number, ["N", TONES, 1]),
        ("embed_states", number, ["N", 128, 3, 19]),
        ("processed_lens", TensorProto.INT64, ["N"]),
    ]
    handed_on = [name for name, _, _ in states if name != "cached_conv1_0"]
    return graph(
        "zipformer2",
        [("x", number, ["N", WINDOW_FRAMES, MELS]), *states],
        [(output, number, ["N", "S", TONES + 1]), *((f"new_{name}", kind, shape) for name, kind, shape in states)],
        [
            helper.make_node("Identity", ["cached_conv1_0"], ["before"]),
            helper.make_node("Transpose", ["x"], ["mels"], perm=[0, 2, 1]),
            *onsets("mels", frames=CHUNK_FRAMES),
            helper.make_node("Pad", ["onset", "row_before", "blank"], ["rows"]),
            helper.make_node("Transpose", ["rows"], [output], perm=[0, 2, 1]),
            helper.make_node("Identity", ["after"], ["new_cached_conv1_0"]),
            *(helper.make_node("Identity", [name], [f"new_{name}"]) for name in handed_on),
        ],
        blank=blank,
    )


def _decoder() -> onnx.GraphProto:
    """A decoder without state: its output is zero."""
    return helper.make_graph(
        [
            helper.make_node("Cast", ["y"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers"], ["one"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["one", "nought"], ["decoder_out"]),
        ],
        "decoder",
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["N", 2])],
        [helper.make_tensor_value_info("decoder_out", TensorProto.FLOAT, ["N", 1])],
        [constant("nought", 0.0)],
    )


def _joiner() -> onnx.GraphProto:
    """Scores of the tokens: the token that begins has twice the score of the blank."""
    return helper.make_graph(
        [
            helper.make_node("Mul", ["encoder_out", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "decoder_out"], ["logit"]),
        ],
        "joiner",
        [
            helper.make_tensor_value_info("encoder_out", TensorProto.FLOAT, ["N", TONES + 1]),
            helper.make_tensor_value_info("decoder_out", TensorProto.FLOAT, ["N", 1]),
        ],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", TONES + 1])],
        [constant("scale", [10.0, *[20.0] * TONES])],
    )
