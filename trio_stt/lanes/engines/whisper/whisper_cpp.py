"""The engine `whisper_cpp`: Whisper, run by whisper.cpp through pywhispercpp.

It owns the loaded model and its parameters; where the file lies is `ggml_files`' business. whisper.cpp's own messages
go to this module's logger, never to the terminal. It must not import trio, and pywhispercpp only when an engine is
loaded.
"""

import atexit
import inspect
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Request, TimedText, Transcript
from trio_stt.lanes.engines.common import Options, import_backend, prepare_clips
from trio_stt.lanes.engines.whisper.ggml_files import find_model, is_multilingual

ENGINE = "whisper_cpp"

_DEFAULT_MODEL = "tiny.en"
_LANGUAGE_OF_ENGLISH_MODELS = "en"
_MAX_BEAMS = 8
"""whisper.cpp's WHISPER_MAX_DECODERS; beyond it every inference fails."""

_MIN_SAMPLES = SAMPLE_RATE_HZ
"""Shorter clips are filled up with zeros: below 0.1 s whisper.cpp returns nothing, and its input is 30 s anyway."""

_NO_SPEECH = "[BLANK_AUDIO]"
"""How Whisper's models spell that a stretch holds no words."""

_NOT_OPTIONS = frozenset({"strategy", "vad_params", "prompt_n_tokens", "detect_language"})
"""Parameters that JSON cannot give, that follow from others, or (the last) that would return no text."""

_LOG_ERROR = 4
"""ggml's log level for errors."""

_EMPTY_MODEL = "no tensors loaded"
"""What whisper.cpp warns of, and goes on, when a file ends before its weights."""

_logger = logging.getLogger(__name__)
_native_errors: ContextVar[list[str] | None] = ContextVar("_native_errors", default=None)


class WhisperCpp:
    """A loaded Whisper model. Made by `load`; implements `Engine`."""

    def __init__(
        self, model: Any, *, info: EngineInfo, normalize: bool, language: str | None, call_options: Mapping[str, object]
    ) -> None:
        self._model = model
        self._info = info
        self._normalize = normalize
        self._language = language
        self._call_options = call_options

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`; one after the other, each of up to 30 s at the same cost."""
        if self._model is None:
            raise TranscriptionFailed(f"engine {ENGINE}: it was closed")
        clips = prepare_clips(batch, engine=ENGINE, normalize=self._normalize)
        return [self._transcribe_one(clip, request.hints.prompt) for clip, request in zip(clips, batch, strict=True)]

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        self._model = None

    def _transcribe_one(self, clip: NDArray[np.float32], prompt: str | None) -> Transcript:
        padded = np.pad(clip, (0, max(0, _MIN_SAMPLES - clip.size)))
        language = self._language
        # The binding keeps what a call set for the calls that follow: without a prompt, the last one would stay.
        call_options = {"initial_prompt": prompt or "", **self._call_options}
        try:
            with _collect_native_errors() as errors:
                if language is None:
                    (language, _probability), _all = self._model.auto_detect_language(padded)
                heard = self._model.transcribe(padded, language=language, extract_probability=True, **call_options)
        except RuntimeError as error:
            raise TranscriptionFailed(f"engine {ENGINE}: {error}") from error
        if errors:
            raise TranscriptionFailed(f"engine {ENGINE}: {errors[0]}")
        duration_s = clip.size / SAMPLE_RATE_HZ
        segments = tuple(
            TimedText(
                text=text,
                start_s=start_s,
                end_s=max(start_s, min(segment.t1 / 100, duration_s)),
                confidence=None if math.isnan(segment.probability) else float(min(1.0, segment.probability)),
            )
            for segment in heard
            if (text := segment.text.strip()) and text != _NO_SPEECH
            for start_s in [max(0.0, min(segment.t0 / 100, duration_s))]
        )
        return Transcript(text=" ".join(s.text for s in segments), language=language, segments=segments)


def load(config: EngineConfig) -> WhisperCpp:
    """Load the model that `config` names. `options.model` wins over it at loading, `options.transcribe` at each call.

    Raises:
        SettingError: The language, the beam size or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model file is missing or unfit.
    """
    options = Options(config.options, engine=ENGINE)
    model_options, call_options = options.mapping("model"), options.mapping("transcribe")
    options.done()
    if config.beam_size > _MAX_BEAMS:
        raise SettingError(f"engine {ENGINE}: beam_size {config.beam_size} is above whisper.cpp's {_MAX_BEAMS}")
    whisper = import_backend("pywhispercpp.model", engine=ENGINE, package="pywhispercpp")
    constants = import_backend("pywhispercpp.constants", engine=ENGINE, package="pywhispercpp")
    native = import_backend("_pywhispercpp", engine=ENGINE, package="pywhispercpp")
    logging.getLogger("pywhispercpp").setLevel(logging.WARNING)  # it reports each call at INFO
    native.whisper_log_set(_log)
    atexit.register(native.whisper_log_set, None)  # else the binding drops the function after the interpreter has ended

    path = _model_path(config, model_options, constants)
    known = whisper.Model.available_languages()
    language = _language(config, call_options, path, known=known)
    offers_cuda = "CUDA" in str(whisper.Model.system_info())
    device, use_gpu, notice = _device(config.device, offers_cuda=offers_cuda)
    beams = config.beam_size > 1
    decode: dict[str, object] = {
        "n_threads": config.num_threads,
        "print_progress": False,
        "print_realtime": False,
        "print_timestamps": False,
        "greedy": {"best_of": 1},
    }
    if beams:
        decode["beam_search"] = {"beam_size": config.beam_size, "patience": -1.0}
    decode["context_params"] = {"use_gpu": use_gpu, "gpu_device": config.gpu_device_index if use_gpu else 0}
    loading = decode | {"params_sampling_strategy": int(beams)} | model_options
    constructor = inspect.signature(whisper.Model).parameters.keys() - {"model", "models_dir", "params"}
    _check_options(native, {k: v for k, v in loading.items() if k not in constructor}, prefix="model.")
    processors = Options(call_options, engine=ENGINE, prefix="transcribe.").integer("n_processors", 1)
    _check_options(native, {k: v for k, v in call_options.items() if k != "n_processors"}, prefix="transcribe.")
    if "initial_prompt" in loading:  # each call sets a prompt, so one from here has to be a call's
        call_options.setdefault("initial_prompt", loading.pop("initial_prompt"))
    if processors > 1:
        call_options["n_processors"] = processors
    else:
        call_options.pop("n_processors", None)

    try:
        with _collect_native_errors() as errors:
            model = whisper.Model(str(path), **loading)
    except TypeError as error:
        raise SettingError(f"engine {ENGINE}: an option of `model` is not fit: {str(error).splitlines()[0]}") from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EngineUnavailable(f"engine {ENGINE}: whisper.cpp cannot load {path}: {error}") from error
    if errors:
        # The binding hands out a model even then, and using it would end the process.
        raise EngineUnavailable(f"engine {ENGINE}: whisper.cpp cannot load {path}: {errors[0]}")
    languages = sorted(known) if is_multilingual(path, engine=ENGINE) else [_LANGUAGE_OF_ENGLISH_MODELS]
    info = EngineInfo(
        engine=ENGINE,
        model=str(path),
        device=device,
        notice=notice,
        devices=("cpu", "cuda") if offers_cuda else ("cpu",),
        languages=tuple(languages),
        prompt=True,
        times="segments",
    )
    return WhisperCpp(model, info=info, normalize=config.normalize_audio, language=language, call_options=call_options)


def _model_path(config: EngineConfig, model_options: dict[str, object], constants: Any) -> Path:
    """Take the model's name and folder out of the options, or from the settings, and find the file."""
    options = Options(model_options, engine=ENGINE, prefix="model.")
    name = options.text("model") or config.model or _DEFAULT_MODEL
    folder = options.text("models_dir")
    for key in ("model", "models_dir"):
        model_options.pop(key, None)
    if model_options.pop("redirect_whispercpp_logs_to", None) is not None:
        raise options.error("redirect_whispercpp_logs_to", f"must be null: the messages go to the logger {__name__}")
    return find_model(
        name,
        engine=ENGINE,
        known=constants.AVAILABLE_MODELS,
        download_root=Path(folder) if folder else config.download_root,
        default_folder=constants.MODELS_DIR,
    )


def _language(config: EngineConfig, call_options: dict[str, object], path: Path, *, known: Sequence[str]) -> str | None:
    """Take the language out of the options, or from the settings; None lets a multilingual model decide."""
    chosen = Options(call_options, engine=ENGINE, prefix="transcribe.").text("language", config.language or "")
    call_options.pop("language", None)
    language = chosen.strip().lower()
    if language and language not in known:
        raise SettingError(f"engine {ENGINE}: unknown language {chosen!r}; there are {', '.join(known)}")
    if is_multilingual(path, engine=ENGINE):
        return language or None
    if language not in ("", _LANGUAGE_OF_ENGLISH_MODELS):
        raise SettingError(f"engine {ENGINE}: language {chosen!r} needs a multilingual model; {path} is English-only")
    return _LANGUAGE_OF_ENGLISH_MODELS


def _device(wanted: str, *, offers_cuda: bool) -> tuple[str, bool, str | None]:
    """Return where the model runs, whether whisper.cpp may use a GPU, and a notice if that is not what was asked."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise SettingError(f"engine {ENGINE}: device {wanted!r} must be auto, cpu or cuda")
    if wanted == "cuda" and not offers_cuda:
        return "cpu", False, f"engine {ENGINE}: the installed pywhispercpp has no CUDA, so it runs on the CPU"
    return ("cuda" if offers_cuda and wanted != "cpu" else "cpu"), wanted != "cpu", None


def _check_options(native: Any, values: Mapping[str, object], *, prefix: str) -> None:
    """Try decoding options on parameters of their own.

    Raises:
        SettingError: whisper.cpp has no such parameter, or not of this type.
    """
    options = Options(values, engine=ENGINE, prefix=prefix)
    trial = native.whisper_full_default_params(native.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
    for name, value in values.items():
        try:
            if name in _NOT_OPTIONS or "callback" in name or callable(getattr(trial, name, None)):
                raise AttributeError(name)  # noqa: TRY301 - one message for every name that does not exist
            if name == "no_context" and not value:
                raise options.error(name, "must be true: what one talker said must not prime the next one's clip")
            setattr(trial, name, value)
        except AttributeError as error:
            raise options.error(name, "does not exist") from error
        except (TypeError, ValueError, RuntimeError, KeyError) as error:
            raise options.error(name, f"does not take {value!r}") from error


def _log(level: int, text: str) -> None:
    """Receive one message of whisper.cpp, on the thread that caused it."""
    message = text.strip()
    if not message:
        return
    errors = _native_errors.get()
    if errors is not None and (level == _LOG_ERROR or _EMPTY_MODEL in message):
        errors.append(message)
    _logger.debug("%s", message)


@contextmanager
def _collect_native_errors() -> Iterator[list[str]]:
    """Collect what whisper.cpp calls an error on this thread, since the binding drops its return codes."""
    errors: list[str] = []
    token = _native_errors.set(errors)
    try:
        yield errors
    finally:
        _native_errors.reset(token)
