"""Finds a whisper.cpp model file, and reads its header. Downloads nothing."""

import struct
from collections.abc import Collection
from pathlib import Path

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.common import resolve_relative

DOWNLOAD_URL = "https://huggingface.co/ggerganov/whisper.cpp"

_MAGIC = 0x67676D6C
_FIRST_MULTILINGUAL_VOCABULARY = 51_865
"""From this vocabulary size on, whisper.cpp treats a model as multilingual; English-only models have 51,864."""


def find_model(
    name: str, *, engine: str, known: Collection[str], download_root: Path | None, default_folder: Path
) -> Path:
    """Return the ggml file for a model name or path.

    Args:
        name: A known model name such as `tiny.en`, the name of its file, or a path (relative: from `download_root`,
            then from here).
        engine: Canonical engine name, for messages.
        known: Names of the models that whisper.cpp publishes.
        download_root: Folder that is searched instead of `default_folder`, or None.
        default_folder: The backend's own folder for models.

    Raises:
        ModelMissing: whisper.cpp publishes the model, but it is not on this machine.
        EngineUnavailable: There is no such file; the message says what to give.
    """
    folder = default_folder if download_root is None else download_root.expanduser()
    if name not in known:
        path = resolve_relative(name, download_root=download_root, kind="file")
        if path.is_file():
            return path
        if _known_name(name) not in known:
            raise EngineUnavailable(
                f"engine {engine}: no model file {path}; give the path of a ggml file or one of"
                f" {', '.join(sorted(known))}"
            )
    known_name = _known_name(name)
    candidates = [folder / f"ggml-{known_name}.bin", folder / f"{known_name}.bin", folder / known_name]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise ModelMissing(
            f"engine {engine}: the model {name} is not in {folder}; fetch ggml-{known_name}.bin from {DOWNLOAD_URL} and"
            " put it there, or give its path as model, or its folder as download_root",
            model=name,
        )
    return found


def _known_name(name: str) -> str:
    return name.removeprefix("ggml-").removesuffix(".bin") if name.startswith("ggml-") else name


def is_multilingual(path: Path, *, engine: str) -> bool:
    """Return whether a ggml file's header says that the model has languages other than English.

    Raises:
        EngineUnavailable: The file cannot be read, or is not a ggml file.
    """
    try:
        with path.open("rb") as file:
            magic, vocabulary = struct.unpack("<Ii", file.read(8))
    except (OSError, struct.error) as error:
        raise EngineUnavailable(f"engine {engine}: cannot read the model file {path}: {error}") from error
    if magic != _MAGIC:
        raise EngineUnavailable(f"engine {engine}: {path} is not a ggml model file of whisper.cpp")
    return bool(vocabulary >= _FIRST_MULTILINGUAL_VOCABULARY)
