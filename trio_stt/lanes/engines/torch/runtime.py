"""What every adapter over PyTorch does alike: import it, choose a device and a precision, give memory back.

It must not know any model, must not import trio, and imports torch only when an engine is loaded.
"""

import gc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.common import Options, import_backend

MIN_SAMPLES = SAMPLE_RATE_HZ // 2
"""Shorter clips are filled up with zeros: encoders fail on less than a frame or two."""

MAX_BATCH_ON_CUDA = 32
"""Clips that a GPU takes at once with profit. On a CPU a clip of a batch costs what it costs alone (Whisper tiny.en on
one core: 0.28, 0.27 and 0.25 s for a second of audio in batches of 1, 4 and 8), so there a batch would only make the
first wait for the last. `benchmarks/engine_batches.py` measures both."""

_SPELLINGS = {"fp16": "float16", "half": "float16", "fp32": "float32", "bf16": "bfloat16"}
HALVES = ("float16", "bfloat16")
"""Precisions of half the size."""

_PRECISIONS = ("default", "auto", "float32", *HALVES)
_QUANTISED = ("int8", "int16")


def import_torch(*, engine: str) -> Any:
    """Import torch.

    Raises:
        EngineUnavailable: It is not installed, or cannot be loaded; the message says what to install.
    """
    return import_backend("torch", engine=engine, package="torch")


def choose_device(wanted: str, *, engine: str, index: int, torch: Any) -> tuple[str, str | None]:
    """Return the device as torch spells it, `cpu` or `cuda:N`, and a notice if that is not what was asked.

    Raises:
        SettingError: `wanted` is not `auto`, `cpu` or `cuda`, or there is no such device.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise SettingError(f"engine {engine}: device {wanted!r} must be auto, cpu or cuda")
    count = torch.cuda.device_count() if "cuda" in devices(torch) else 0
    if wanted == "cpu" or not count:
        notice = f"engine {engine}: PyTorch finds no CUDA device, so it runs on the CPU"
        return "cpu", notice if wanted == "cuda" else None
    if index >= count:
        raise SettingError(f"engine {engine}: gpu_device_index {index} is beyond the {count} CUDA devices, from 0 on")
    return f"cuda:{index}", None


def devices(torch: Any) -> tuple[str, ...]:
    """Where the installed torch could run."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def precision(wanted: str, *, engine: str) -> str:
    """Return a precision's name: `default`, `float32`, `float16` or `bfloat16`.

    Raises:
        SettingError: There is no such precision, or it is for quantised models.
    """
    spelled = wanted.strip().lower()
    name = _SPELLINGS.get(spelled, spelled) or "default"
    if name.startswith(_QUANTISED):
        raise SettingError(
            f"engine {engine}: compute_type {wanted!r} needs a quantised model, which PyTorch does not make of this"
            " one; take float16 or bfloat16, or an engine over CTranslate2 or sherpa-onnx"
        )
    if name not in _PRECISIONS:
        raise SettingError(f"engine {engine}: compute_type {wanted!r} must be one of {', '.join(_PRECISIONS)}")
    return "default" if name == "auto" else name


def check_sample_rate(options: Options) -> None:
    """Refuse any other rate than that of every clip.

    Raises:
        SettingError: The option `sample_rate` names one.
    """
    if options.integer("sample_rate", SAMPLE_RATE_HZ) != SAMPLE_RATE_HZ:
        raise options.error("sample_rate", f"must be {SAMPLE_RATE_HZ}: every clip that reaches an engine has this rate")


def pad_short(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a clip of at least `MIN_SAMPLES`, float32, shape (n,)."""
    return np.pad(clip, (0, max(0, MIN_SAMPLES - clip.size)))


def give_memory_back(torch: Any) -> None:
    """Free what closed models held: they are full of cycles, and the GPU's share stays with torch."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
