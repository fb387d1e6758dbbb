"""What every engine adapter uses: its base class, the import of a backend, and the search for files.

It must not know any backend.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, TranscriptionFailed, first_line
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Hints, Request, Transcript
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.languages import language_code
from trio_stt.models.catalogue import languages_of
from trio_stt.runtime.packages import install_command, install_hint

Clip = NDArray[np.float32]

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


class ClipEngine(ABC):
    """Base of the adapters: one that transcribes whole clips. Implements `Engine`.

    Args:
        model: The loaded model, whatever the backend makes of one.
        info: What was loaded, and where.
        normalize: Scale the peak of each clip to 0.95.
    """

    def __init__(self, model: Any, *, info: EngineInfo, normalize: bool) -> None:
        self._loaded = model
        self._info = info
        self._normalize = normalize

    @property
    def info(self) -> EngineInfo:
        """What was loaded, and where."""
        return self._info

    @property
    def model(self) -> Any:
        """The loaded model.

        Raises:
            TranscriptionFailed: It was closed.
        """
        if self._loaded is None:
            raise TranscriptionFailed(f"engine {self._info.engine}: it was closed")
        return self._loaded

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`."""
        model, engine = self.model, self._info.engine
        clips = [prepare_clip(request.samples, engine=engine, normalize=self._normalize) for request in batch]
        return self._transcribe(model, clips, batch[0].hints)

    def close(self) -> None:
        """Free the model. Calling it again does nothing."""
        self._loaded = None

    def failure(self, error: Exception) -> TranscriptionFailed:
        """The error to raise for an error of the backend."""
        return TranscriptionFailed(f"engine {self._info.engine}: {first_line(error)}")

    @abstractmethod
    def _transcribe(self, model: Any, clips: Sequence[Clip], hints: Hints) -> list[Transcript]:
        """Transcribe clips, each checked and scaled, with `model`. Returns one transcript for each, in order."""


def languages_without_choice(config: EngineConfig, *names: str) -> LanguageSupport:
    """The languages of a model that takes none: those of the catalogue, or else the one that the setting names.

    Args:
        config: Of the engine.
        names: Of the model, and of its file or folder.
    """
    known = languages_of(config.engine, config.model, *names)
    if not known:
        return LanguageSupport(assumed=language_code(config.language or "") or None)
    return LanguageSupport(known=known, loaded=known[0] if len(known) == 1 else None)


def prepare_clip(clip: Clip, *, engine: str, normalize: bool = False) -> Clip:
    """Return a clip checked and, if `normalize`, scaled to a peak of 0.95; digital silence stays as it is.

    Raises:
        TranscriptionFailed: It is empty, not float32 of shape (samples,), or holds a value that is not finite.
    """
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
