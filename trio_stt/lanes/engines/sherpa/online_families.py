"""The model families that sherpa-onnx's online recogniser runs: their files, metadata and options, how far they look.

Only facts, as sherpa-onnx 2.0.1 has them. It must not import sherpa-onnx.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trio_stt.lanes.engines.common import Options
from trio_stt.lanes.engines.sherpa.families import (
    HOTWORD_OPTIONS,
    count_option,
    flag_option,
    number_option,
    text_option,
)
from trio_stt.lanes.engines.sherpa.files import Family, Reader

_USUAL_SUBSAMPLING = 4
"""What sherpa-onnx takes for the frames of a CTC model's step, whatever the model is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineFamily:
    """What sherpa-onnx wants of one kind of streaming model.

    Attributes:
        family: Its files and options.
        window_frames: Frames that the model must have before it hears the next chunk, by its metadata and options.
        times_scale: By what the times of tokens that sherpa-onnx gives must be multiplied, by its metadata.
    """

    family: Family
    window_frames: Callable[[Mapping[str, str], Mapping[str, object]], int]
    times_scale: Callable[[Mapping[str, str]], float] = lambda _: 1.0


def _window_t(known: Mapping[str, str], _: Mapping[str, object]) -> int:
    return int(known["T"])


def _window_size(known: Mapping[str, str], _: Mapping[str, object]) -> int:
    return int(known["window_size"])


def _window_of_wenet(known: Mapping[str, str], options: Mapping[str, object]) -> int:
    steps = int(str(options["chunk_size"]))
    return (steps - 1) * int(known["subsampling_factor"]) + int(known["right_context"]) + 1


def _subsampling(known: Mapping[str, str]) -> float:
    return int(known["subsampling_factor"]) / _USUAL_SUBSAMPLING


def _only(default: float) -> Reader:
    """Read a number that has no effect here, so that nobody trusts it."""

    def read(options: Options, name: str) -> object:
        if options.number(name, default, minimum=0.0) != default:
            raise options.error(
                name, f"can only be {default:g}: the settings of the server say where an utterance ends"
            )
        return default

    return read


_ENDPOINTS: Mapping[str, Reader] = {
    "enable_endpoint_detection": flag_option(default=False),
    "rule1_min_trailing_silence": _only(2.4),
    "rule2_min_trailing_silence": _only(1.2),
    "rule3_min_utterance_length": _only(20.0),
}
"""sherpa-onnx's own idea of where an utterance ends, which nobody asks it for."""

_MODEL_FILES = ("model*.onnx", "ctc*.onnx")
_TRANSDUCER_FILES = {name: (f"{name}*.onnx",) for name in ("encoder", "decoder", "joiner")} | {
    "tokens": ("tokens.txt",)
}
_FEATURES: Mapping[str, Reader] = {"feature_dim": count_option(80)}


def _transducer(model_type: str, *keys: str, counts: tuple[str, ...]) -> OnlineFamily:
    """One of icefall's transducers, told apart by the metadata of their encoders."""
    return OnlineFamily(
        family=Family(
            name=f"streaming {model_type} transducer",
            factory="from_transducer",
            bundle="sherpa-onnx-streaming-zipformer-en-2023-06-26",
            files=_TRANSDUCER_FILES,
            metadata=dict.fromkeys(("model_type", *keys), ""),
            metadata_one_of={"model_type": (model_type,)},
            counts=("T", "decode_chunk_len", *counts),
            further_metadata={"decoder": ("vocab_size", "context_size")},
            outputs={"decoder": range(1, 2)},
            methods=("greedy_search", "modified_beam_search"),
            options={
                **_ENDPOINTS,
                **_FEATURES,
                **HOTWORD_OPTIONS,
                "max_active_paths": count_option(4),
                "blank_penalty": number_option(0.0),
                "model_type": text_option(model_type, one_of=(model_type,)),
            },
        ),
        window_frames=_window_t,
    )


_ZIPFORMER2_LISTS = (
    *("encoder_dims", "query_head_dims", "value_head_dims", "num_heads"),
    *("num_encoder_layers", "cnn_module_kernels", "left_context_len"),
)
_NEMO_CACHES = tuple(f"cache_last_{kind}_dim{number}" for kind in ("channel", "time") for number in (1, 2, 3))
_NEMO_COUNTS = ("window_size", "chunk_shift", "subsampling_factor", "vocab_size")


def _ctc(
    name: str,
    factory: str,
    bundle: str,
    *keys: str,
    counts: tuple[str, ...],
    blanks: tuple[str, ...] = ("<blk>", "<eps>", "<blank>"),
    options: Mapping[str, Reader] | None = None,
) -> Family:
    return Family(
        name=name,
        factory=factory,
        bundle=bundle,
        files={"model": _MODEL_FILES, "tokens": ("tokens.txt",)},
        metadata=dict.fromkeys(keys, ""),
        counts=counts,
        blanks=blanks,
        options={**_ENDPOINTS, **_FEATURES, **(options or {})},
    )


_PARAFORMER_FRAMES = 61 + 3 * 6
"""A chunk of 61, of which the last three steps of six frames are heard only with the next."""

TRANSDUCERS = {
    "zipformer2": _transducer("zipformer2", counts=_ZIPFORMER2_LISTS),
    "zipformer": _transducer(
        "zipformer",
        counts=("encoder_dims", "attention_dims", "num_encoder_layers", "cnn_module_kernels", "left_context_len"),
    ),
    "lstm": _transducer("lstm", counts=("num_encoder_layers", "rnn_hidden_size", "d_model")),
    "conformer": _transducer(
        "conformer", "left_context", "pad_length", counts=("num_encoder_layers", "encoder_dim", "cnn_module_kernel")
    ),
    "ebranchformer": _transducer(
        "ebranchformer",
        "left_context_len",
        counts=(
            *("num_hidden_layers", "hidden_size", "intermediate_size", "csgu_kernel_size"),
            *("merge_conv_kernel", "num_heads", "head_dim"),
        ),
    ),
}
"""By what the metadata of their encoders calls them."""

ZIPFORMER2 = TRANSDUCERS["zipformer2"]

ONLINE_FAMILIES = (
    *TRANSDUCERS.values(),
    OnlineFamily(
        family=Family(
            name="streaming NeMo transducer",
            factory="from_transducer",
            bundle="sherpa-onnx-nemo-streaming-fast-conformer-transducer-en-80ms",
            files=_TRANSDUCER_FILES,
            metadata=dict.fromkeys(_NEMO_CACHES, ""),
            metadata_one_of={"normalize_type": ("", "NA", "per_feature")},
            counts=(*_NEMO_COUNTS, "pred_rnn_layers", "pred_hidden"),
            outputs={"decoder": range(2, 100)},
            blank_is_last=True,
            options={**_ENDPOINTS, "blank_penalty": number_option(0.0)},
        ),
        window_frames=_window_size,
    ),
    OnlineFamily(
        family=Family(
            name="streaming Paraformer",
            factory="from_paraformer",
            bundle="sherpa-onnx-streaming-paraformer-bilingual-zh-en",
            files={"encoder": ("encoder*.onnx",), "decoder": ("decoder*.onnx",), "tokens": ("tokens.txt",)},
            metadata=dict.fromkeys(("neg_mean", "inv_stddev"), ""),
            counts=(
                *("vocab_size", "lfr_window_size", "lfr_window_shift"),
                *("encoder_output_size", "decoder_num_blocks", "decoder_kernel_size"),
            ),
            options={**_ENDPOINTS, **_FEATURES},
            times="none",
        ),
        window_frames=lambda *_: _PARAFORMER_FRAMES,
    ),
    OnlineFamily(
        family=_ctc(
            "streaming Zipformer2 CTC",
            "from_zipformer2_ctc",
            "sherpa-onnx-streaming-zipformer-ctc-small-2024-03-18",
            counts=("T", "decode_chunk_len", *_ZIPFORMER2_LISTS),
        ),
        window_frames=_window_t,
    ),
    OnlineFamily(
        family=_ctc(
            "streaming NeMo CTC",
            "from_nemo_ctc",
            "sherpa-onnx-nemo-streaming-fast-conformer-ctc-en-80ms",
            *_NEMO_CACHES,
            counts=_NEMO_COUNTS,
        ),
        window_frames=_window_size,
        times_scale=_subsampling,
    ),
    OnlineFamily(
        family=_ctc(
            "streaming WeNet CTC",
            "from_wenet_ctc",
            "sherpa-onnx-zh-wenet-wenetspeech",
            counts=(
                "head",
                "right_context",
                "num_blocks",
                "output_size",
                "cnn_module_kernel",
                "subsampling_factor",
                "vocab_size",
            ),
            options={"chunk_size": count_option(16), "num_left_chunks": count_option(4)},
        ),
        window_frames=_window_of_wenet,
        times_scale=_subsampling,
    ),
)
"""In the order in which a directory is tried."""
