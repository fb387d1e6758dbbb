"""PyTorch for an adapter: import, devices, precisions, and release of memory.

It must not know any model. torch is imported only when an engine is loaded.
"""

import gc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import SettingError
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.common import import_backend
from trio_stt.lanes.engines.selection import HALF_PRECISIONS, precision_name

MIN_SAMPLES = SAMPLE_RATE_HZ // 2
"""Shorter clips are padded with zeros: encoders fail on less than two frames."""

_PRECISIONS = ("default", "auto", "float32", *HALF_PRECISIONS)
_QUANTISED = ("int8", "int16")


def import_torch(*, engine: str) -> Any:
    """Import torch.

    Raises:
        EngineUnavailable: It is not installed, or cannot be loaded; the message says what to install.
    """
    return import_backend("torch", engine=engine, package="torch", extra="transformers")


def cuda_devices(torch: Any) -> int:
    """How many CUDA devices the installed torch can use."""
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def precision(wanted: str, *, engine: str) -> str:
    """Return a precision's name: `default`, `float32`, `float16` or `bfloat16`.

    Raises:
        SettingError: There is no such precision, or it is for quantised models.
    """
    if wanted.strip().lower().startswith(_QUANTISED):
        raise SettingError(
            f"engine {engine}: compute_type {wanted!r} needs a quantised model, which PyTorch does not make of this"
            " one; take float16 or bfloat16, or an engine over CTranslate2 or sherpa-onnx"
        )
    return precision_name(wanted, engine=engine, known=_PRECISIONS)


def pad_short(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a clip of at least `MIN_SAMPLES`, float32, shape (n,)."""
    return np.pad(clip, (0, max(0, MIN_SAMPLES - clip.size)))


def release_memory(torch: Any) -> None:
    """Free the memory of closed models. They contain reference cycles, and torch keeps GPU memory in its cache."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
