"""The model families that sherpa-onnx's online recogniser runs: their files and options.

Data only, for sherpa-onnx 2.0.1. It must not import sherpa-onnx.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from trio_stt.lanes.engines.options import Count, NotNegative, Number
from trio_stt.lanes.engines.sherpa.families import BeamSearch, Greedy, HotwordOptions
from trio_stt.lanes.engines.sherpa.family import Family, SherpaOptions


def _fixed(default: float) -> AfterValidator:
    """Accept only the default, because the option has no effect here."""

    def check(value: float) -> float:
        if value != default:
            raise ValueError(f"can only be {default:g}: the settings of the server say where an utterance ends")
        return value

    return AfterValidator(check)


TailSeconds = Annotated[
    Number | None,
    Field(ge=0, le=10, exclude=True),
    BeforeValidator(lambda value: None if value == "auto" else value),
]
"""Silence after the end of an utterance, in seconds; None, written `auto`, for what the model needs."""


class StreamingOptions(SherpaOptions):
    """Options of every streaming model. sherpa-onnx's own endpoint detection is accepted without effect."""

    enable_endpoint_detection: bool = False
    rule1_min_trailing_silence: Annotated[NotNegative, _fixed(2.4)] = 2.4
    rule2_min_trailing_silence: Annotated[NotNegative, _fixed(1.2)] = 1.2
    rule3_min_utterance_length: Annotated[NotNegative, _fixed(20.0)] = 20.0
    tail_padding_seconds: TailSeconds = None


class StreamingTransducerOptions(HotwordOptions, StreamingOptions):
    """Options of transducers."""

    decoding_method: BeamSearch = "greedy_search"
    model_type: str = ""


class StreamingGreedyOptions(StreamingOptions):
    """Options of CTC models and Paraformer."""

    decoding_method: Greedy = "greedy_search"
    feature_dim: Count = 80


class WenetOptions(StreamingGreedyOptions):
    """Options of WeNet's CTC models."""

    chunk_size: Count = 16
    num_left_chunks: Count = 4


_TOKENS = {"tokens": ("tokens.txt",)}

TRANSDUCER = Family(
    name="streaming transducer",
    factory="from_transducer",
    bundle="sherpa-onnx-streaming-zipformer-en-2023-06-26",
    files={**{name: (f"{name}*.onnx",) for name in ("encoder", "decoder", "joiner")}, **_TOKENS},
    options=StreamingTransducerOptions,
)
"""icefall's (Zipformer, Zipformer2, LSTM, Conformer, E-Branchformer) and NeMo's; sherpa-onnx tells them apart."""

_ZIPFORMER2_CTC = Family(
    name="streaming Zipformer2 CTC",
    factory="from_zipformer2_ctc",
    bundle="sherpa-onnx-streaming-zipformer-ctc-small-2024-03-18",
    files={"model": ("model*.onnx", "ctc*.onnx"), **_TOKENS},
    metadata=("encoder_dims",),
    options=StreamingGreedyOptions,
)

ONLINE_FAMILIES = (
    TRANSDUCER,
    Family(
        name="streaming Paraformer",
        factory="from_paraformer",
        bundle="sherpa-onnx-streaming-paraformer-bilingual-zh-en",
        files={"encoder": ("encoder*.onnx",), "decoder": ("decoder*.onnx",), **_TOKENS},
        options=StreamingGreedyOptions,
        times="none",
        extra_tail_frames=3 * 6,  # the last three steps of a chunk, six frames each, are used with the next chunk only
    ),
    _ZIPFORMER2_CTC,
    replace(
        _ZIPFORMER2_CTC,
        name="streaming NeMo CTC",
        factory="from_nemo_ctc",
        bundle="sherpa-onnx-nemo-streaming-fast-conformer-ctc-en-80ms",
        metadata=("cache_last_channel_dim1",),
        times_key="subsampling_factor",
    ),
    replace(
        _ZIPFORMER2_CTC,
        name="streaming WeNet CTC",
        factory="from_wenet_ctc",
        bundle="sherpa-onnx-zh-wenet-wenetspeech",
        metadata=("right_context",),
        options=WenetOptions,
        times_key="subsampling_factor",
    ),
)
"""In the order in which a folder is tried."""
