"""The engines that transcribe whole clips with sherpa-onnx's offline recogniser.

Moonshine, Parakeet, Omnilingual, Qwen3-ASR, Cohere Transcribe, and FunASR's SenseVoice, Paraformer and Nano. This
module owns the recogniser and what it is fed; `families` says what each kind of model needs. sherpa-onnx is imported
only when an engine is loaded.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, languages_without_choice, resolve_relative
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.selection import choose_language
from trio_stt.lanes.engines.sherpa.families import (
    COHERE,
    FUNASR_NANO,
    MOONSHINE_V1,
    MOONSHINE_V2,
    NEMO_TRANSDUCER,
    OMNILINGUAL,
    PARAFORMER,
    QWEN3,
    SENSE_VOICE,
)
from trio_stt.lanes.engines.sherpa.family import Family
from trio_stt.lanes.engines.sherpa.loading import Model, choose_model, load_recognizer
from trio_stt.lanes.engines.sherpa.moonshine_files import EMBEDDED_MODEL, embedded_folder, text_tokens
from trio_stt.lanes.engines.word_times import words

_MOONSHINE = "sherpa_onnx_moonshine"

_PROMPT_TOKENS = 24
"""Approximate length of the instruction around the audio, which counts towards `max_total_len`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The families that one engine runs, and other names for model folders."""

    families: tuple[Family, ...]
    directories: Mapping[str, str]


_OMNILINGUAL_300M = "sherpa-onnx-omnilingual-asr-1600-languages-300M-ctc-v2-int8-2026-02-05"

_KINDS = {
    _MOONSHINE: _Kind(
        families=(MOONSHINE_V1, MOONSHINE_V2),
        directories={
            "UsefulSensors/moonshine-streaming-medium": MOONSHINE_V1.bundle,
            "UsefulSensors/moonshine-streaming-tiny": MOONSHINE_V1.bundle,
        },
    ),
    "sherpa_onnx_parakeet": _Kind(
        families=(NEMO_TRANSDUCER,),
        directories={
            "nvidia/parakeet-tdt-0.6b-v3": NEMO_TRANSDUCER.bundle,
            "nvidia/parakeet-tdt-0.6b-v2": "sherpa-onnx-nemo-parakeet-tdt-0.6b-v2-int8",
        },
    ),
    "omnilingual_asr": _Kind(
        families=(OMNILINGUAL,),
        directories={
            "omniASR_CTC_1B_v2": OMNILINGUAL.bundle,
            "omniASR_CTC_300M_v2": _OMNILINGUAL_300M,
            # Whisper's names, which the reference server maps to the default model.
            "tiny": OMNILINGUAL.bundle,
            "tiny.en": OMNILINGUAL.bundle,
        },
    ),
    "qwen3_asr": _Kind(families=(QWEN3,), directories={"Qwen/Qwen3-ASR-0.6B": QWEN3.bundle}),
    "cohere_transcribe": _Kind(families=(COHERE,), directories={"CohereLabs/cohere-transcribe-03-2026": COHERE.bundle}),
    "funasr": _Kind(
        families=(SENSE_VOICE, PARAFORMER, FUNASR_NANO),
        directories={
            "iic/SenseVoiceSmall": SENSE_VOICE.bundle,
            "FunAudioLLM/SenseVoiceSmall": SENSE_VOICE.bundle,
            "paraformer-zh": PARAFORMER.bundle,
            "FunAudioLLM/Fun-ASR-Nano-2512": FUNASR_NANO.bundle,
        },
    ),
}


class SherpaOffline(ClipEngine):
    """A loaded offline model. Made by `load`."""

    def __init__(self, recognizer: Any, *, family: Family, info: EngineInfo, normalize: bool) -> None:
        super().__init__(recognizer, info=info, normalize=normalize)
        self._family = family

    def _transcribe(self, model: Any, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """One by one, so that no clip is padded to another's length."""
        language = self.info.languages.of_request(hints.language)
        return [self._transcribe_one(model, clip, language) for clip in clips]

    def _transcribe_one(self, recognizer: Any, clip: Clip, language: str | None) -> Transcript:
        family = self._family
        stream = recognizer.create_stream()
        if language and family.languages and family.language_by_stream:
            stream.set_option("language", family.languages[language])
        tail = max(family.tail_samples, family.min_samples - clip.size)
        stream.accept_waveform(SAMPLE_RATE_HZ, np.pad(clip, (family.lead_samples, tail)))
        try:
            recognizer.decode_stream(stream)
            result = stream.result
            text = " ".join(result.text.split())
            timed = family.times != "none"
            segments = words(result, text=text, duration_s=clip.size / SAMPLE_RATE_HZ) if timed else ()
        except (RuntimeError, IndexError, ValueError) as error:  # native errors; ValueError: text that is not UTF-8
            raise self.failure(error) from error
        return Transcript(text=text, language=result.lang.strip("<|>") or language, segments=segments)


def load(config: EngineConfig) -> SherpaOffline:
    """Load the model that `config` names; ignores beams and prompts, and the files decide on the precision.

    Raises:
        SettingError: The model does not have the language, or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package, the model or a file is missing, or sherpa-onnx cannot load it.
    """
    engine = config.engine
    kind = _KINDS[engine]
    name, folder = _folder(config, kind)
    model = choose_model(config, kind.families, folder, name=name)
    family = model.family
    languages = _languages(model)
    paths = family.paths(folder, model.overrides, engine=engine, model=name)
    with ExitStack() as stack:
        if "tokens" in paths:
            paths["tokens"] = text_tokens(paths["tokens"], stack, engine=engine)
        arguments: dict[str, object] = {option: str(path) for option, path in paths.items()}
        if family.languages and languages.loaded:
            arguments["language"] = family.languages[languages.loaded]
        known = name == EMBEDDED_MODEL and engine == _MOONSHINE
        recognizer, info = load_recognizer(model, "OfflineRecognizer", arguments, languages=languages, known=known)
    info = replace(
        info,
        model=name if name == EMBEDDED_MODEL else str(folder),
        notice="; ".join(filter(None, (info.notice, _length_notice(model)))) or None,
    )
    return SherpaOffline(recognizer, family=family, info=info, normalize=config.normalize_audio)


def _folder(config: EngineConfig, kind: _Kind) -> tuple[str, Path]:
    """The name of the model that options and settings mean, and its folder, which need not exist."""
    given = (config.options.get("model_dir"), config.options.get("model_card"))
    name = next((value for value in given if value and isinstance(value, str)), config.model)
    if name == EMBEDDED_MODEL and config.engine == _MOONSHINE:
        return name, embedded_folder(config.engine)
    directory = kind.directories.get(name, name)
    return name, resolve_relative(directory, download_root=config.download_root, kind="folder")


def _languages(model: Model) -> LanguageSupport:
    family = model.family
    if family.languages is None:
        return languages_without_choice(model.config, model.name, model.folder.name)
    known = tuple(sorted(family.languages))
    wanted = getattr(model.options, "language", "") or model.config.language
    return LanguageSupport(
        known=known,
        loaded=choose_language(
            wanted, known, engine=model.engine, model=family.name, required=family.language_required
        ),
        per_request=family.language_by_stream,
        detects=family.language_by_stream and not family.language_required,
    )


def _length_notice(model: Model) -> str | None:
    """Say how much of a clip the model transcribes, if it has a limit."""
    tokens_per_s = model.family.audio_tokens_per_s
    if not tokens_per_s:
        return None
    seconds = max(0, model.options.max_total_len - _PROMPT_TOKENS) // tokens_per_s
    return (
        f"engine {model.engine}: of a clip longer than about {seconds} s it transcribes the beginning only; the option"
        " max_total_len raises that where the model's files allow it"
    )
