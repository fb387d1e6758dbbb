"""Streaming ONNX models small enough to be written here, that hear the words of `tone_models` chunk by chunk.

They have the inputs, outputs, states and metadata that sherpa-onnx wants of Zipformer2, NeMo, WeNet and Paraformer
models; what they hear depends on one state that goes from chunk to chunk: which tones sounded last.
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
"""Frames of 10 ms that a Zipformer2 or NeMo model moves on by, and that it looks at; 32 and 45 as in released ones."""

_FRAMES_PER_STEP, _NEMO_FRAMES_PER_STEP = 4, 8
_MELS = 80
_STACKED_FRAMES = 7
_PARAFORMER_GAIN = 8
_TONES = len(TONES_HZ)

_ZIPFORMER2 = {
    "model_type": "zipformer2",
    "encoder_dims": str(_TONES),
    "query_head_dims": "1",
    "value_head_dims": "1",
    "num_heads": "1",
    "num_encoder_layers": "1",
    "cnn_module_kernels": "3",
    "left_context_len": "1",
    "T": str(WINDOW_FRAMES),
    "decode_chunk_len": str(CHUNK_FRAMES),
}
_NEMO = {
    "window_size": str(WINDOW_FRAMES),
    "chunk_shift": str(CHUNK_FRAMES),
    "subsampling_factor": str(_NEMO_FRAMES_PER_STEP),
    "vocab_size": str(len(PIECES)),
    **{f"cache_last_channel_dim{number}": "1" for number in (1, 2, 3)},
    "cache_last_time_dim1": "1",
    "cache_last_time_dim2": str(_TONES),
    "cache_last_time_dim3": "1",
}
_WENET = {
    "head": "1",
    "num_blocks": "1",
    "output_size": str(_TONES),
    "cnn_module_kernel": "2",
    "right_context": "6",
    "subsampling_factor": str(_FRAMES_PER_STEP),
    "vocab_size": str(len(PIECES) + 1),
}

_Value = tuple[str, int, Sequence[str | int]]
"""Name, type and shape of an input or output."""


def write_stream_transducer(
    folder: Path, *, metadata: Mapping[str, str] | None = None, decoder: Mapping[str, str] | None = None
) -> Path:
    """Write a Zipformer2 transducer, named as releases are; the mappings change two files' metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "epoch-99-avg-1-chunk-16-left-128"
    known = {"vocab_size": str(len(PIECES) + 1), "context_size": "2"}
    save(
        folder / f"encoder-{name}.int8.onnx", _zipformer2("encoder_out", blank=1.0), _ZIPFORMER2 | dict(metadata or {})
    )
    save(folder / f"decoder-{name}.onnx", _decoder(), known | dict(decoder or {}))
    save(folder / f"joiner-{name}.int8.onnx", _joiner(), {"joiner_dim": str(_TONES + 1)})
    write_tokens(folder, ("<blk>", *PIECES))
    return folder


def write_zipformer2_ctc(folder: Path) -> Path:
    """Write a Zipformer2 CTC model."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "ctc-epoch-20-avg-1-chunk-16-left-128.int8.onnx", _zipformer2("log_probs", blank=0.5), _ZIPFORMER2)
    write_tokens(folder, ("<blk>", *PIECES))
    return folder


def write_nemo_ctc(folder: Path) -> Path:
    """Write a NeMo CTC model; its blank is the last token."""
    folder.mkdir(parents=True, exist_ok=True)
    states: list[_Value] = [
        ("cache_last_channel", TensorProto.FLOAT, ["N", 1, 1, 1]),
        ("cache_last_time", TensorProto.FLOAT, ["N", 1, _TONES, 1]),
        ("cache_last_channel_len", TensorProto.INT64, ["N"]),
    ]
    graph = _graph(
        "nemo",
        [("audio_signal", TensorProto.FLOAT, ["N", _MELS, "T"]), ("length", TensorProto.INT64, ["N"]), *states],
        [
            ("logprobs", TensorProto.FLOAT, ["N", "S", _TONES + 1]),
            ("encoded_lengths", TensorProto.INT64, ["N"]),
            *((f"{name}_next", kind, shape) for name, kind, shape in states),
        ],
        [
            helper.make_node("Squeeze", ["cache_last_time", "first"], ["before"]),
            *_onsets("audio_signal", frames=CHUNK_FRAMES, frames_per_step=_NEMO_FRAMES_PER_STEP),
            helper.make_node("Pad", ["onset", "row_behind", "blank"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["logprobs"], perm=[0, 2, 1]),
            helper.make_node("Identity", ["length"], ["encoded_lengths"]),
            helper.make_node("Identity", ["cache_last_channel"], ["cache_last_channel_next"]),
            helper.make_node("Unsqueeze", ["after", "first"], ["cache_last_time_next"]),
            helper.make_node("Identity", ["cache_last_channel_len"], ["cache_last_channel_len_next"]),
        ],
        blank=0.5,
    )
    save(folder / "model.onnx", graph, _NEMO)
    write_tokens(folder, (*PIECES, "<blk>"))
    return folder


def write_wenet_ctc(folder: Path) -> Path:
    """Write a WeNet CTC model."""
    folder.mkdir(parents=True, exist_ok=True)
    attention: Sequence[str | int] = [1, 1, "cache", 2 * _TONES]
    graph = _graph(
        "wenet",
        [
            ("x", TensorProto.FLOAT, ["N", "T", _MELS]),
            ("offset", TensorProto.INT64, [1]),
            ("required_cache_size", TensorProto.INT64, [1]),
            ("attn_cache", TensorProto.FLOAT, attention),
            ("conv_cache", TensorProto.FLOAT, [1, "N", _TONES, 1]),
            ("attn_mask", TensorProto.BOOL, [1, 1, "mask"]),
        ],
        [
            ("log_probs", TensorProto.FLOAT, ["N", "S", _TONES + 1]),
            ("next_attn_cache", TensorProto.FLOAT, attention),
            ("next_conv_cache", TensorProto.FLOAT, [1, "N", _TONES, 1]),
        ],
        [
            helper.make_node("Squeeze", ["conv_cache", "zeroth"], ["before"]),
            helper.make_node("Transpose", ["x"], ["mels"], perm=[0, 2, 1]),
            *_onsets("mels", frames=16 * _FRAMES_PER_STEP),
            helper.make_node("Pad", ["onset", "row_before", "blank"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["log_probs"], perm=[0, 2, 1]),
            helper.make_node("Identity", ["attn_cache"], ["next_attn_cache"]),
            helper.make_node("Unsqueeze", ["after", "zeroth"], ["next_conv_cache"]),
        ],
        blank=0.5,
    )
    save(folder / "model-streaming.int8.onnx", graph, _WENET)
    write_tokens(folder, ("<blank>", *PIECES))
    return folder


def write_paraformer(folder: Path) -> Path:
    """Write a streaming Paraformer; it gives no times, and joins its pieces by `@@`."""
    folder.mkdir(parents=True, exist_ok=True)
    dimensions = _STACKED_FRAMES * _MELS
    metadata = {
        "vocab_size": str(len(PIECES) + 1),
        "lfr_window_size": str(_STACKED_FRAMES),
        "lfr_window_shift": str(_STACKED_FRAMES - 1),
        "encoder_output_size": str(_TONES),
        "decoder_num_blocks": "1",
        "decoder_kernel_size": "2",
        "neg_mean": ",".join(["0"] * dimensions),
        # So loud that the waves by which places are told, of height 1, are nothing beside it.
        "inv_stddev": ",".join([str(_PARAFORMER_GAIN)] * dimensions),
    }
    save(folder / "encoder.int8.onnx", _paraformer_encoder(), metadata)
    save(folder / "decoder.int8.onnx", _paraformer_decoder(), {})
    write_tokens(folder, ("<blank>", "one", "two", "th@@", "ree"))
    return folder


def pack_kroko(folder: Path, path: Path, *, header: Mapping[str, object] | None = None) -> Path:
    """Pack a transducer's directory as a Kroko `.data` file; `header` changes what stands before the files."""
    said = {"free": True, "id": "tones", "type": "zipformer2"} | dict(header or {})
    text = json.dumps(said).encode()
    files = [next(iter(sorted(folder.glob(f"{name}*")))) for name in ("encoder", "decoder", "joiner", "tokens")]
    blocks = [text, *(file.read_bytes() for file in files)]
    path.write_bytes(b"".join(struct.pack("<I", len(block)) + block for block in blocks))
    return path


def _mel(hz: float) -> float:
    return 1127.0 * float(np.log1p(hz / 700.0))


def _bands(frames: int = _FRAMES_PER_STEP) -> NDArray[np.float32]:
    """Weights of shape (tones, mels, frames): how much louder a tone's band is than the others, on Kaldi's scale."""
    low, high = _mel(20.0), _mel(7_600.0)
    weights = np.zeros((_TONES, _MELS, frames), np.float32)
    for row, hz in enumerate(TONES_HZ):
        centre = round((_mel(hz) - low) / (high - low) * (_MELS + 1)) - 1
        band = np.zeros(_MELS, bool)
        band[max(0, centre - 1) : centre + 2] = True
        weights[row, band] = 1 / (band.sum() * frames)
        weights[row, ~band] = -1 / ((~band).sum() * frames)
    return weights


def _onsets(mels: str, *, frames: int, frames_per_step: int = _FRAMES_PER_STEP) -> list[onnx.NodeProto]:
    """From `mels` (N, mels, T) and `before` (N, tones, 1): `onset` (N, tones, steps), `after` like `before`."""
    return [
        helper.make_node("Constant", [], ["end"], value=constant("end", [frames], np.int64)),
        helper.make_node("Slice", [mels, "zero", "end", "time"], ["chunk"]),
        helper.make_node("Constant", [], ["bands"], value=constant("bands", _bands(frames_per_step))),
        helper.make_node("Conv", ["chunk", "bands"], ["contrast"], strides=[frames_per_step]),
        helper.make_node("Greater", ["contrast", "threshold"], ["is_loud"]),
        helper.make_node("Cast", ["is_loud"], ["loud"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["loud", "zero", "minus_one", "time"], ["but_last"]),
        helper.make_node("Slice", ["loud", "minus_one", "far", "time"], ["after"]),
        helper.make_node("Concat", ["before", "but_last"], ["earlier"], axis=2),
        helper.make_node("Sub", ["loud", "earlier"], ["step"]),
        helper.make_node("Relu", ["step"], ["onset"]),
    ]


def _graph(
    name: str, inputs: Sequence[_Value], outputs: Sequence[_Value], nodes: Sequence[onnx.NodeProto], *, blank: float
) -> onnx.GraphProto:
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
    """A stack of one layer; of its states only the sixth but last is used, the others are handed on."""
    number = TensorProto.FLOAT
    states: list[_Value] = [
        ("cached_key_0", number, [1, "N", 1]),
        ("cached_nonlin_attn_0", number, [1, "N", 1, 3 * _TONES // 4]),
        ("cached_val1_0", number, [1, "N", 1]),
        ("cached_val2_0", number, [1, "N", 1]),
        ("cached_conv1_0", number, ["N", _TONES, 1]),
        ("cached_conv2_0", number, ["N", _TONES, 1]),
        ("embed_states", number, ["N", 128, 3, 19]),
        ("processed_lens", TensorProto.INT64, ["N"]),
    ]
    handed_on = [name for name, _, _ in states if name != "cached_conv1_0"]
    return _graph(
        "zipformer2",
        [("x", number, ["N", WINDOW_FRAMES, _MELS]), *states],
        [(output, number, ["N", "S", _TONES + 1]), *((f"new_{name}", kind, shape) for name, kind, shape in states)],
        [
            helper.make_node("Identity", ["cached_conv1_0"], ["before"]),
            helper.make_node("Transpose", ["x"], ["mels"], perm=[0, 2, 1]),
            *_onsets("mels", frames=CHUNK_FRAMES),
            helper.make_node("Pad", ["onset", "row_before", "blank"], ["rows"]),
            helper.make_node("Transpose", ["rows"], [output], perm=[0, 2, 1]),
            helper.make_node("Identity", ["after"], ["new_cached_conv1_0"]),
            *(helper.make_node("Identity", [name], [f"new_{name}"]) for name in handed_on),
        ],
        blank=blank,
    )


def _decoder() -> onnx.GraphProto:
    """Remembers nothing: its output is zero."""
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
    """Twice as much for a piece that begins as for the blank."""
    return helper.make_graph(
        [
            helper.make_node("Mul", ["encoder_out", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "decoder_out"], ["logit"]),
        ],
        "joiner",
        [
            helper.make_tensor_value_info("encoder_out", TensorProto.FLOAT, ["N", _TONES + 1]),
            helper.make_tensor_value_info("decoder_out", TensorProto.FLOAT, ["N", 1]),
        ],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", _TONES + 1])],
        [constant("scale", [10.0, *[20.0] * _TONES])],
    )


def _paraformer_encoder() -> onnx.GraphProto:
    """Marks the step in which a tone begins: (1, steps, tones), and how many do."""
    weights = np.tile(_bands(1)[:, :, 0] / _STACKED_FRAMES, (1, _STACKED_FRAMES))
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["speech", "weights"], ["contrast"]),
            helper.make_node("Greater", ["contrast", "threshold"], ["is_loud"]),
            helper.make_node("Cast", ["is_loud"], ["loud"], to=TensorProto.FLOAT),
            helper.make_node("Pad", ["loud", "one_before"], ["with_before"]),
            helper.make_node("Slice", ["with_before", "zero", "minus_one", "time"], ["before"]),
            helper.make_node("Sub", ["loud", "before"], ["step"]),
            helper.make_node("Relu", ["step"], ["enc"]),
            helper.make_node("Identity", ["speech_lengths"], ["enc_len"]),
            helper.make_node("ReduceSum", ["enc", "last"], ["alphas"], keepdims=0),
        ],
        "encoder",
        [
            helper.make_tensor_value_info("speech", TensorProto.FLOAT, [1, "T", _STACKED_FRAMES * _MELS]),
            helper.make_tensor_value_info("speech_lengths", TensorProto.INT32, [1]),
        ],
        [
            helper.make_tensor_value_info("enc", TensorProto.FLOAT, [1, "T", _TONES]),
            helper.make_tensor_value_info("enc_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("alphas", TensorProto.FLOAT, [1, "T"]),
        ],
        [
            constant("weights", weights.T),
            constant("threshold", 3.0 * _PARAFORMER_GAIN * np.sqrt(_TONES)),
            constant("one_before", [0, 1, 0, 0, 0, 0], np.int64),
            constant("zero", [0], np.int64),
            constant("minus_one", [-1], np.int64),
            constant("time", [1], np.int64),
            constant("last", [2], np.int64),
        ],
    )


def _paraformer_decoder() -> onnx.GraphProto:
    """The token of the tone that an embedding marks."""
    return helper.make_graph(
        [
            helper.make_node("Pad", ["acoustic_embeds", "blank_before"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["sample_ids"], axis=2, keepdims=0),
            helper.make_node("Identity", ["in_cache_0"], ["out_cache_0"]),
        ],
        "decoder",
        [
            helper.make_tensor_value_info("enc", TensorProto.FLOAT, [1, "T", _TONES]),
            helper.make_tensor_value_info("enc_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("acoustic_embeds", TensorProto.FLOAT, [1, "N", _TONES]),
            helper.make_tensor_value_info("acoustic_embeds_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("in_cache_0", TensorProto.FLOAT, [1, _TONES, 1]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "N", _TONES + 1]),
            helper.make_tensor_value_info("sample_ids", TensorProto.INT64, [1, "N"]),
            helper.make_tensor_value_info("out_cache_0", TensorProto.FLOAT, [1, _TONES, 1]),
        ],
        [constant("blank_before", [0, 0, 1, 0, 0, 0], np.int64)],
    )
