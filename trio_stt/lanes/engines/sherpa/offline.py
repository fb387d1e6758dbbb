"""The engines that hear a whole clip with one of sherpa-onnx's offline models.

Parakeet, Omnilingual, Qwen3-ASR, Cohere Transcribe, and FunASR's SenseVoice, Paraformer and Nano.

It owns the recogniser and what it is fed; what each family of models needs is `sherpa_families`' business. It must not
import trio, and sherpa-onnx only when an engine is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trio_stt.errors import SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, Transcript
from trio_stt.lanes.engines.common import Options, first_line, import_backend, prepare_clips, resolve_relative
from trio_stt.lanes.engines.sherpa.families import (
    COHERE,
    FUNASR_NANO,
    NEMO_TRANSDUCER,
    OMNILINGUAL,
    PARAFORMER,
    QWEN3,
    SENSE_VOICE,
)
from trio_stt.lanes.engines.sherpa.files import Family
from trio_stt.lanes.engines.sherpa.loading import choose_family, file_options, keywords_of, open_recognizer
from trio_stt.lanes.engines.sherpa.runtime import devices, provider
from trio_stt.lanes.engines.word_times import words

_MIN_SAMPLES = SAMPLE_RATE_HZ // 2
"""Shorter clips are filled up with zeros: encoders fail on less than a frame or two, and sherpa-onnx then writes to
standard error."""

_PROMPT_TOKENS = 24
"""About what an instruction around the audio takes of a language model's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One engine: the families that it runs, which of them first, and other names of model directories."""

    families: tuple[Family, ...]
    directories: Mapping[str, str] = field(default_factory=dict)
    model_option: str | None = None


_OMNILINGUAL_300M = "sherpa-onnx-omnilingual-asr-1600-languages-300M-ctc-v2-int8-2026-02-05"

_KINDS = {
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
            # The reference server takes these two, Whisper's, for the default card.
            "tiny": OMNILINGUAL.bundle,
            "tiny.en": OMNILINGUAL.bundle,
        },
        model_option="model_card",
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


class SherpaOffline:
    """A loaded offline model. Made by `load`; implements `Engine`."""

    def __init__(
        self, recognizer: Any, *, info: EngineInfo, normalize: bool, language: str | None, stream_language: str
    ) -> None:
        self._recognizer = recognizer
        self._info = info
        self._normalize = normalize
        self._language = language
        self._stream_language = stream_language

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; one by one, so that none is padded to another's length."""
        if self._recognizer is None:
            raise TranscriptionFailed(f"engine {self._info.engine}: it was closed")
        clips = prepare_clips(batch, engine=self._info.engine, normalize=self._normalize)
        return [self._transcribe_one(clip) for clip in clips]

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        self._recognizer = None

    def _transcribe_one(self, clip: Any) -> Transcript:
        stream = self._recognizer.create_stream()
        if self._stream_language:
            stream.set_option("language", self._stream_language)
        stream.accept_waveform(SAMPLE_RATE_HZ, np.pad(clip, (0, max(0, _MIN_SAMPLES - clip.size))))
        try:
            self._recognizer.decode_stream(stream)
            result = stream.result
            text = " ".join(result.text.split())
            segments = words(result, text=text, duration_s=clip.size / SAMPLE_RATE_HZ)
        except (RuntimeError, IndexError, ValueError) as error:  # native errors; ValueError: text that is not UTF-8
            raise TranscriptionFailed(f"engine {self._info.engine}: {first_line(error)}") from error
        return Transcript(text=text, language=result.lang.strip("<|>") or self._language, segments=segments)


def load(config: EngineConfig) -> SherpaOffline:
    """Load the model that `config` names; ignores beams and prompts, and the precision is the files' own.

    Raises:
        SettingError: The language is unknown to the model, or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package, the model or a file is missing or unfit.
    """
    engine = config.engine
    kind = _KINDS[engine]
    options = Options(config.options, engine=engine)
    card = options.text(kind.model_option) if kind.model_option else ""
    name = options.text("model_dir") or card or config.model or kind.families[0].bundle
    folder = resolve_relative(kind.directories.get(name, name), download_root=config.download_root, kind="folder")
    overrides = file_options(options, kind.families)
    family = choose_family(kind.families, folder, overrides, options=options)
    keywords = keywords_of(options, family, num_threads=config.num_threads)
    language = _language(options, config.language, family, engine=engine)
    wanted = options.text("provider") or config.device
    options.done()
    sherpa = import_backend("sherpa_onnx", engine=engine, package="sherpa-onnx")
    device, notice = provider(wanted, engine=engine, index=config.gpu_device_index, sherpa=sherpa)
    paths = family.check(folder, overrides, engine=engine, model=name)
    notices = (notice, _length_notice(engine, family, keywords))
    keywords |= {option: str(path) for option, path in paths.items()} | {"provider": device}
    called = (family.languages or {}).get(language or "", "")
    if family.languages and not family.language_by_stream:
        keywords["language"] = called
    recognizer = open_recognizer(
        sherpa.OfflineRecognizer, family, keywords, options=options, engine=engine, model=folder
    )
    info = EngineInfo(
        engine=engine,
        model=str(folder),
        device=device,
        notice="; ".join(filter(None, notices)) or None,
        devices=devices(sherpa),
        languages=tuple(sorted(_codes(family).values())),
        times=family.times,
    )
    return SherpaOffline(
        recognizer,
        info=info,
        normalize=config.normalize_audio,
        language=None if language == "auto" else language,
        stream_language=called if family.language_by_stream else "",
    )


def _language(options: Options, configured: str | None, family: Family, *, engine: str) -> str | None:
    """The language's code; None lets the model decide, or says that it takes none."""
    if family.languages is None:
        return None
    chosen = options.text("language") or configured or ""
    language = chosen.strip().lower()
    codes = _codes(family)
    if language in family.languages:
        return codes[family.languages[language]]
    if language or family.language_required:
        problem = (
            f"language {chosen!r} is not known to {family.name}" if language else f"{family.name} needs a language"
        )
        raise SettingError(f"engine {engine}: {problem}; there are {', '.join(sorted(codes.values()))}")
    return None


def _codes(family: Family) -> dict[str, str]:
    """What the model calls each of its languages → its code."""
    codes: dict[str, str] = {}
    for code, called in (family.languages or {}).items():  # a code stands before its name
        codes.setdefault(called, code)
    return codes


def _length_notice(engine: str, family: Family, keywords: Mapping[str, object]) -> str | None:
    """Say how much of a clip such a model hears, where it has a limit at all."""
    limit = keywords.get("max_total_len")
    if not family.audio_tokens_per_s or not isinstance(limit, int):
        return None
    seconds = max(0, limit - _PROMPT_TOKENS) // family.audio_tokens_per_s
    return (
        f"engine {engine}: of a clip longer than about {seconds} s it hears the beginning only; the option"
        " max_total_len raises that where the model's files allow it"
    )
