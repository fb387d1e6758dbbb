"""The model families that sherpa-onnx's offline recogniser runs for our engines: their files, options and languages.

Data only, for sherpa-onnx 2.0.1. It must not import sherpa-onnx.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.options import Count, ExistingPaths, NotNegative, Number
from trio_stt.lanes.engines.sherpa.family import Family, SherpaOptions
from trio_stt.languages import language_name
from trio_stt.models import model_languages

BeamSearch = Literal["greedy_search", "modified_beam_search"]
Greedy = Literal["greedy_search"]
_NotSupported = Literal[""]
"""sherpa-onnx passes no language model to a NeMo transducer, so these options stay empty."""


class GreedyOptions(SherpaOptions):
    """Options of models with one decoding method."""

    decoding_method: Greedy = "greedy_search"


class HotwordOptions(SherpaOptions):
    """Options of transducers, which can boost hotwords with beam search."""

    decoding_method: BeamSearch = "greedy_search"
    max_active_paths: Count = 4
    feature_dim: Count = 80
    hotwords_file: ExistingPaths = ""
    hotwords_score: NotNegative = 1.5
    modeling_unit: Literal["cjkchar", "bpe", "cjkchar+bpe"] = "cjkchar"
    bpe_vocab: ExistingPaths = ""
    blank_penalty: NotNegative = 0.0


class NemoTransducerOptions(HotwordOptions):
    """Options of NeMo transducers."""

    dither: NotNegative = 0.0
    model_type: Literal["nemo_transducer"] = "nemo_transducer"
    lm: _NotSupported = ""
    lm_scale: NotNegative = 0.1
    lodr_fst: _NotSupported = ""
    lodr_scale: NotNegative = 0.0


class OmnilingualOptions(GreedyOptions):
    """Options of Omnilingual CTC; `model_card` is the reference server's name for the model."""

    model_card: str = Field("", exclude=True)


class _LanguageOption(GreedyOptions):
    """Options of models that take a language."""

    language: str = Field("", exclude=True)


class _SamplingOptions(_LanguageOption):
    """Options of language models, which sample their text."""

    max_new_tokens: Count = 512
    temperature: NotNegative = 1e-6
    top_p: Annotated[Number, Field(ge=0, le=1)] = 0.8
    seed: Count = 42
    hotwords: str = ""


class Qwen3Options(_SamplingOptions):
    """Options of Qwen3-ASR."""

    max_total_len: Count = 512
    max_new_tokens: Count = 128


class CohereOptions(_LanguageOption):
    """Options of Cohere Transcribe."""

    punctuation: bool = True
    use_itn: bool = True


class SenseVoiceOptions(_LanguageOption):
    """Options of SenseVoice."""

    use_itn: bool = True


class FunasrNanoOptions(_SamplingOptions):
    """Options of FunASR-Nano."""

    itn: bool = True
    system_prompt: str = "You are a helpful assistant."


_EITHER_MODEL = ("model.int8.onnx", "model.onnx")
_TOKENS = {"tokens": ("tokens.txt",)}
_ENCODER_AND_DECODER = {name: (f"{name}.int8.onnx", f"{name}.onnx") for name in ("encoder", "decoder")}

MOONSHINE_V1 = Family(
    name="Moonshine v1",
    factory="from_moonshine",
    bundle="sherpa-onnx-moonshine-tiny-en-int8",
    files={
        "preprocessor": ("preprocess.onnx",),
        "encoder": ("encode.int8.onnx",),
        "uncached_decoder": ("uncached_decode.int8.onnx",),
        "cached_decoder": ("cached_decode.int8.onnx",),
        **_TOKENS,
    },
    options=GreedyOptions,
    languages={"en": "en"},
    times="none",
    min_samples=0,
    # Moonshine mishears first and last words that touch the clip's edge. Measured on 13 cuts of 1 to 13 s from seven
    # recordings: 2.6 % mean WER with these zeros and 6.7 % without over four margins and two levels, 4.9 % and 6.7 %
    # over six shifts of the start. They also keep a clip above the 0.06 s below which the encoder has no frame and
    # sherpa-onnx complains on standard error.
    lead_samples=SAMPLE_RATE_HZ // 10,
    tail_samples=SAMPLE_RATE_HZ // 4,
)

MOONSHINE_V2 = replace(
    MOONSHINE_V1,
    name="Moonshine v2",
    factory="from_moonshine_v2",
    bundle="sherpa-onnx-moonshine-tiny-en-quantized-2026-02-27",
    files={
        "merged_decoder": ("decoder_model_merged.ort", "decoder_model_merged.onnx"),
        "encoder": ("encoder_model.ort", "encoder_model.onnx"),
        "tokens": ("tokens.txt", "tokenizer.bin"),
    },
    renamed={"merged_decoder": "decoder"},
)

NEMO_TRANSDUCER = Family(
    name="NeMo transducer",
    factory="from_transducer",
    bundle="sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8",
    files={**_ENCODER_AND_DECODER, "joiner": ("joiner.int8.onnx", "joiner.onnx"), **_TOKENS},
    options=NemoTransducerOptions,
)

OMNILINGUAL = Family(
    name="Omnilingual CTC",
    factory="from_omnilingual_asr_ctc",
    bundle="sherpa-onnx-omnilingual-asr-1600-languages-1B-ctc-v2-int8-2026-02-05",
    files={"model": _EITHER_MODEL, **_TOKENS},
    options=OmnilingualOptions,
)

QWEN3 = Family(
    name="Qwen3-ASR",
    factory="from_qwen3_asr",
    bundle="sherpa-onnx-qwen3-asr-0.6B-int8-2026-03-25",
    files={"conv_frontend": ("conv_frontend.onnx",), **_ENCODER_AND_DECODER, "tokenizer": ("tokenizer",)},
    folder_holds={"tokenizer": ("vocab.json", "merges.txt", "tokenizer_config.json")},
    options=Qwen3Options,
    languages={code: language_name(code).capitalize() for code in model_languages.QWEN3},
    language_by_stream=True,
    audio_tokens_per_s=13,
    times="none",
)

COHERE = Family(
    name="Cohere Transcribe",
    factory="from_cohere_transcribe",
    bundle="sherpa-onnx-cohere-transcribe-14-lang-int8-2026-04-01",
    files={**_ENCODER_AND_DECODER, **_TOKENS},
    renamed={"punctuation": "use_punct"},
    options=CohereOptions,
    languages={code: code for code in model_languages.COHERE},
    language_by_stream=True,
    language_required=True,
    times="none",
)

SENSE_VOICE = Family(
    name="SenseVoice",
    factory="from_sense_voice",
    bundle="sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2025-09-09",
    files={"model": _EITHER_MODEL, **_TOKENS},
    metadata=("lang_auto",),
    options=SenseVoiceOptions,
    languages={code: code for code in model_languages.SENSE_VOICE},
)

PARAFORMER = Family(
    name="Paraformer",
    factory="from_paraformer",
    bundle="sherpa-onnx-paraformer-zh-2024-03-09",
    files={"model": _EITHER_MODEL, **_TOKENS},
    metadata=("lfr_window_size",),
    renamed={"model": "paraformer"},
    options=GreedyOptions,
)

FUNASR_NANO = Family(
    name="FunASR-Nano",
    factory="from_funasr_nano",
    bundle="sherpa-onnx-funasr-nano-int8-2025-12-30",
    files={
        "encoder_adaptor": ("encoder_adaptor.int8.onnx", "encoder_adaptor.onnx"),
        "llm": ("llm.int8.onnx", "llm.onnx"),
        "embedding": ("embedding.int8.onnx", "embedding.onnx"),
        "tokenizer": ("Qwen3-0.6B",),
    },
    folder_holds={"tokenizer": ("vocab.json", "merges.txt", "tokenizer.json")},
    options=FunasrNanoOptions,
    languages={"en": "英文", "ja": "日文", "zh": "中文"},
    times="none",
)
