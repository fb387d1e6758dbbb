"""The engines `transformers` and `granite_speech`, and the backend `transformers` of other engines.

It owns the options, the device and the batches; the families know what a checkpoint is fed. Transformers and torch are
imported only when an engine is loaded.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Request, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, import_backend, languages_without_choice
from trio_stt.lanes.engines.language_support import UNKNOWN_LANGUAGES
from trio_stt.lanes.engines.options import Arguments, EngineOptions, SampleRate, decode, option_error
from trio_stt.lanes.engines.selection import CPU_AND_CUDA, MAX_BATCH_ON_CUDA, choose_device, open_or_fall_back
from trio_stt.lanes.engines.torch.ctc_transducer import CtcFamily, TransducerFamily
from trio_stt.lanes.engines.torch.family import FAMILY_OPTIONS, CheckpointFamily, DecodeOptions
from trio_stt.lanes.engines.torch.generative import CohereFamily, GraniteFamily, Qwen3Family, Seq2SeqFamily
from trio_stt.lanes.engines.torch.hub_checkpoints import Checkpoint, CheckpointSource, open_checkpoint
from trio_stt.lanes.engines.torch.runtime import cuda_devices, import_torch, pad_short, precision, release_memory
from trio_stt.lanes.engines.torch.whisper import WhisperFamily

_PACKAGE = "transformers"

_FAMILIES: Mapping[str, Callable[[Checkpoint, DecodeOptions], CheckpointFamily]] = {
    "AutoModelForCTC": CtcFamily,
    "AutoModelForTDT": TransducerFamily,
    "AutoModelForRNNT": TransducerFamily,
    "whisper": WhisperFamily,
    "cohere_asr": CohereFamily,
    "qwen3_asr": Qwen3Family,
    "granite_speech": GraniteFamily,
    "granite_speech_plus": GraniteFamily,
}
"""By type of model or, for types that are not listed, by the class that opens it; all others are `Seq2SeqFamily`."""

_OURS = ("cache_dir", "dtype", "local_files_only", "output_loading_info", "torch_dtype", "trust_remote_code")
"""Arguments of `from_pretrained` for which there are other options and settings."""

_TEST_CLIP = Request(samples=np.ones(SAMPLE_RATE_HZ // 10, np.float32))


class TransformersOptions(EngineOptions):
    """What the engines over Transformers take; `docs/engines.md` says which families use which."""

    generate: Arguments
    model: Arguments
    processor: Arguments
    device: str = ""
    language: str = ""
    sample_rate: SampleRate = SAMPLE_RATE_HZ
    trust_remote_code: bool = False
    local_files_only: bool = False
    timestamps: bool = False
    punctuation: bool = True
    prompt: str = "Transcribe the speech into a written format, with punctuation and capitalization."
    include_language_in_prompt: bool = False


class TransformersEngine(ClipEngine):
    """A loaded checkpoint. Made by `load`."""

    def __init__(self, family: CheckpointFamily, *, info: EngineInfo, normalize: bool, torch: Any) -> None:
        super().__init__(family, info=info, normalize=normalize)
        self._torch = torch

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        if self._loaded is not None:
            super().close()
            release_memory(self._torch)

    def _transcribe(self, model: CheckpointFamily, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """In batches if that changes no word, else one by one."""
        size = MAX_BATCH_ON_CUDA if model.supports_batching else 1
        transcripts: list[Transcript] = []
        for first in range(0, len(clips), size):
            transcripts += self._transcribe_batch(model, clips[first : first + size], hints)
        # Models that were not trained on silence produce words for it.
        return [
            transcript if clip.any() else Transcript(text="", language=transcript.language)
            for clip, transcript in zip(clips, transcripts, strict=True)
        ]

    def _transcribe_batch(self, family: CheckpointFamily, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        durations_s = [clip.size / SAMPLE_RATE_HZ for clip in clips]
        try:
            with self._torch.inference_mode():
                return family.transcribe([pad_short(clip) for clip in clips], durations_s, hints)
        except Exception as error:
            raise self.failure(error) from error


def load(config: EngineConfig) -> TransformersEngine:
    """Load the checkpoint that `config` names, from its folder, the hub's cache or the hub.

    If CUDA does not work, the model runs on the CPU, and the notice says so.

    Raises:
        SettingError: The language, the device, the precision or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model is missing or unfit.
    """
    engine = config.engine
    options = decode(TransformersOptions, config.options, engine=engine)
    decode_options = DecodeOptions(
        language=options.language or config.language,
        beam_size=config.beam_size,
        timestamps=options.timestamps,
        generate=options.generate,
        prompt=options.prompt,
        name_language=options.include_language_in_prompt,
        punctuation=options.punctuation,
    )
    processor_options = _checked(options.processor, "processor", engine=engine)
    model_options = _checked(options.model, "model", engine=engine)
    dtype = precision(config.compute_type, engine=engine)
    torch = import_torch(engine=engine)
    transformers = import_backend(_PACKAGE, engine=engine, package=_PACKAGE, extra=_PACKAGE)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    device, notice = choose_device(
        options.device or config.device,
        engine=engine,
        cuda_devices=cuda_devices(torch),
        without_cuda="PyTorch finds no CUDA device",
        index=config.gpu_device_index,
    )
    torch.set_num_threads(config.num_threads)
    source = CheckpointSource(
        engine=engine,
        name=config.model,
        download_root=config.download_root,
        offline=options.local_files_only or config.offline or _hub_is_offline(),
        trust_remote_code=options.trust_remote_code,
        dtype=dtype,
        transformers=transformers,
        processor_options=processor_options,
        model_options=model_options,
    )

    def open_on(device: str, notice: str | None) -> TransformersEngine:
        place = f"cuda:{config.gpu_device_index}" if device == "cuda" else device
        checkpoint = open_checkpoint(source, device=place)
        kind = checkpoint.model.config.model_type
        make = _FAMILIES.get(kind) or _FAMILIES.get(checkpoint.auto_class, Seq2SeqFamily)
        family = make(checkpoint, decode_options)
        for name in FAMILY_OPTIONS:
            if name in options.model_fields_set and name not in family.options:
                raise option_error(engine, name, f"has no effect on a model of the type {kind!r}")
        info = EngineInfo(
            engine=engine,
            model=checkpoint.name,
            device=device,
            max_batch=MAX_BATCH_ON_CUDA if device == "cuda" and family.supports_batching else 1,
            notice=notice,
            devices=CPU_AND_CUDA if cuda_devices(torch) else ("cpu",),
            languages=(languages_without_choice(config) if family.languages is UNKNOWN_LANGUAGES else family.languages),
            prompt=family.prompt,
            translates=family.translates,
            times=family.times,
        )
        loaded = TransformersEngine(family, info=info, normalize=config.normalize_audio, torch=torch)
        if device == "cuda" or decode_options.generate or not family.supports_batching:
            _check_usable(loaded, generate=bool(decode_options.generate))
        return loaded

    return open_or_fall_back(open_on, device, notice, engine=engine)


def _check_usable(engine: TransformersEngine, *, generate: bool) -> None:
    """Transcribe a short clip: only that shows whether the options and the device suit the model."""
    try:
        engine.transcribe([_TEST_CLIP])
    except TranscriptionFailed as error:
        if generate:
            raise SettingError(f"engine {engine.info.engine}: an option of `generate` is not valid: {error}") from error
        raise EngineUnavailable(f"engine {engine.info.engine}: the model cannot be used here: {error}") from error


def _hub_is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def _checked(arguments: Arguments, name: str, *, engine: str) -> Arguments:
    """Refuse arguments of `from_pretrained` that another option or setting stands for."""
    for taken in _OURS:
        if taken in arguments:
            raise option_error(engine, f"{name}.{taken}", "has no place here: there are settings and options for it")
    return arguments
