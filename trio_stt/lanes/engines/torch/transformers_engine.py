"""The engines `transformers` and `granite_speech`, and what other engines' option `backend` calls `transformers`.

It owns the options, the device and what becomes of a batch; how a family of models is fed is `transformers_families`'
business. It must not import trio, and Transformers and torch only when an engine is loaded.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Request, Transcript
from trio_stt.lanes.engines.common import Options, first_line, import_backend, prepare_clips
from trio_stt.lanes.engines.torch.ctc_transducer import Ctc, Transducer
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint, Source, open_checkpoint
from trio_stt.lanes.engines.torch.prompted import Cohere, Qwen3
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
from trio_stt.lanes.engines.torch.seq2seq import FAMILY_OPTIONS, DecodeOptions, Family, Granite, Sequences
from trio_stt.lanes.engines.torch.whisper import Whisper

_PACKAGE = "transformers"

_GRANITE_PROMPT = "Transcribe the speech into a written format, with punctuation and capitalization."

_FAMILIES: Mapping[str, Callable[[Checkpoint, DecodeOptions], Family]] = {
    "AutoModelForCTC": Ctc,
    "AutoModelForTDT": Transducer,
    "AutoModelForRNNT": Transducer,
    "whisper": Whisper,
    "cohere_asr": Cohere,
    "qwen3_asr": Qwen3,
    "granite_speech": Granite,
    "granite_speech_plus": Granite,
}
"""By type of model or, where that is not named, by the class that opens it; all others are `Sequences`."""

_OURS = ("cache_dir", "dtype", "local_files_only", "output_loading_info", "torch_dtype", "trust_remote_code")
"""Arguments of `from_pretrained` that other options and settings stand for."""

_CLICK = Request(samples=np.ones(SAMPLE_RATE_HZ // 10, np.float32))


class TransformersEngine:
    """A loaded checkpoint. Made by `load`; implements `Engine`."""

    def __init__(self, family: Family, *, info: EngineInfo, normalize: bool, torch: Any) -> None:
        self._family: Family | None = family
        self._info = info
        self._normalize = normalize
        self._torch = torch

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; together where that changes no word, else one by one."""
        if self._family is None:
            raise TranscriptionFailed(f"engine {self._info.engine}: it was closed")
        clips = prepare_clips(batch, engine=self._info.engine, normalize=self._normalize)
        together = MAX_BATCH_ON_CUDA if self._family.together else 1
        heard: list[Transcript] = []
        for first in range(0, len(clips), together):
            heard += self._hear(self._family, clips[first : first + together], batch[0].hints)
        # Models that were never taught silence hear words in it.
        return [
            transcript if clip.any() else Transcript(text="", language=transcript.language)
            for clip, transcript in zip(clips, heard, strict=True)
        ]

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        if self._family is not None:
            self._family = None
            give_memory_back(self._torch)

    def _hear(self, family: Family, clips: Sequence[Any], hints: Hints) -> list[Transcript]:
        durations_s = [clip.size / SAMPLE_RATE_HZ for clip in clips]
        try:
            with self._torch.inference_mode():
                return family.hear([pad_short(clip) for clip in clips], durations_s, hints)
        except Exception as error:
            raise TranscriptionFailed(f"engine {self._info.engine}: {first_line(error)}") from error


def load(config: EngineConfig) -> TransformersEngine:
    """Load the checkpoint that `config` names, from its folder, the hub's cache or the hub.

    Options: `generate`, an object, wins at each call; `model` and `processor` are further arguments of their
    `from_pretrained`; `device`, `language`, `sample_rate`, `trust_remote_code`, `local_files_only`, `timestamps`
    (Whisper), `punctuation` (Cohere), `prompt` and `include_language_in_prompt` (Granite).

    CUDA that does not work gives way to the CPU; the notice says so.

    Raises:
        SettingError: The language, the device, the precision or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model is missing or unfit.
    """
    engine = config.engine
    options = Options(config.options, engine=engine)
    check_sample_rate(options)
    wanted = options.text("device") or config.device
    decode_options = DecodeOptions(
        language=options.text("language") or config.language,
        beam_size=config.beam_size,
        timestamps=options.boolean("timestamps", default=False),
        generate=options.mapping("generate"),
        prompt=options.text("prompt", _GRANITE_PROMPT),
        name_language=options.boolean("include_language_in_prompt", default=False),
        punctuation=options.boolean("punctuation", default=True),
    )
    source = Source(
        engine=engine,
        name=config.model,
        download_root=config.download_root,
        offline=options.boolean("local_files_only", default=False) or config.offline or _hub_is_offline(),
        trust_remote_code=options.boolean("trust_remote_code", default=False),
        processor_options=_free(options, "processor"),
        model_options=_free(options, "model"),
    )
    options.done()
    dtype = precision(config.compute_type, engine=engine)
    torch = import_torch(engine=engine)
    transformers = import_backend(_PACKAGE, engine=engine, package=_PACKAGE)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    device, notice = choose_device(wanted, engine=engine, index=config.gpu_device_index, torch=torch)
    torch.set_num_threads(config.num_threads)

    def open_on(device: str, notice: str | None) -> TransformersEngine:
        checkpoint = open_checkpoint(source, device=device, dtype=dtype, transformers=transformers)
        kind = checkpoint.model.config.model_type
        make = _FAMILIES.get(kind) or _FAMILIES.get(checkpoint.auto_class, Sequences)
        try:
            family = make(checkpoint, decode_options)
        except SettingError as error:
            raise SettingError(f"engine {engine}: {error}") from None
        for name in FAMILY_OPTIONS:
            if config.options.get(name) is not None and name not in family.options:
                raise options.error(name, f"has no effect on a model of the type {kind!r}")
        place = device.partition(":")[0]
        info = EngineInfo(
            engine=engine,
            model=checkpoint.name,
            device=place,
            max_batch=MAX_BATCH_ON_CUDA if place == "cuda" and family.together else 1,
            notice=notice,
            devices=devices(torch),
            languages=family.languages,
            prompt=family.prompt,
            times=family.times,
        )
        loaded = TransformersEngine(family, info=info, normalize=config.normalize_audio, torch=torch)
        if place == "cuda" or decode_options.generate or not family.together:
            _try(loaded, generate=bool(decode_options.generate))
        return loaded

    if device == "cpu":
        return open_on(device, notice)
    try:
        return open_on(device, notice)
    except EngineUnavailable as error:
        return open_on("cpu", f"engine {engine}: CUDA does not work, so it runs on the CPU: {error}")


def _try(engine: TransformersEngine, *, generate: bool) -> None:
    """Transcribe something: nothing else tells whether the options and the device fit such a model."""
    try:
        engine.transcribe([_CLICK])
    except TranscriptionFailed as error:
        if generate:
            raise SettingError(f"engine {engine.info.engine}: an option of `generate` is not fit: {error}") from error
        raise EngineUnavailable(f"engine {engine.info.engine}: the model cannot be used here: {error}") from error


def _hub_is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def _free(options: Options, name: str) -> dict[str, object]:
    """An object option with arguments of `from_pretrained`, but none that another option stands for."""
    given = options.mapping(name)
    for taken in _OURS:
        if taken in given:
            raise options.error(f"{name}.{taken}", "has no place here: there are settings and options for it")
    return given
