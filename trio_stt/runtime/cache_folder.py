"""The folder for what can be made again: compiled kernels, and downloaded models unless a setting names their folder.

Containers and services with `DynamicUser=yes` may have neither a home nor a package folder that can be written.
"""

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

_APP = "trio-stt"
_KERNELS = Path(__file__).parents[1] / "dsp"
"""The package folder whose functions Numba compiles."""


def cache_folder() -> Path:
    """The first writable one of these folders; it need not exist.

    The cache folder that systemd gives the service, the user's cache, the state folder that systemd gives the service,
    and a temporary folder that belongs to this user alone.
    """
    candidates = (_of_service("CACHE_DIRECTORY"), _of_user(), _of_service("STATE_DIRECTORY"))
    return next((folder for folder in candidates if folder and _can_write(folder)), None) or _temporary()


def prepare_kernel_cache() -> None:
    """Set `NUMBA_CACHE_DIR` if Numba cannot keep compiled kernels beside the package; it raises without a folder.

    Must run before the first kernel is defined. Kernels that were compiled beside the package, as when a container
    image is built, are copied: Numba uses no folder that it cannot write.

    Raises:
        SystemExit: No folder can be written; one line says so. No command works then.
    """
    beside = _KERNELS / "__pycache__"
    if "NUMBA_CACHE_DIR" in os.environ or _can_write(beside):
        return
    compiled = [file for suffix in ("nbi", "nbc") for file in beside.glob(f"*.{suffix}")]
    try:
        folder = cache_folder() / "kernels"
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
        if compiled:
            _seed(folder, compiled)
    except OSError as error:  # nothing can be written, the temporary folder included, or the disk is full
        message = f"trio-stt: no folder for compiled kernels: {error}; name a writable one with NUMBA_CACHE_DIR"
        raise SystemExit(message) from None


def _seed(folder: Path, compiled: list[Path]) -> None:
    """Copy compiled kernels to where Numba looks for them below `NUMBA_CACHE_DIR`, unless they are there."""
    from numba.core.caching import _CacheLocator  # noqa: PLC0415 - it would delay every command

    subfolder: str = _CacheLocator.get_suitable_cache_subpath(str(_KERNELS / "kernels.py"))  # type: ignore[no-untyped-call] # Numba has no types
    place = folder / subfolder
    if not place.exists():
        place.mkdir(parents=True)
        for file in compiled:
            shutil.copy2(file, place)


def _of_service(variable: str) -> Path | None:
    first = os.environ.get(variable, "").partition(":")[0]  # a unit may name several folders
    return Path(first) if first else None


def _of_user() -> Path | None:
    try:
        return user_cache_path(_APP)
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None


def _can_write(folder: Path) -> bool:
    """Whether the folder, or the first one above it that exists, can be written. Creates nothing."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


@cache
def _temporary() -> Path:
    """A private temporary folder, the same at each start, so that kernels are compiled once.

    Numba executes what it finds in its cache, so a folder that another user could have made is not used.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0  # elsewhere, the temporary folder is the user's own
    folder = Path(tempfile.gettempdir()) / f"{_APP}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    is_private = not hasattr(os, "getuid") or (status.st_uid == user and not status.st_mode & 0o077)
    return folder if is_private and not folder.is_symlink() else Path(tempfile.mkdtemp(prefix=f"{_APP}-"))
