"""The engine `faster_whisper`: Whisper, run by CTranslate2 through faster-whisper.

It owns the loaded model and how clips share a batch; where the model lies is `ct2_files`' business. It must not import
trio, and faster-whisper only when an engine is loaded.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, TimedText, Transcript
from trio_stt.lanes.engines.common import Options, import_backend, prepare_clips
from trio_stt.lanes.engines.whisper.ct2_files import find_model
from trio_stt.lanes.engines.whisper.windows import WINDOW_S, Window, cut, lay

ENGINE = "faster_whisper"

_PACKAGE = "faster-whisper"
_DEFAULT_MODEL = "tiny.en"
_LANGUAGE_OF_ENGLISH_MODELS = "en"

_MAX_BATCH_ON_CUDA = 64
"""On a CPU the clips of a batch cost as much as one after the other (tiny.en on one core: 0.46 s for a clip alone, 0.44
to 0.47 s for each of 2, 4 and 8), so there a batch would only make the first wait for the last."""

_PAUSE_MS = 160
"""A pause of this length may end a window: what faster-whisper's own batched pipeline takes."""

_NO_SPEECH_ABOVE = 0.6
_UNSURE_BELOW = -1.0
"""Whisper's own rule: a window whose no-speech probability is above the first, and whose mean log probability is below
the second, holds no words. Source: the defaults of openai-whisper's `transcribe`."""

_COMPUTE_TYPES = (
    *("default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
    *("int16", "float16", "bfloat16", "float32"),
)
_COMPUTE_SPELLINGS = {"fp16": "float16", "half": "float16", "fp32": "float32"}

_CALL_OPTIONS = (
    *("append_punctuations", "beam_size", "hotwords", "initial_prompt", "length_penalty", "max_new_tokens"),
    *("no_repeat_ngram_size", "patience", "prepend_punctuations", "repetition_penalty", "suppress_blank"),
    *("suppress_tokens", "task", "temperature", "without_timestamps", "word_timestamps"),
)
"""What faster-whisper's batched pipeline takes and uses; what else it takes, it ignores or is ours to say."""


class FasterWhisper:
    """A loaded Whisper model. Made by `load`; implements `Engine`.

    Every clip is decoded as part of a batch, also when it is alone: at one temperature and without earlier text. So its
    words do not depend on who else speaks.
    """

    def __init__(
        self, model: Any, *, info: EngineInfo, normalize: bool, language: str | None, call_options: Mapping[str, object]
    ) -> None:
        self._model = model
        self._info = info
        self._normalize = normalize
        self._language = language
        self._call_options = call_options
        self._pipeline = import_backend("faster_whisper", engine=ENGINE, package=_PACKAGE).BatchedInferencePipeline
        self._vad = import_backend("faster_whisper.vad", engine=ENGINE, package=_PACKAGE)

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; one longer than 30 s is cut in its pauses."""
        if self._model is None:
            raise TranscriptionFailed(f"engine {ENGINE}: it was closed")
        clips = prepare_clips(batch, engine=ENGINE, normalize=self._normalize)
        # Asked to find the language, the model finds one for all that it gets at once.
        together = len(clips) if self._language is not None else 1
        try:
            return [
                transcript
                for first in range(0, len(clips), together)
                for transcript in self._decode(clips[first : first + together], batch[0])
            ]
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise TranscriptionFailed(f"engine {ENGINE}: {_first_line(error)}") from error

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        self._model = None

    def _decode(self, clips: Sequence[NDArray[np.float32]], request: Request) -> list[Transcript]:
        windows = list(cut(clips, self._speech, filtered=request.hints.vad_filter))
        heard: list[list[Any]] = [[] for _ in clips]
        language = self._language
        if windows:
            segments, found = self._pipeline(self._model).transcribe(
                lay(windows, clips),
                language=language,
                clip_timestamps=[{"start": window.at_s, "end": window.after_s} for window in windows],
                batch_size=_MAX_BATCH_ON_CUDA,
                **{"initial_prompt": request.hints.prompt, **self._call_options},
            )
            language = found.language
            window_at = {window.at_s * self._model.frames_per_second: window for window in windows}
            for segment in segments:
                if segment.no_speech_prob <= _NO_SPEECH_ABOVE or segment.avg_logprob >= _UNSURE_BELOW:
                    window = window_at[segment.seek]
                    heard[window.clip].append((window, segment))
        return [
            Transcript(
                text=" ".join(text for _, segment in each if (text := segment.text.strip())),
                language=language,
                segments=tuple(timed for window, segment in each for timed in _timed(window, segment)),
            )
            for each in heard
        ]

    def _speech(self, clip: NDArray[np.float32]) -> list[tuple[int, int]]:
        options = self._vad.VadOptions(max_speech_duration_s=WINDOW_S, min_silence_duration_ms=_PAUSE_MS)
        return [(int(each["start"]), int(each["end"])) for each in self._vad.get_speech_timestamps(clip, options)]


def load(config: EngineConfig) -> FasterWhisper:
    """Load the model that `config` names, from its folder, the hub's cache or the hub.

    `options.model` may hold `device`, `compute_type`, `cpu_threads`, `download_root` and `local_files_only`, which win
    over the settings; `options.load_model` is another name for it. `options.transcribe` wins at each call.

    A precision that the device does not have gives way to the model's own, and CUDA that does not work to the CPU; the
    notice says so.

    Raises:
        SettingError: The language, the device, the precision or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model is missing or unfit.
    """
    options = Options(config.options, engine=ENGINE)
    loading = Options(options.mapping("model") | options.mapping("load_model"), engine=ENGINE, prefix="model.")
    wanted = loading.text("device") or config.device
    precision = loading.text("compute_type") or config.compute_type
    threads = loading.integer("cpu_threads", config.num_threads)
    root = loading.text("download_root")
    offline = loading.boolean("local_files_only", default=config.offline)
    loading.done()
    calling = Options(options.mapping("transcribe"), engine=ENGINE, prefix="transcribe.")
    half = calling.boolean("fp16", default=False)  # how openai-whisper spells a precision
    precision = "float16" if half and precision == "default" else precision
    language = calling.text("language") or config.language or ""
    call_options = {name: value for name in _CALL_OPTIONS if (value := calling.value(name)) is not None}
    calling.done()
    options.done()

    whisper = import_backend("faster_whisper", engine=ENGINE, package=_PACKAGE)
    native = import_backend("ctranslate2", engine=ENGINE, package=_PACKAGE)
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it reports each call at INFO
    native.set_log_level(logging.ERROR)  # it warns on standard error of the precisions that it converts
    cuda_devices = native.get_cuda_device_count()
    device, notice = _device(wanted, index=config.gpu_device_index, count=cuda_devices)
    path = find_model(
        config.model or _DEFAULT_MODEL,
        engine=ENGINE,
        known=whisper.available_models(),
        download=whisper.download_model,
        download_root=Path(root) if root else config.download_root,
        offline=offline,
    )

    def open_on(device: str, notice: str | None) -> FasterWhisper:
        index = config.gpu_device_index if device == "cuda" else 0
        try:
            known = native.get_supported_compute_types(device, index)
            compute_type, warning = _compute_type(precision, device=device, known=known)
            model = whisper.WhisperModel(
                str(path),
                device=device,
                device_index=index,
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=config.num_workers,
            )
        except (RuntimeError, ValueError, MemoryError) as error:
            raise EngineUnavailable(f"engine {ENGINE}: CTranslate2 cannot load {path}: {_first_line(error)}") from error
        chosen = _language(language, path, known=model.supported_languages)
        info = EngineInfo(
            engine=ENGINE,
            model=str(path),
            device=device,
            max_batch=_MAX_BATCH_ON_CUDA if device == "cuda" and chosen is not None else 1,
            notice="; ".join(filter(None, (notice, warning))) or None,
            devices=("cpu", "cuda") if cuda_devices else ("cpu",),
            languages=tuple(sorted(model.supported_languages)),
            prompt=True,
            times="words" if call_options.get("word_timestamps") else "segments",
        )
        beams = {"beam_size": config.beam_size}
        return FasterWhisper(
            model, info=info, normalize=config.normalize_audio, language=chosen, call_options=beams | call_options
        )

    if device == "cuda":
        try:
            engine = open_on(device, notice)
            engine.transcribe([Request(samples=np.zeros(SAMPLE_RATE_HZ, np.float32))])
        except EngineError as error:  # CUDA's libraries are looked for as late as this
            engine = open_on("cpu", f"engine {ENGINE}: CUDA does not work, so it runs on the CPU: {error}")
    else:
        engine = open_on(device, notice)
    if call_options:
        _try(engine)
    return engine


def _try(engine: FasterWhisper) -> None:
    """Transcribe something with the user's options: nothing else tells whether they fit."""
    click = Request(samples=np.ones(SAMPLE_RATE_HZ // 10, np.float32))
    try:
        engine.transcribe([click])
    except TranscriptionFailed as error:
        raise SettingError(f"engine {ENGINE}: an option of `transcribe` is not fit: {_first_line(error)}") from error


def _device(wanted: str, *, index: int, count: int) -> tuple[str, str | None]:
    """Return where to run, and a notice if that is not what was asked."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise SettingError(f"engine {ENGINE}: device {wanted!r} must be auto, cpu or cuda")
    if wanted == "cuda" and not count:
        return "cpu", f"engine {ENGINE}: CTranslate2 finds no CUDA device, so it runs on the CPU"
    if wanted == "cpu" or not count:
        return "cpu", None
    if index >= count:
        raise SettingError(f"engine {ENGINE}: gpu_device_index {index} is beyond the {count} CUDA devices, from 0 on")
    return "cuda", None


def _compute_type(wanted: str, *, device: str, known: set[str]) -> tuple[str, str | None]:
    """Return a precision that the device has, and a notice if that is not what was asked."""
    spelled = wanted.strip().lower()
    name = _COMPUTE_SPELLINGS.get(spelled, spelled) or "default"
    if name not in _COMPUTE_TYPES:
        raise SettingError(f"engine {ENGINE}: compute_type {wanted!r} must be one of {', '.join(_COMPUTE_TYPES)}")
    if name in ("default", "auto") or name in known:
        return name, None
    return "default", f"engine {ENGINE}: {device} has no {name} here, so the model keeps its own precision"


def _language(wanted: str, path: Path, *, known: Sequence[str]) -> str | None:
    """Return the language to decode in; None lets a multilingual model decide."""
    language = wanted.strip().lower()
    english_only = list(known) == [_LANGUAGE_OF_ENGLISH_MODELS]
    if language and language not in known:
        reason = f"needs a multilingual model; {path} is English-only" if english_only else "is unknown to the model"
        raise SettingError(f"engine {ENGINE}: language {wanted!r} {reason}")
    return _LANGUAGE_OF_ENGLISH_MODELS if english_only else language or None


def _timed(window: Window, segment: Any) -> Iterator[TimedText]:
    """What faster-whisper timed in the batch's audio, with times of the clip: words if it was asked for them."""
    for timed in segment.words or [segment]:
        text = (timed.text if timed is segment else timed.word).strip()
        start_s, end_s = window.clip_time_s(float(timed.start)), window.clip_time_s(float(timed.end))
        if text:
            probability = math.exp(timed.avg_logprob) if timed is segment else float(timed.probability)
            yield TimedText(
                text=text, start_s=start_s, end_s=max(start_s, end_s), confidence=min(1.0, max(0.0, probability))
            )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
