"""Which models of the catalogue suit a language: the best words first, and what they cost. Pure."""

from collections.abc import Callable

from trio_stt.languages import language_name
from trio_stt.models import catalogue
from trio_stt.models.spec import ModelSpec
from trio_stt.models.word_errors import word_errors

CLIP_S = 4.0
"""Seconds of speech of a usual utterance, by which models are compared."""

_WINDOW_GFLOP = {"tiny": 36, "base": 85, "small": 340, "medium": 1_130, "large": 2_260, "distil-large": 2_260}
"""Billions of operations of Whisper's encoder for a window of 30 s, which it computes for every clip; from its layers,
widths and 1,500 frames. The decoder adds little."""

_GFLOP_PER_S = {
    "sherpa-onnx-moonshine-tiny-en-int8": 0.9,
    "moonshine-tiny-en": 0.9,
    "sherpa-onnx-moonshine-base-en-int8": 2.0,
    "sherpa-onnx-moonshine-base-en-quantized-2026-02-27": 2.0,
    "nvidia/parakeet-tdt-0.6b-v3": 15,
    "nvidia/parakeet-tdt-0.6b-v2": 15,
    "sherpa-onnx-nemo-parakeet_tdt_transducer_110m-en-36000-int8": 2.8,
    "omniASR_CTC_1B_v2": 100,
    "omniASR_CTC_300M_v2": 30,
    "Qwen/Qwen3-ASR-0.6B": 40,
    "CohereLabs/cohere-transcribe-03-2026": 55,
    "iic/SenseVoiceSmall": 7.8,
    "paraformer-zh": 7.3,
    "FunAudioLLM/Fun-ASR-Nano-2512": 45,
    "sherpa-onnx-streaming-zipformer-en-2023-06-26": 3.5,
    "sherpa-onnx-streaming-zipformer-en-20M-2023-02-17": 1.0,
    "sherpa-onnx-streaming-zipformer-en-kroko-2025-08-06": 3.5,
}
"""Billions of operations for a second of speech: twice the parameters times the encoder's frames a second, and what a
language model reads and writes."""

_KROKO_GFLOP_PER_S = 3.5


def gflop(entry: ModelSpec) -> float:
    """Billions of operations for an utterance of `CLIP_S`."""
    if entry.engine in {"faster_whisper", "whisper_cpp"}:
        size = entry.name.partition("-v")[0].partition(".")[0].partition("-q")[0]
        return _WINDOW_GFLOP[size]
    return _GFLOP_PER_S.get(entry.name, _KROKO_GFLOP_PER_S) * CLIP_S


def by_words(language: str) -> list[ModelSpec]:
    """The models that have a language, the best words first.

    Those with a published word error rate come first, by that; the others by their cost, because of the models of one
    family the larger one makes fewer errors. whisper.cpp's models are left out: faster-whisper has the same weights.
    """

    def rank(entry: ModelSpec) -> tuple[bool, float]:
        known = word_errors(entry, language)
        return (False, known.percent) if known else (True, -gflop(entry))

    return sorted(
        (
            entry
            for entry in catalogue.ENTRIES
            if language in entry.languages and entry not in catalogue.NOT_ENGINES and entry.engine != "whisper_cpp"
        ),
        key=rank,
    )


def best_live(language: str, has: Callable[[ModelSpec], bool] = lambda _: True) -> tuple[ModelSpec, str] | None:
    """The best model for live speech in a language, and why; None if the catalogue has none.

    Args:
        language: Its code.
        has: Whether a model may be chosen.
    """
    found = [entry for entry in by_words(language) if has(entry)]
    if not found:
        return None
    first = [key for key in catalogue.FIRST_CHOICES if key in {(entry.engine, entry.name) for entry in found}]
    reason = f"the best of the catalogue for {language_name(language).capitalize()}"
    if not first:
        return found[0], reason
    entry = next(entry for entry in found if (entry.engine, entry.name) == first[0])
    known = word_errors(entry, language)
    reason += " that a CPU runs live"
    return entry, f"{reason} ({known.percent:g} % of words wrong, {known.test})" if known else reason
