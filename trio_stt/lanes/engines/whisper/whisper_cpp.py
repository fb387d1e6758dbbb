"""The engine `whisper_cpp`: Whisper, run by whisper.cpp through pywhispercpp.

It owns the loaded model and its parameters; `ggml_files` finds the file. whisper.cpp's own messages go to this module's
logger, never to the terminal. pywhispercpp is imported only when an engine is loaded.
"""

import atexit
import inspect
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed, first_line
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineConfig, EngineInfo, Hints, Transcript
from trio_stt.lanes.engines.common import Clip, ClipEngine, import_backend
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.lanes.engines.options import Arguments, Count, EngineOptions, decode, option_error
from trio_stt.lanes.engines.selection import CPU_AND_CUDA, ENGLISH_ONLY, choose_device, choose_language
from trio_stt.lanes.engines.whisper.ggml_files import find_model, is_multilingual
from trio_stt.lanes.engines.word_times import timed_text

ENGINE = "whisper_cpp"

_DEFAULT_MODEL = "tiny.en"
_MAX_BEAMS = 8
"""whisper.cpp's WHISPER_MAX_DECODERS; beyond it every inference fails."""

_MIN_SAMPLES = SAMPLE_RATE_HZ
"""Shorter clips are padded with zeros: below 0.1 s whisper.cpp returns nothing, and its input is 30 s anyway."""

_NO_SPEECH = "[BLANK_AUDIO]"
"""What Whisper's models write for audio without words."""

_NOT_OPTIONS = frozenset({"strategy", "vad_params", "prompt_n_tokens", "detect_language"})
"""Parameters that JSON cannot express, that follow from others, or (the last) with which no text is returned."""

_LOG_ERROR = 4
"""ggml's log level for errors."""

_EMPTY_MODEL = "no tensors loaded"
"""Warning of whisper.cpp for a file that ends before its weights; it goes on, and would crash later."""

_logger = logging.getLogger(__name__)
_native_errors: ContextVar[list[str] | None] = ContextVar("_native_errors", default=None)


def _refuse_log_file(_: object) -> object:
    raise ValueError(f"must be null: the messages go to the logger {__name__}")


class WhisperCppOptions(EngineOptions):
    """What the engine `whisper_cpp` takes."""

    model: Arguments
    transcribe: Arguments


class LoadOptions(EngineOptions, extra="allow"):
    """What `model` may hold besides whisper.cpp's own parameters."""

    model: str = ""
    models_dir: str = ""
    redirect_whispercpp_logs_to: Annotated[object, BeforeValidator(_refuse_log_file)] = None

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of whisper.cpp and its binding."""
        return dict(self.model_extra or {})


class CallOptions(EngineOptions, extra="allow"):
    """What `transcribe` may hold besides whisper.cpp's own parameters."""

    language: str = ""
    n_processors: Count = 1

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of whisper.cpp."""
        return dict(self.model_extra or {})


class WhisperCpp(ClipEngine):
    """A loaded Whisper model. Made by `load`."""

    def __init__(self, model: Any, *, info: EngineInfo, normalize: bool, call_options: Mapping[str, object]) -> None:
        super().__init__(model, info=info, normalize=normalize)
        self._call_options = call_options

    def _transcribe(self, model: Any, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """One after the other: each clip of up to 30 s costs the same."""
        return [self._transcribe_one(model, clip, hints) for clip in clips]

    def _transcribe_one(self, model: Any, clip: Clip, hints: Hints) -> Transcript:
        padded = np.pad(clip, (0, max(0, _MIN_SAMPLES - clip.size)))
        language = self.info.languages.of_request(hints.language)
        # The binding keeps parameters for later calls: without an empty prompt, the last prompt would stay.
        call_options: dict[str, object] = {"initial_prompt": hints.prompt or "", "translate": False}
        call_options |= self._call_options
        if hints.translate:
            call_options["translate"] = True
        try:
            with _collect_native_errors() as errors:
                if language is None:
                    (language, _probability), _all = model.auto_detect_language(padded)
                found = model.transcribe(padded, language=language, extract_probability=True, **call_options)
        except RuntimeError as error:
            raise TranscriptionFailed(f"engine {ENGINE}: {error}") from error
        if errors:
            raise TranscriptionFailed(f"engine {ENGINE}: {errors[0]}")
        duration_s = clip.size / SAMPLE_RATE_HZ
        segments = tuple(
            timed_text(
                text,
                segment.t0 / 100,
                segment.t1 / 100,
                duration_s=duration_s,
                confidence=None if math.isnan(segment.probability) else float(min(1.0, segment.probability)),
            )
            for segment in found
            if (text := segment.text.strip()) and text != _NO_SPEECH
        )
        return Transcript(text=" ".join(s.text for s in segments), language=language, segments=segments)


def load(config: EngineConfig) -> WhisperCpp:
    """Load the model that `config` names. `options.model` wins over it at loading, `options.transcribe` at each call.

    Raises:
        SettingError: The language, the beam size or an option is unknown, of the wrong type or impossible.
        EngineUnavailable: The package or the model file is missing or unfit.
    """
    options = decode(WhisperCppOptions, config.options, engine=ENGINE)
    loading = decode(LoadOptions, options.model, engine=ENGINE, prefix="model.")
    calling = decode(CallOptions, options.transcribe, engine=ENGINE, prefix="transcribe.")
    if config.beam_size > _MAX_BEAMS:
        raise SettingError(f"engine {ENGINE}: beam_size {config.beam_size} is above whisper.cpp's {_MAX_BEAMS}")
    whisper, native = _import("pywhispercpp.model"), _import("_pywhispercpp")
    logging.getLogger("pywhispercpp").setLevel(logging.WARNING)  # it logs each call at INFO
    native.whisper_log_set(_log)
    atexit.register(native.whisper_log_set, None)  # else the binding calls into an ended interpreter

    constants = _import("pywhispercpp.constants")
    path = find_model(
        loading.model or config.model or _DEFAULT_MODEL,
        engine=ENGINE,
        known=constants.AVAILABLE_MODELS,
        download_root=Path(loading.models_dir) if loading.models_dir else config.download_root,
        default_folder=constants.MODELS_DIR,
    )
    languages = whisper.Model.available_languages() if is_multilingual(path, engine=ENGINE) else ENGLISH_ONLY
    language = choose_language(calling.language or config.language, languages, engine=ENGINE, model=path)
    offers_cuda = "CUDA" in str(whisper.Model.system_info())
    device, notice = choose_device(
        config.device,
        engine=ENGINE,
        cuda_devices=config.gpu_device_index + 1 if offers_cuda else 0,  # whisper.cpp does not say how many there are
        without_cuda="the installed pywhispercpp has no CUDA",
    )
    use_gpu = config.device != "cpu" and (offers_cuda or config.device == "auto")  # there are GPUs other than CUDA's

    arguments = _load_arguments(config, use_gpu=use_gpu) | loading.parameters
    call_options = calling.parameters
    of_binding = inspect.signature(whisper.Model).parameters.keys() - {"model", "models_dir", "params"}
    of_whisper_cpp = {name: value for name, value in arguments.items() if name not in of_binding}
    _check_parameters(native, of_whisper_cpp, prefix="model.")
    _check_parameters(native, call_options, prefix="transcribe.")
    for name in ("initial_prompt", "translate"):  # each call sets them, so these have to be arguments of each call
        if name in arguments:
            call_options.setdefault(name, arguments.pop(name))
    if calling.n_processors > 1:
        call_options["n_processors"] = calling.n_processors

    info = EngineInfo(
        engine=ENGINE,
        model=str(path),
        device=device,
        notice=notice,
        devices=CPU_AND_CUDA if offers_cuda else ("cpu",),
        languages=LanguageSupport(
            known=tuple(sorted(languages)), loaded=language, per_request=len(languages) > 1, detects=True
        ),
        prompt=True,
        translates=len(languages) > 1,
        times="segments",
    )
    model = _open_model(whisper, path, arguments)
    return WhisperCpp(model, info=info, normalize=config.normalize_audio, call_options=call_options)


def _import(module: str) -> Any:
    return import_backend(module, engine=ENGINE, package="pywhispercpp")


def _load_arguments(config: EngineConfig, *, use_gpu: bool) -> dict[str, object]:
    """Arguments of `pywhispercpp.Model`, as the settings ask."""
    beams = config.beam_size > 1
    arguments: dict[str, object] = {
        "n_threads": config.num_threads,
        "print_progress": False,
        "print_realtime": False,
        "print_timestamps": False,
        "params_sampling_strategy": int(beams),
        "greedy": {"best_of": 1},
        "context_params": {"use_gpu": use_gpu, "gpu_device": config.gpu_device_index if use_gpu else 0},
    }
    if beams:
        arguments["beam_search"] = {"beam_size": config.beam_size, "patience": -1.0}
    return arguments


def _open_model(whisper: Any, path: Path, arguments: Mapping[str, object]) -> Any:
    """Load the model file.

    Raises:
        SettingError: An argument has the wrong type.
        EngineUnavailable: whisper.cpp cannot load the file.
    """
    try:
        with _collect_native_errors() as errors:
            model = whisper.Model(str(path), **arguments)
    except TypeError as error:
        raise SettingError(f"engine {ENGINE}: an option of `model` is not valid: {first_line(error)}") from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EngineUnavailable(f"engine {ENGINE}: whisper.cpp cannot load {path}: {error}") from error
    if errors:
        # The binding returns a model even then, and using it would end the process.
        raise EngineUnavailable(f"engine {ENGINE}: whisper.cpp cannot load {path}: {errors[0]}")
    return model


def _check_parameters(native: Any, values: Mapping[str, object], *, prefix: str) -> None:
    """Try parameters on a set of parameters that is thrown away.

    Raises:
        SettingError: whisper.cpp has no such parameter, or not of this type.
    """
    trial = native.whisper_full_default_params(native.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
    for name, value in values.items():
        try:
            if name in _NOT_OPTIONS or "callback" in name or callable(getattr(trial, name, None)):
                raise AttributeError(name)  # noqa: TRY301 - one message for every name that does not exist
            if name == "no_context" and not value:
                raise option_error(ENGINE, f"{prefix}{name}", "must be true: no clip may prime the next")
            setattr(trial, name, value)
        except AttributeError as error:
            raise option_error(ENGINE, f"{prefix}{name}", "does not exist") from error
        except (TypeError, ValueError, RuntimeError, KeyError) as error:
            raise option_error(ENGINE, f"{prefix}{name}", f"does not take {value!r}") from error


def _log(level: int, text: str) -> None:
    """Receive a message of whisper.cpp, on the thread that caused it."""
    message = text.strip()
    if not message:
        return
    errors = _native_errors.get()
    if errors is not None and (level == _LOG_ERROR or _EMPTY_MODEL in message):
        errors.append(message)
    _logger.debug("%s", message)


@contextmanager
def _collect_native_errors() -> Iterator[list[str]]:
    """Collect the errors that whisper.cpp logs on this thread, because the binding ignores its return codes."""
    errors: list[str] = []
    token = _native_errors.set(errors)
    try:
        yield errors
    finally:
        _native_errors.reset(token)
