"""Streaming models like those of `stream_models`, as NeMo, WeNet and Paraformer models."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.support.stream_models import (
    CHUNK_FRAMES,
    FRAMES_PER_STEP,
    MELS,
    TONES,
    WINDOW_FRAMES,
    Value,
    bands,
    graph,
    onsets,
)
from tests.support.tone_models import PIECES, constant, save, slaney_bands, write_tokens

_NEMO_FRAMES_PER_STEP = 8
_STACKED_FRAMES = 7
_PARAFORMER_GAIN = 8

_NEMO = {
    "window_size": str(WINDOW_FRAMES),
    "chunk_shift": str(CHUNK_FRAMES),
    "subsampling_factor": str(_NEMO_FRAMES_PER_STEP),
    "vocab_size": str(len(PIECES)),
    **{f"cache_last_channel_dim{number}": "1" for number in (1, 2, 3)},
    "cache_last_time_dim1": "1",
    "cache_last_time_dim2": str(TONES),
    "cache_last_time_dim3": "1",
}
_WENET = {
    "head": "1",
    "num_blocks": "1",
    "output_size": str(TONES),
    "cnn_module_kernel": "2",
    "right_context": "6",
    "subsampling_factor": str(FRAMES_PER_STEP),
    "vocab_size": str(len(PIECES) + 1),
}


def write_nemo_ctc(folder: Path) -> Path:
    """Write a NeMo CTC model; its blank is the last token."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = helper.make_node("Transpose", ["rows"], ["logprobs"], perm=[0, 2, 1])
    model = _nemo(
        ("logprobs", TensorProto.FLOAT, ["N", "S", TONES + 1]), rows, blank=0.5, weights=bands(_NEMO_FRAMES_PER_STEP)
    )
    save(folder / "model.onnx", model, _NEMO)
    write_tokens(folder, (*PIECES, "<blk>"))
    return folder


def write_nemo_stream_transducer(folder: Path) -> Path:
    """Write a streaming NeMo transducer."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = helper.make_node("Identity", ["rows"], ["outputs"])
    model = _nemo(("outputs", TensorProto.FLOAT, ["N", TONES + 1, "S"]), rows, blank=1.0, weights=slaney_bands())
    more = {"normalize_type": "NA", "pred_rnn_layers": "1", "pred_hidden": "1"}
    save(folder / "encoder.int8.onnx", model, _NEMO | more)
    save(folder / "decoder.int8.onnx", _nemo_decoder(), {})
    save(folder / "joiner.int8.onnx", _nemo_joiner(), {})
    write_tokens(folder, (*PIECES, "<blk>"))
    return folder


def write_wenet_ctc(folder: Path) -> Path:
    """Write a WeNet CTC model."""
    folder.mkdir(parents=True, exist_ok=True)
    attention: Sequence[str | int] = [1, 1, "cache", 2 * TONES]
    model = graph(
        "wenet",
        [
            ("x", TensorProto.FLOAT, ["N", "T", MELS]),
            ("offset", TensorProto.INT64, [1]),
            ("required_cache_size", TensorProto.INT64, [1]),
            ("attn_cache", TensorProto.FLOAT, attention),
            ("conv_cache", TensorProto.FLOAT, [1, "N", TONES, 1]),
            ("attn_mask", TensorProto.BOOL, [1, 1, "mask"]),
        ],
        [
            ("log_probs", TensorProto.FLOAT, ["N", "S", TONES + 1]),
            ("next_attn_cache", TensorProto.FLOAT, attention),
            ("next_conv_cache", TensorProto.FLOAT, [1, "N", TONES, 1]),
        ],
        [
            helper.make_node("Squeeze", ["conv_cache", "zeroth"], ["before"]),
            helper.make_node("Transpose", ["x"], ["mels"], perm=[0, 2, 1]),
            *onsets("mels", frames=16 * FRAMES_PER_STEP),
            helper.make_node("Pad", ["onset", "row_before", "blank"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["log_probs"], perm=[0, 2, 1]),
            helper.make_node("Identity", ["attn_cache"], ["next_attn_cache"]),
            helper.make_node("Unsqueeze", ["after", "zeroth"], ["next_conv_cache"]),
        ],
        blank=0.5,
    )
    save(folder / "model-streaming.int8.onnx", model, _WENET)
    write_tokens(folder, ("<blank>", *PIECES))
    return folder


def write_paraformer(folder: Path) -> Path:
    """Write a streaming Paraformer; it gives no times, and joins its tokens with `@@`."""
    folder.mkdir(parents=True, exist_ok=True)
    dimensions = _STACKED_FRAMES * MELS
    metadata = {
        "vocab_size": str(len(PIECES) + 1),
        "lfr_window_size": str(_STACKED_FRAMES),
        "lfr_window_shift": str(_STACKED_FRAMES - 1),
        "encoder_output_size": str(TONES),
        "decoder_num_blocks": "1",
        "decoder_kernel_size": "2",
        "neg_mean": ",".join(["0"] * dimensions),
        # Large, so that the positional encoding, with values up to 1, does not matter.
        "inv_stddev": ",".join([str(_PARAFORMER_GAIN)] * dimensions),
    }
    save(folder / "encoder.int8.onnx", _paraformer_encoder(), metadata)
    save(folder / "decoder.int8.onnx", _paraformer_decoder(), {})
    write_tokens(folder, ("<blank>", "one", "two", "th@@", "ree"))
    return folder


def _nemo(output: Value, rows: onnx.NodeProto, *, blank: float, weights: NDArray[np.float32]) -> onnx.GraphProto:
    """An encoder with caches. Only the second one is used. `rows` turns (N, tones + 1, steps) into the output."""
    states: list[Value] = [
        ("cache_last_channel", TensorProto.FLOAT, ["N", 1, 1, 1]),
        ("cache_last_time", TensorProto.FLOAT, ["N", 1, TONES, 1]),
        ("cache_last_channel_len", TensorProto.INT64, ["N"]),
    ]
    return graph(
        "nemo",
        [("audio_signal", TensorProto.FLOAT, ["N", MELS, "T"]), ("length", TensorProto.INT64, ["N"]), *states],
        [
            output,
            ("encoded_lengths", TensorProto.INT64, ["N"]),
            *((f"{name}_next", kind, shape) for name, kind, shape in states),
        ],
        [
            helper.make_node("Squeeze", ["cache_last_time", "first"], ["before"]),
            *onsets("audio_signal", frames=CHUNK_FRAMES, weights=weights),
            helper.make_node("Pad", ["onset", "row_behind", "blank"], ["rows"]),
            rows,
            helper.make_node("Identity", ["length"], ["encoded_lengths"]),
            helper.make_node("Identity", ["cache_last_channel"], ["cache_last_channel_next"]),
            helper.make_node("Unsqueeze", ["after", "first"], ["cache_last_time_next"]),
            helper.make_node("Identity", ["cache_last_channel_len"], ["cache_last_channel_len_next"]),
        ],
        blank=blank,
    )


def _nemo_decoder() -> onnx.GraphProto:
    """A decoder that keeps the last token, because one step may emit several tokens, but none twice."""
    state: Sequence[str | int] = ["one_layer", "N", "hidden"]
    number = TensorProto.FLOAT
    return helper.make_graph(
        [
            helper.make_node("Gather", ["refusals", "targets"], ["refused"]),
            helper.make_node("Transpose", ["refused"], ["outputs"], perm=[0, 2, 1]),
            helper.make_node("Identity", ["target_length"], ["prednet_lengths"]),
            helper.make_node("Identity", ["h"], ["next_h"]),
            helper.make_node("Identity", ["c"], ["next_c"]),
        ],
        "decoder",
        [
            helper.make_tensor_value_info("targets", TensorProto.INT32, ["N", 1]),
            helper.make_tensor_value_info("target_length", TensorProto.INT32, ["N"]),
            helper.make_tensor_value_info("h", number, state),
            helper.make_tensor_value_info("c", number, state),
        ],
        [
            helper.make_tensor_value_info("outputs", number, ["N", TONES + 1, 1]),
            helper.make_tensor_value_info("prednet_lengths", TensorProto.INT32, ["N"]),
            helper.make_tensor_value_info("next_h", number, state),
            helper.make_tensor_value_info("next_c", number, state),
        ],
        [constant("refusals", np.diag([*[-20.0] * TONES, 0.0]))],
    )


def _nemo_joiner() -> onnx.GraphProto:
    """Scores of the tokens: the token that begins has twice the score of the blank, which is the last row."""
    return helper.make_graph(
        [
            helper.make_node("Mul", ["encoder_outputs", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "decoder_outputs"], ["pieces"]),
            helper.make_node("Transpose", ["pieces"], ["rows"], perm=[0, 2, 1]),
            helper.make_node("Unsqueeze", ["rows", "second"], ["outputs"]),
        ],
        "joiner",
        [
            helper.make_tensor_value_info("encoder_outputs", TensorProto.FLOAT, [1, TONES + 1, 1]),
            helper.make_tensor_value_info("decoder_outputs", TensorProto.FLOAT, [1, TONES + 1, 1]),
        ],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [1, 1, 1, TONES + 1])],
        [
            constant("scale", np.array([*[20.0] * TONES, 10.0]).reshape(1, -1, 1)),
            constant("second", [2], np.int64),
        ],
    )


def _paraformer_encoder() -> onnx.GraphProto:
    """An encoder that marks the step in which a tone begins, shape (1, steps, tones), and counts the tones."""
    weights = np.tile(bands(1)[:, :, 0] / _STACKED_FRAMES, (1, _STACKED_FRAMES))
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
            helper.make_tensor_value_info("speech", TensorProto.FLOAT, [1, "T", _STACKED_FRAMES * MELS]),
            helper.make_tensor_value_info("speech_lengths", TensorProto.INT32, [1]),
        ],
        [
            helper.make_tensor_value_info("enc", TensorProto.FLOAT, [1, "T", TONES]),
            helper.make_tensor_value_info("enc_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("alphas", TensorProto.FLOAT, [1, "T"]),
        ],
        [
            constant("weights", weights.T),
            constant("threshold", 3.0 * _PARAFORMER_GAIN * np.sqrt(TONES)),
            constant("one_before", [0, 1, 0, 0, 0, 0], np.int64),
            constant("zero", [0], np.int64),
            constant("minus_one", [-1], np.int64),
            constant("time", [1], np.int64),
            constant("last", [2], np.int64),
        ],
    )


def _paraformer_decoder() -> onnx.GraphProto:
    """The token for the tone that an embedding marks."""
    return helper.make_graph(
        [
            helper.make_node("Pad", ["acoustic_embeds", "blank_before"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["sample_ids"], axis=2, keepdims=0),
            helper.make_node("Identity", ["in_cache_0"], ["out_cache_0"]),
        ],
        "decoder",
        [
            helper.make_tensor_value_info("enc", TensorProto.FLOAT, [1, "T", TONES]),
            helper.make_tensor_value_info("enc_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("acoustic_embeds", TensorProto.FLOAT, [1, "N", TONES]),
            helper.make_tensor_value_info("acoustic_embeds_len", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("in_cache_0", TensorProto.FLOAT, [1, TONES, 1]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "N", TONES + 1]),
            helper.make_tensor_value_info("sample_ids", TensorProto.INT64, [1, "N"]),
            helper.make_tensor_value_info("out_cache_0", TensorProto.FLOAT, [1, TONES, 1]),
        ],
        [constant("blank_before", [0, 0, 1, 0, 0, 0], np.int64)],
    )
