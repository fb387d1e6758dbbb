"""Omnilingual ASR through its own package, where the option `backend` of `omnilingual_asr` says `package`.

Unlike sherpa-onnx it runs the LLM cards, which take a language. It owns the pipeline and what it is asked. It must not
import trio, and the package and torch only when an engine is loaded. Written against the package's documented interface
(`ASRInferencePipeline(model_card, device, dtype)`, `.transcribe(audio, lang=, batch_size=)`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from trio_stt.errors import EngineUnavailable, ModelMissing, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, Transcript
from trio_stt.lanes.engines.common import Options, first_line, import_backend, prepare_clips
from trio_stt.lanes.engines.torch.runtime import (
    MAX_BATCH_ON_CUDA,
    check_sample_rate,
    choose_device,
    devices,
    give_memory_back,
    import_torch,
    pad_short,
    precision,
)

_PACKAGE = "omnilingual-asr"
_DEFAULT_CARD = "omniASR_CTC_1B_v2"
_WHISPERS_NAMES = ("tiny", "tiny.en")
"""The reference server takes these two for the default card."""

_MAX_AUDIO_S = 39.9
"""The package refuses what is longer than 40 s, but for its `Unlimited` cards."""

_NO_LIMIT = ("none", "null", "false", "off")

_LANGUAGES = {
    "ar": "arb_Arab",
    "de": "deu_Latn",
    "en": "eng_Latn",
    "es": "spa_Latn",
    "fr": "fra_Latn",
    "hi": "hin_Deva",
    "it": "ita_Latn",
    "ja": "jpn_Jpan",
    "ko": "kor_Hang",
    "nl": "nld_Latn",
    "pl": "pol_Latn",
    "pt": "por_Latn",
    "ru": "rus_Cyrl",
    "tr": "tur_Latn",
    "uk": "ukr_Cyrl",
    "zh": "cmn_Hans",
}
"""Two-letter codes → the package's: ISO 639-3 and the script, as Flores-200 spells them."""


class Omnilingual:
    """A loaded pipeline. Made by `load`; implements `Engine`."""

    def __init__(
        self,
        pipeline: Any,
        *,
        info: EngineInfo,
        normalize: bool,
        language: str | None,
        batch_size: int,
        max_audio_s: float | None,
        call: Mapping[str, object],
        torch: Any,
    ) -> None:
        self._pipeline = pipeline
        self._info = info
        self._normalize = normalize
        self._language = language
        self._batch_size = batch_size
        self._max_audio_s = max_audio_s
        self._call = call
        self._torch = torch

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`.

        A clip longer than the package takes is cut into as few equal parts as it needs, whose texts are joined.
        """
        if self._pipeline is None:
            raise TranscriptionFailed(f"engine {self._info.engine}: it was closed")
        clips = prepare_clips(batch, engine=self._info.engine, normalize=self._normalize)
        parts = [(number, part) for number, clip in enumerate(clips) for part in self._parts(clip)]
        told = {} if self._language is None else {"lang": [self._language] * len(parts)}
        audio = [{"waveform": pad_short(part), "sample_rate": SAMPLE_RATE_HZ} for _, part in parts]
        try:
            with self._torch.inference_mode():
                texts = self._pipeline.transcribe(audio, batch_size=self._batch_size, **told, **self._call)
            heard: list[list[str]] = [[] for _ in clips]
            for (number, _), text in zip(parts, texts, strict=True):
                heard[number] += str(text).split()
        except Exception as error:
            raise TranscriptionFailed(f"engine {self._info.engine}: {first_line(error)}") from error
        return [
            Transcript(text=" ".join(words) if clip.any() else "", language=None)
            for words, clip in zip(heard, clips, strict=True)
        ]

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        if self._pipeline is not None:
            self._pipeline = None
            give_memory_back(self._torch)

    def _parts(self, clip: Any) -> list[Any]:
        if self._max_audio_s is None:
            return [clip]
        limit = int(self._max_audio_s * SAMPLE_RATE_HZ)
        count = -(-clip.size // limit)
        size = -(-clip.size // count)
        return [clip[at : at + size] for at in range(0, clip.size, size)]


def load(config: EngineConfig) -> Omnilingual:
    """Make the pipeline of the card that `config` names.

    Options: `model_card` (wins over the model), `language` or `lang`, `language_aliases` (further codes → the
    package's), `batch_size`, `max_audio_seconds` (null, false or off: no limit), `device`, `dtype` or `torch_dtype`,
    `sample_rate`, `pipeline` and `transcribe` (further arguments of the package's).

    Raises:
        SettingError: The language, the device, the precision or an option is unknown, of the wrong type or impossible.
        ModelMissing: `config.offline` is on, and the package would not heed it.
        EngineUnavailable: The package or the card is missing or unfit.
    """
    engine = config.engine
    options = Options(config.options, engine=engine)
    check_sample_rate(options)
    card = options.text("model_card") or config.model
    card = _DEFAULT_CARD if card in ("", *_WHISPERS_NAMES) else card
    language = _language(options, config.language, card)
    max_audio_s = _max_audio_s(options, given="max_audio_seconds" in config.options)
    batch_size = options.integer("batch_size", MAX_BATCH_ON_CUDA)
    wanted = options.text("device") or config.device
    spelled = options.text("dtype") or options.text("torch_dtype")
    dtype = precision(spelled or config.compute_type, engine=engine)
    making, call = options.mapping("pipeline"), options.mapping("transcribe")
    options.done()
    torch = import_torch(engine=engine)
    package = import_backend("omnilingual_asr.models.inference.pipeline", engine=engine, package=_PACKAGE)
    device, notice = choose_device(wanted, engine=engine, index=config.gpu_device_index, torch=torch)
    kind = dtype if dtype != "default" else "float32" if device == "cpu" else "bfloat16"
    if config.offline:  # the package has no way to be told not to download
        raise ModelMissing(
            f"engine {engine}: {_PACKAGE} might download the card {card}, and offline is on; leave the option backend"
            " out to run Omnilingual with sherpa-onnx",
            model=config.model,
        )
    try:
        pipeline = package.ASRInferencePipeline(
            model_card=card, **{"device": device, "dtype": getattr(torch, kind), **making}
        )
    except Exception as error:
        raise EngineUnavailable(
            f"engine {engine}: {_PACKAGE} cannot load the card {card}, and no other is taken: {first_line(error)}"
        ) from error
    info = EngineInfo(
        engine=engine,
        model=f"{card} with {_PACKAGE}",
        device=device.partition(":")[0],
        max_batch=batch_size if device != "cpu" else 1,
        notice=notice,
        devices=devices(torch),
    )
    return Omnilingual(
        pipeline,
        info=info,
        normalize=config.normalize_audio,
        language=language,
        batch_size=batch_size,
        max_audio_s=max_audio_s,
        call=call,
        torch=torch,
    )


def _language(options: Options, configured: str | None, card: str) -> str | None:
    """The package's code of the language; None for cards that find it themselves.

    Raises:
        SettingError: The code is unknown.
    """
    aliases = {str(code).lower(): str(called) for code, called in options.mapping("language_aliases").items()}
    chosen = (options.text("language") or options.text("lang") or configured or "").strip()
    if not chosen or "_LLM_" not in card:
        return None
    known = _LANGUAGES | aliases
    if chosen.lower() in known:
        return known[chosen.lower()]
    if "_" in chosen:  # the package's own spelling, of which it has some 1600
        return chosen
    raise SettingError(
        f"engine omnilingual_asr: language {chosen!r} must be like eng_Latn, or one of {', '.join(sorted(known))}"
    )


def _max_audio_s(options: Options, *, given: bool) -> float | None:
    """The longest part that the package gets at once, in seconds; None for no limit."""
    value = options.value("max_audio_seconds")
    if given and str(value).strip().lower() in _NO_LIMIT:
        return None
    return options.number("max_audio_seconds", _MAX_AUDIO_S, minimum=1.0, maximum=_MAX_AUDIO_S)
