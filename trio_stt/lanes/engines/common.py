"""Helpers that every engine adapter uses: import a backend, check and scale clips, find files.

It must not know any backend.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import Request
from trio_stt.runtime.packages import install_command, install_hint

_NORMALIZED_PEAK = 0.95


def import_backend(module: str, *, engine: str, package: str, extra: str = "", install: str = "") -> Any:
    """Import a backend's module.

    Args:
        module: Its name.
        engine: Canonical engine name, for messages.
        package: The package that contains it, for messages.
        extra: The extra of trio-stt that brings it; without one it is installed by the package's name.
        install: The command that installs it, if neither does.

    Raises:
        EngineUnavailable: It is not installed, or cannot be loaded; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
        install = install or (install_hint(extra) if extra else install_command(package))
        raise EngineUnavailable(f"engine {engine}: the package {package} {reason}; run `{install}`") from error


def prepare_clips(batch: Sequence[Request], *, engine: str, normalize: bool) -> list[NDArray[np.float32]]:
    """Return the clips checked and, if `normalize`, scaled to a peak of 0.95; digital silence stays as it is.

    Raises:
        TranscriptionFailed: A clip is empty, not float32 of shape (samples,), or holds a value that is not finite.
    """
    return [_prepare_clip(request.samples, engine=engine, normalize=normalize) for request in batch]


def _prepare_clip(clip: NDArray[np.float32], *, engine: str, normalize: bool) -> NDArray[np.float32]:
    if clip.ndim != 1 or clip.dtype != np.float32:
        raise TranscriptionFailed(
            f"engine {engine}: a clip must be float32 of shape (samples,), not {clip.dtype} of shape {clip.shape}"
        )
    if clip.size == 0:
        raise TranscriptionFailed(f"engine {engine}: the clip is empty")
    peak = float(np.max(np.abs(clip)))
    if not np.isfinite(peak):
        raise TranscriptionFailed(f"engine {engine}: the clip holds a sample that is not a finite number")
    if normalize and peak > 0.0:
        return clip * np.float32(_NORMALIZED_PEAK / peak)
    return clip


def resolve_relative(name: str, *, download_root: Path | None, kind: str) -> Path:
    """Return the path for a model name; it need not exist.

    An absolute name is used as it is and `~` expands. A relative one is looked up in `download_root`, then in the
    working directory; when neither has it, the first of the two is returned.

    Args:
        name: Path or name.
        download_root: Folder to look into first, or None.
        kind: `file` or `folder`: what must be there for a place to count.
    """
    path = Path(name).expanduser()
    if path.is_absolute():
        return path
    candidates = [path] if download_root is None else [download_root.expanduser() / path, path]
    exists = Path.is_file if kind == "file" else Path.is_dir
    return next((candidate for candidate in candidates if exists(candidate)), candidates[0])
