"""Chooses an engine's device, precision and language from the settings; every adapter asks here.

It must not know any backend: the adapter says what its backend has.
"""

from collections.abc import Callable, Collection
from typing import TypeVar

from trio_stt.errors import EngineError, SettingError
from trio_stt.languages import language_code

T = TypeVar("T")

CPU_AND_CUDA = ("cpu", "cuda")
HALF_PRECISIONS = ("float16", "bfloat16")
MAX_BATCH_ON_CUDA = 32
"""Clips that a GPU transcribes at once with profit. On a CPU a clip of a batch costs what it costs alone (Whisper
tiny.en on one core: 0.28, 0.27 and 0.25 s for a second of audio in batches of 1, 4 and 8), so a batch there would only
delay the first clip. `benchmarks/engine_batches.py` measures both."""

ENGLISH_ONLY = ("en",)
_FOR_EXAMPLE = "for example --engine faster_whisper --model small"
"""The catalogue's first choice for most languages."""

_PRECISION_SPELLINGS = {"": "default", "fp16": "float16", "half": "float16", "fp32": "float32", "bf16": "bfloat16"}


def choose_device(
    wanted: str, *, engine: str, cuda_devices: int, without_cuda: str, index: int = 0
) -> tuple[str, str | None]:
    """Return `cpu` or `cuda`, and a notice if that is not what was asked for.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        engine: Canonical engine name, for messages.
        cuda_devices: CUDA devices that the backend can use.
        without_cuda: Why there are none, for the notice.
        index: The CUDA device that was asked for, counted from 0.

    Raises:
        SettingError: `wanted` is none of the three, or there is no such device.
    """
    if wanted not in ("auto", *CPU_AND_CUDA):
        raise SettingError(f"engine {engine}: device {wanted!r} must be auto, {' or '.join(CPU_AND_CUDA)}")
    if wanted == "cpu" or not cuda_devices:
        return "cpu", f"engine {engine}: {without_cuda}, so it runs on the CPU" if wanted == "cuda" else None
    if index >= cuda_devices:
        raise SettingError(
            f"engine {engine}: gpu_device_index {index} is beyond the {cuda_devices} CUDA devices, from 0 on"
        )
    return "cuda", None


def open_or_fall_back(open_on: Callable[[str, str | None], T], device: str, notice: str | None, *, engine: str) -> T:
    """Open a model on a device, or on the CPU if CUDA does not work.

    Args:
        open_on: Opens it on the given device and makes sure that it works there, with a notice for `EngineInfo`.
        device: `cpu` or `cuda`, from `choose_device`, as the next.
        notice: Passed to `open_on`.
        engine: Canonical engine name, for messages.

    Raises:
        EngineError: `open_on` raised it for the CPU, too.
    """
    if device == "cuda":
        try:
            return open_on(device, notice)
        except EngineError as error:
            device, notice = "cpu", f"engine {engine}: CUDA does not work, so it runs on the CPU: {error}"
    return open_on(device, notice)


def precision_name(wanted: str, *, engine: str, known: Collection[str]) -> str:
    """Return the canonical name of a precision; `auto` and nothing mean `default`.

    Raises:
        SettingError: It is not one of `known`.
    """
    spelled = wanted.strip().lower()
    name = _PRECISION_SPELLINGS.get(spelled, spelled)
    if name not in known:
        raise SettingError(f"engine {engine}: compute_type {wanted!r} must be one of {', '.join(known)}")
    return "default" if name == "auto" else name


def choose_language(
    wanted: str | None, known: Collection[str], *, engine: str, model: object, required: bool = False
) -> str | None:
    """Return the code of the language to transcribe, or None if the model is to detect it.

    Args:
        wanted: A language by any of its names, or nothing.
        known: Codes that the model has; with English alone, no language means English.
        engine: Canonical engine name, for messages.
        model: The model's name or path, for messages.
        required: The model cannot detect the language.

    Raises:
        SettingError: The model does not have the language, or needs one.
    """
    language = language_code(wanted or "")
    if language in known:
        return language
    if tuple(known) == ENGLISH_ONLY:
        if language:
            raise SettingError(
                f"engine {engine}: language {wanted!r} needs a multilingual model, {_FOR_EXAMPLE};"
                f" {model} is English-only"
            )
        return ENGLISH_ONLY[0]
    if language or required:
        problem = f"language {wanted!r} is unknown to {model}" if language else f"{model} needs a language"
        raise SettingError(f"engine {engine}: {problem}; it has {', '.join(sorted(known))}")
    return None
