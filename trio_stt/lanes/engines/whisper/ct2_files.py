"""Finds a Whisper model for CTranslate2: a folder, or a name on the Hugging Face hub."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trio_stt.errors import EngineUnavailable, first_line
from trio_stt.lanes.engines.common import resolve_relative
from trio_stt.lanes.engines.hub import HUB_NAME, NotAvailable, fetch_model

_NEEDED = ("model.bin", "tokenizer.json")
"""Without the second file, faster-whisper would request one from the hub, and fail without a network."""


def find_model(
    name: str, *, engine: str, known: list[str], download: Callable[..., Any], download_root: Path | None, offline: bool
) -> Path:
    """Return the folder for a model name or path, after a download if necessary.

    Args:
        name: A path (relative: from `download_root`, then from here), one of `known`, or `owner/name` on the hub.
        engine: Canonical engine name, for messages.
        known: Short names of the models that faster-whisper publishes.
        download: faster-whisper's `download_model`.
        download_root: Cache folder for downloads instead of the hub's own.
        offline: Use only files on this machine.

    Raises:
        ModelMissing: It is not on this machine, and cannot be downloaded.
        EngineUnavailable: There is no such model; the message says what to give.
    """
    folder = resolve_relative(name, download_root=download_root, kind="folder")
    if folder.is_dir():
        if lacks := _lacks(folder):
            raise EngineUnavailable(
                f"engine {engine}: {folder} has no {' and no '.join(lacks)}; give the folder of a model that was"
                " converted for CTranslate2, or one of " + ", ".join(known)
            )
        return folder
    if name not in known and not HUB_NAME.fullmatch(name):
        raise EngineUnavailable(
            f"engine {engine}: no model folder {folder}; give the folder of a model that was converted for CTranslate2,"
            f" owner/name on the Hugging Face hub, or one of {', '.join(known)}"
        )
    cache = None if download_root is None else str(download_root.expanduser())

    def fetch(cached_only: bool) -> Path:
        try:
            folder = Path(download(name, cache_dir=cache, local_files_only=cached_only))
        except (OSError, ValueError) as error:
            raise NotAvailable(first_line(error)) from error
        if lacks := _lacks(folder):  # an interrupted download leaves an incomplete folder
            raise NotAvailable(f"{folder} has no {' and no '.join(lacks)}")
        return folder

    return fetch_model(name, engine=engine, offline=offline, fetch=fetch)


def _lacks(folder: Path) -> list[str]:
    return [file for file in _NEEDED if not (folder / file).is_file()]
