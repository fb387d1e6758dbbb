"""What every engine adapter does alike: import its backend, read the user's options, check and scale clips, find files.

It must not know any backend, and must not import trio or threading.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import Request

_NORMALIZED_PEAK = 0.95
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def import_backend(module: str, *, engine: str, package: str, install: str = "") -> Any:
    """Import a backend's module.

    Args:
        module: Its name.
        engine: Canonical engine name, for messages.
        package: The package that has it, for messages.
        install: The command that installs it, where that is not `pip install` with its name.

    Raises:
        EngineUnavailable: It is not installed, or cannot be loaded; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
        raise EngineUnavailable(
            f"engine {engine}: the package {package} {reason}; run `{install or f'pip install {package}'}`"
        ) from error


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
    """Return the path that a model name means; it need not exist.

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


def first_line(error: Exception) -> str:
    """The first line of an error's message that is not blank."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class Options:
    """Reads an engine's own options by type, and refuses those that nobody asked for.

    Args:
        values: The options as the user gave them.
        engine: Canonical engine name, for messages.
        prefix: Where the options are nested, with a final dot, for messages.
    """

    def __init__(self, values: Mapping[str, object], *, engine: str, prefix: str = "") -> None:
        self._values = values
        self._engine = engine
        self._prefix = prefix
        self._known: set[str] = set()

    def error(self, name: str, problem: str) -> SettingError:
        """Make the error that says what is wrong with one option."""
        return SettingError(f"engine {self._engine}: option {self._prefix}{name} {problem}")

    def value(self, name: str) -> object:
        """Return an option as it is, for a backend that checks it itself; missing gives None."""
        return self._get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a string option; missing or null gives the default."""
        value = self._get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"must be a string, not {value!r}")
        return value

    def integer(self, name: str, default: int) -> int:
        """Return a whole number of at least 1, also from a string of digits; missing or null gives the default."""
        value = self._get(name)
        if value is None:
            return default
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise self.error(name, f"must be a whole number of at least 1, not {value!r}")
        return number

    def number(self, name: str, default: float, *, minimum: float, maximum: float = math.inf) -> float:
        """Return a number between two limits, also from a string; missing or null gives the default."""
        value = self._get(name)
        if value is None:
            return default
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not minimum <= number <= maximum or math.isinf(number):
            limits = f"of at least {minimum:g}" if math.isinf(maximum) else f"from {minimum:g} to {maximum:g}"
            raise self.error(name, f"must be a number {limits}, not {value!r}")
        return number

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return a boolean, also from 1, true, yes, on, 0, false, no, off; missing or null gives the default."""
        value = self._get(name)
        if value is None:
            return default
        word = str(value).strip().lower()  # True, False, 1 and 0 are spelled like the words
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise self.error(name, f"must be true or false, not {value!r}")

    def nested(self, name: str) -> "Options":
        """Return the options of an object option; missing or null gives none."""
        return Options(self.mapping(name), engine=self._engine, prefix=f"{self._prefix}{name}.")

    def mapping(self, name: str) -> dict[str, object]:
        """Return an object option as a new dictionary; missing or null gives an empty one."""
        value = self._get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.error(name, f"must be an object, not {value!r}")
        return dict(value)

    def done(self) -> None:
        """Refuse options that were never read.

        Raises:
            SettingError: There is one; the message lists those that exist.
        """
        for name in self._values:
            if name not in self._known:
                raise self.error(name, f"does not exist; there are {', '.join(sorted(self._known))}")

    def _get(self, name: str) -> object:
        self._known.add(name)
        return self._values.get(name)
