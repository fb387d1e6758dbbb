"""The engine `faster_whisper`: Whisper, run by CTranslate2 through faster-whisper.

It owns the loaded model and how clips share a batch; `ct2_files` finds the model. faster-whisper is imported only when
an engine is loaded.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, create_model

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed, first_line
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Request, TimedText, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, import_backend
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.options import Arguments, Count, EngineOptions, decode
from trio_stt.lanes.engines.selection import (
    CPU_AND_CUDA,
    choose_device,
    choose_language,
    open_or_fall_back,
    precision_name,
)
from trio_stt.lanes.engines.whisper.ct2_files import find_model
from trio_stt.lanes.engines.whisper.windows import (
    LOG_PROBABILITY_THRESHOLD,
    NO_SPEECH_THRESHOLD,
    WINDOW_S,
    Window,
    cut,
    lay,
)

ENGINE = "faster_whisper"

_DEFAULT_MODEL = "tiny.en"

_BATCH_WINDOWS = 64
"""Windows of 30 s that CTranslate2 decodes at once, and clips that are worth a batch on a GPU. On a CPU the clips of a
batch cost as much as one after the other (tiny.en on one core: 0.46 s for a clip alone, 0.44 to 0.47 s for each of 2, 4
and 8), so a batch there would only delay the first clip."""

_TRANSLATING = {True: {"task": "translate"}}
"""Arguments of a call, by whether it translates."""

_PAUSE_MS = 160
"""A pause of this length, in ms, may end a window. Source: faster-whisper's own batched pipeline."""

_COMPUTE_TYPES = (
    *("default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
    *("int16", "float16", "bfloat16", "float32"),
)


class FasterWhisperOptions(EngineOptions):
    """What the engine `faster_whisper` takes; `load_model` is another name for `model`."""

    model: Arguments
    load_model: Arguments
    transcribe: Arguments


class LoadOptions(EngineOptions):
    """What `model` may hold."""

    device: str = ""
    compute_type: str = ""
    cpu_threads: Count | None = None
    download_root: str = ""
    local_files_only: bool = False


class CallOptions(EngineOptions):
    """What `transcribe` may hold besides arguments of the pipeline."""

    fp16: bool = Field(default=False, exclude=True)
    language: str = Field("", exclude=True)


_pipeline_arguments: dict[str, Any] = dict.fromkeys(
    (
        *("append_punctuations", "beam_size", "hotwords", "initial_prompt", "length_penalty", "max_new_tokens"),
        *("no_repeat_ngram_size", "patience", "prepend_punctuations", "repetition_penalty", "suppress_blank"),
        *("suppress_tokens", "task", "temperature", "without_timestamps", "word_timestamps"),
    ),
    (object, None),
)
"""What faster-whisper's batched pipeline takes and uses. What else it takes, it ignores, or the adapter sets it."""

_AllCallOptions = create_model("_AllCallOptions", __base__=CallOptions, **_pipeline_arguments)


class FasterWhisper(ClipEngine):
    """A loaded Whisper model. Made by `load`.

    Every clip is decoded as part of a batch, even if it is alone: at one temperature and without earlier text. So its
    words do not depend on the other clips.
    """

    def __init__(self, model: Any, *, info: EngineInfo, normalize: bool, call_options: Mapping[str, object]) -> None:
        super().__init__(model, info=info, normalize=normalize)
        self._call_options = call_options
        self._pipeline = _import("faster_whisper").BatchedInferencePipeline
        self._vad = _import("faster_whisper.vad")

    def _transcribe(self, model: Any, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """A clip longer than 30 s is cut in its pauses."""
        # To detect the language, the model looks at the whole batch: one clip at a time, then.
        language = self.info.languages.of_request(hints.language)
        size = len(clips) if language is not None else 1
        try:
            return [
                transcript
                for first in range(0, len(clips), size)
                for transcript in self._decode(model, clips[first : first + size], hints, language)
            ]
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise self.failure(error) from error

    def _decode(self, model: Any, clips: Sequence[Clip], hints: Hints, language: str | None) -> list[Transcript]:
        windows = list(cut(clips, self._speech, filtered=hints.vad_filter))
        found: list[list[Any]] = [[] for _ in clips]
        if windows:
            segments, details = self._pipeline(model).transcribe(
                lay(windows, clips),
                language=language,
                clip_timestamps=[{"start": window.at_s, "end": window.after_s} for window in windows],
                batch_size=_BATCH_WINDOWS,
                **{"initial_prompt": hints.prompt, **self._call_options, **_TRANSLATING.get(hints.translate, {})},
            )
            language = details.language
            window_at = {window.at_s * model.frames_per_second: window for window in windows}
            for segment in segments:
                if segment.no_speech_prob <= NO_SPEECH_THRESHOLD or segment.avg_logprob >= LOG_PROBABILITY_THRESHOLD:
                    window = window_at[segment.seek]
                    found[window.clip].append((window, segment))
        return [
            Transcript(
                text=" ".join(text for _, segment in each if (text := segment.text.strip())),
                language=language,
                segments=tuple(timed for window, segment in each for timed in _timed(window, segment)),
            )
            for each in found
        ]

    def _speech(self, clip: Clip) -> list[tuple[int, int]]:
        options = self._vad.VadOptions(max_speech_duration_s=WINDOW_S, min_silence_duration_ms=_PAUSE_MS)
        return [(int(each["start"]), int(each["end"])) for each in self._vad.get_speech_timestamps(clip, options)]


def load(config: EngineConfig) -> FasterWhisper:
    """Load the model that `config` names, from its folder, the hub's cache or the hub.

    `options.model` may hold `device`, `compute_type`, `cpu_threads`, `download_root` and `local_files_only`, which win
    over the settings; `options.load_model` is another name for it. `options.transcribe` wins at each call.

    If the device does not have the precision, the model keeps its own. If CUDA does not work, the model runs on the
    CPU. The notice says so.

    Raises:
        SettingError: The language, the device, the precision or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model is missing or unfit.
    """
    options = decode(FasterWhisperOptions, config.options, engine=ENGINE)
    loading = decode(LoadOptions, options.model | options.load_model, engine=ENGINE, prefix="model.")
    calling = decode(_AllCallOptions, options.transcribe, engine=ENGINE, prefix="transcribe.")
    call_options = calling.model_dump(exclude_none=True)
    precision = loading.compute_type or config.compute_type
    if calling.fp16 and precision == "default":  # how openai-whisper spells a precision
        precision = "float16"
    precision = precision_name(precision, engine=ENGINE, known=_COMPUTE_TYPES)

    whisper, native = _import("faster_whisper"), _import("ctranslate2")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it logs each call at INFO
    native.set_log_level(logging.ERROR)  # it warns on standard error about precisions that it converts
    cuda_devices = native.get_cuda_device_count()
    device, notice = choose_device(
        loading.device or config.device,
        engine=ENGINE,
        cuda_devices=cuda_devices,
        without_cuda="CTranslate2 finds no CUDA device",
        index=config.gpu_device_index,
    )
    path = find_model(
        config.model or _DEFAULT_MODEL,
        engine=ENGINE,
        known=whisper.available_models(),
        download=whisper.download_model,
        download_root=Path(loading.download_root) if loading.download_root else config.download_root,
        offline=loading.local_files_only or config.offline,
    )

    def open_on(device: str, notice: str | None) -> FasterWhisper:
        model, warning = _open_model(path, config, loading, device=device, precision=precision)
        known = model.supported_languages
        language = choose_language(calling.language or config.language, known, engine=ENGINE, model=path)
        info = EngineInfo(
            engine=ENGINE,
            model=str(path),
            device=device,
            max_batch=_BATCH_WINDOWS if device == "cuda" and language is not None else 1,
            notice="; ".join(filter(None, (notice, warning))) or None,
            devices=CPU_AND_CUDA if cuda_devices else ("cpu",),
            languages=LanguageSupport(
                known=tuple(sorted(known)), loaded=language, per_request=len(known) > 1, detects=True
            ),
            prompt=True,
            translates=model.model.is_multilingual,
            times="words" if call_options.get("word_timestamps") else "segments",
        )
        beams = {"beam_size": config.beam_size}
        engine = FasterWhisper(model, info=info, normalize=config.normalize_audio, call_options=beams | call_options)
        if device == "cuda":  # CTranslate2 loads CUDA's libraries on the first call
            engine.transcribe([Request(samples=np.zeros(SAMPLE_RATE_HZ, np.float32))])
        return engine

    engine = open_or_fall_back(open_on, device, notice, engine=ENGINE)
    if call_options:
        _check_usable(engine)
    return engine


def _open_model(
    path: Path, config: EngineConfig, loading: LoadOptions, *, device: str, precision: str
) -> tuple[Any, str | None]:
    """Load the model's files; returns the model, and a notice if its precision is not the one that was asked for.

    Raises:
        EngineUnavailable: CTranslate2 cannot load them on this device.
    """
    index = config.gpu_device_index if device == "cuda" else 0
    try:
        known = _import("ctranslate2").get_supported_compute_types(device, index)
        compute_type, notice = _compute_type(precision, device=device, known=known)
        model = _import("faster_whisper").WhisperModel(
            str(path),
            device=device,
            device_index=index,
            compute_type=compute_type,
            cpu_threads=loading.cpu_threads or config.num_threads,
            num_workers=config.num_workers,
        )
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineUnavailable(f"engine {ENGINE}: CTranslate2 cannot load {path}: {first_line(error)}") from error
    return model, notice


def _import(module: str) -> Any:
    return import_backend(module, engine=ENGINE, package="faster-whisper", extra="faster-whisper")


def _check_usable(engine: FasterWhisper) -> None:
    """Transcribe a short clip with the user's options: only that shows whether they are valid."""
    clip = Request(samples=np.ones(SAMPLE_RATE_HZ // 10, np.float32))
    try:
        engine.transcribe([clip])
    except TranscriptionFailed as error:
        raise SettingError(f"engine {ENGINE}: an option of `transcribe` is not valid: {first_line(error)}") from error


def _compute_type(name: str, *, device: str, known: set[str]) -> tuple[str, str | None]:
    """Return a precision that the device has, and a notice if that is not what was asked for."""
    if name == "default" or name in known:
        return name, None
    return "default", f"engine {ENGINE}: {device} has no {name} here, so the model keeps its own precision"


def _timed(window: Window, segment: Any) -> Iterator[TimedText]:
    """The words, or else the phrase, of a segment; converts times in the batch's audio to times in the clip."""
    for timed in segment.words or [segment]:
        text = (timed.text if timed is segment else timed.word).strip()
        start_s, end_s = window.clip_time_s(float(timed.start)), window.clip_time_s(float(timed.end))
        if text:
            probability = math.exp(timed.avg_logprob) if timed is segment else float(timed.probability)
            yield TimedText(
                text=text, start_s=start_s, end_s=max(start_s, end_s), confidence=min(1.0, max(0.0, probability))
            )
