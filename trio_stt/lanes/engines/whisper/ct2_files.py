"""Finds a Whisper model for CTranslate2: a folder, or a name on the Hugging Face hub.

Only models that are neither a folder nor in the hub's cache are downloaded.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trio_stt.errors import EngineUnavailable, ModelMissing, first_line
from trio_stt.lanes.engines.common import resolve_relative

_NEEDED = ("model.bin", "tokenizer.json")
"""Without the second file, faster-whisper would request one from the hub, and fail without a network."""

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")

_logger = logging.getLogger(__name__)


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
        ModelMissing: It may exist, but not on this machine.
        EngineUnavailable: There is no such model, or it cannot be downloaded; the message says what to do.
    """
    folder = resolve_relative(name, download_root=download_root, kind="folder")
    if folder.is_dir():
        lacks = _lacks(folder)
        if lacks:
            raise EngineUnavailable(
                f"engine {engine}: {folder} has no {' and no '.join(lacks)}; give the folder of a model that was"
                " converted for CTranslate2, or one of " + ", ".join(known)
            )
        return folder
    if name not in known and not _HUB_NAME.fullmatch(name):
        raise EngineUnavailable(
            f"engine {engine}: no model folder {folder}; give the folder of a model that was converted for CTranslate2,"
            f" owner/name on the Hugging Face hub, or one of {', '.join(known)}"
        )
    cache = None if download_root is None else str(download_root.expanduser())
    problem = ""
    for cached_only in (True,) if offline else (True, False):
        if not cached_only:
            _logger.info("engine %s: downloading the model %s", engine, name)
        try:
            folder = Path(download(name, cache_dir=cache, local_files_only=cached_only))
        except (OSError, ValueError) as error:
            problem = first_line(error)
            continue
        lacks = _lacks(folder)  # an interrupted download leaves an incomplete folder
        if not lacks:
            return folder
        problem = f"{folder} has no {' and no '.join(lacks)}"
    advice = "download it where there is a network, and give its folder as model"
    if offline:
        raise ModelMissing(f"engine {engine}: the model {name} is not on this machine; {advice}", model=name)
    raise EngineUnavailable(
        f"engine {engine}: the model {name} is not on this machine and cannot be downloaded ({problem}); {advice}"
    )


def _lacks(folder: Path) -> list[str]:
    return [file for file in _NEEDED if not (folder / file).is_file()]
