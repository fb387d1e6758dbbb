"""The model families that sherpa-onnx's offline recogniser runs for our engines: their files, options and languages.

Only facts, as sherpa-onnx 2.0.1 has them. It must not import sherpa-onnx.
"""

from collections.abc import Mapping

from trio_stt.lanes.engines.common import Options
from trio_stt.lanes.engines.sherpa.files import Family, Reader
from trio_stt.lanes.engines.sherpa.runtime import existing_paths


def text_option(default: str = "", *, one_of: tuple[str, ...] = ()) -> Reader:
    """Read a string, maybe one of a few."""

    def read(options: Options, name: str) -> object:
        value = options.text(name, default)
        if one_of and value not in one_of:
            raise options.error(name, f"must be {' or '.join(map(repr, one_of))}, not {value!r}")
        return value

    return read


def number_option(default: float, *, minimum: float = 0.0, maximum: float = float("inf")) -> Reader:
    """Read a number between two limits."""
    return lambda options, name: options.number(name, default, minimum=minimum, maximum=maximum)


def count_option(default: int) -> Reader:
    """Read a whole number of at least 1."""
    return lambda options, name: options.integer(name, default)


def flag_option(*, default: bool) -> Reader:
    """Read a boolean."""
    return lambda options, name: options.boolean(name, default=default)


_EITHER_MODEL = ("model.int8.onnx", "model.onnx")

HOTWORD_OPTIONS: Mapping[str, Reader] = {
    "hotwords_file": existing_paths,
    "hotwords_score": number_option(1.5),
    "modeling_unit": text_option("cjkchar", one_of=("cjkchar", "bpe", "cjkchar+bpe")),
    "bpe_vocab": existing_paths,
}
"""The options of a transducer that prefers some words, with beam search only."""

_SAMPLING: Mapping[str, Reader] = {
    "max_new_tokens": count_option(512),
    "temperature": number_option(1e-6),
    "top_p": number_option(0.8, maximum=1.0),
    "seed": count_option(42),
    "hotwords": text_option(),
}

NEMO_TRANSDUCER = Family(
    name="NeMo transducer",
    factory="from_transducer",
    bundle="sherpa-onnx-nemo-parakeet-tdt-0.6b-v3-int8",
    files={
        "encoder": ("encoder.int8.onnx", "encoder.onnx"),
        "decoder": ("decoder.int8.onnx", "decoder.onnx"),
        "joiner": ("joiner.int8.onnx", "joiner.onnx"),
        "tokens": ("tokens.txt",),
    },
    metadata=dict.fromkeys(("vocab_size", "subsampling_factor", "pred_rnn_layers", "pred_hidden"), ""),
    metadata_one_of={"normalize_type": ("per_feature", "NA", "")},
    blank_is_last=True,
    methods=("greedy_search", "modified_beam_search"),
    options={
        "feature_dim": count_option(80),
        "dither": number_option(0.0),
        "max_active_paths": count_option(4),
        **HOTWORD_OPTIONS,
        "blank_penalty": number_option(0.0),
        "model_type": text_option("nemo_transducer", one_of=("nemo_transducer",)),
        # sherpa-onnx gives no language model to a NeMo transducer, so only their defaults can be had.
        "lm": text_option(one_of=("",)),
        "lm_scale": number_option(0.1),
        "lodr_fst": text_option(one_of=("",)),
        "lodr_scale": number_option(0.0),
    },
)

OMNILINGUAL = Family(
    name="Omnilingual CTC",
    factory="from_omnilingual_asr_ctc",
    bundle="sherpa-onnx-omnilingual-asr-1600-languages-1B-ctc-v2-int8-2026-02-05",
    files={"model": _EITHER_MODEL, "tokens": ("tokens.txt",)},
    metadata={"model_type": "omnilingual-asr"},
)

_QWEN3_LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fil": "Filipino",
    "fr": "French",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "mk": "Macedonian",
    "ms": "Malay",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "yue": "Cantonese",
    "zh": "Chinese",
}
"""The languages of Qwen3-ASR, as its model card names them."""

QWEN3 = Family(
    name="Qwen3-ASR",
    factory="from_qwen3_asr",
    bundle="sherpa-onnx-qwen3-asr-0.6B-int8-2026-03-25",
    files={
        "conv_frontend": ("conv_frontend.onnx",),
        "encoder": ("encoder.int8.onnx", "encoder.onnx"),
        "decoder": ("decoder.int8.onnx", "decoder.onnx"),
        "tokenizer": ("tokenizer",),
    },
    folder_holds={"tokenizer": ("vocab.json", "merges.txt", "tokenizer_config.json")},
    options={**_SAMPLING, "max_total_len": count_option(512), "max_new_tokens": count_option(128)},
    languages=_QWEN3_LANGUAGES | {name.lower(): name for name in _QWEN3_LANGUAGES.values()},
    language_by_stream=True,
    audio_tokens_per_s=13,
    times="none",
)

_COHERE_LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "vi", "zh")

COHERE = Family(
    name="Cohere Transcribe",
    factory="from_cohere_transcribe",
    bundle="sherpa-onnx-cohere-transcribe-14-lang-int8-2026-04-01",
    files={
        "encoder": ("encoder.int8.onnx", "encoder.onnx"),
        "decoder": ("decoder.int8.onnx", "decoder.onnx"),
        "tokens": ("tokens.txt",),
    },
    renamed={"punctuation": "use_punct"},
    metadata={"model_type": "cohere-transcribe"},
    tokens=("<|startofcontext|>", "<|startoftranscript|>", "<|endoftext|>"),
    options={"punctuation": flag_option(default=True), "use_itn": flag_option(default=True)},
    languages={code: code for code in _COHERE_LANGUAGES},
    language_required=True,
    times="none",
)

SENSE_VOICE = Family(
    name="SenseVoice",
    factory="from_sense_voice",
    bundle="sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2025-09-09",
    files={"model": _EITHER_MODEL, "tokens": ("tokens.txt",)},
    metadata=dict.fromkeys(
        (
            *("vocab_size", "lfr_window_size", "lfr_window_shift", "normalize_samples", "with_itn", "without_itn"),
            *("lang_auto", "lang_zh", "lang_en", "lang_ja", "lang_ko", "lang_yue", "neg_mean", "inv_stddev"),
        ),
        "",
    ),
    options={"use_itn": flag_option(default=True)},
    languages={code: code for code in ("auto", "en", "ja", "ko", "yue", "zh")},
)

PARAFORMER = Family(
    name="Paraformer",
    factory="from_paraformer",
    bundle="sherpa-onnx-paraformer-zh-2024-03-09",
    files={"model": _EITHER_MODEL, "tokens": ("tokens.txt",)},
    renamed={"model": "paraformer"},
    metadata=dict.fromkeys(("vocab_size", "lfr_window_size", "lfr_window_shift", "neg_mean", "inv_stddev"), ""),
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
    options={
        **_SAMPLING,
        "itn": flag_option(default=True),
        "system_prompt": text_option("You are a helpful assistant."),
    },
    languages={"en": "英文", "ja": "日文", "zh": "中文"},
    times="none",
)
