"""Kroko's `.data` files: finds the file, reads it, and unpacks the four files that sherpa-onnx needs.

A file is a header and four blocks: encoder, decoder, joiner (ONNX) and tokens. Each of the five begins with its length
in bytes, unsigned, 32 bits, little-endian. The header is a JSON object; if its `free` is false, the blocks are
encrypted. No length is trusted.
"""

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes.engines.common import resolve_relative

DEFAULT_MODEL = "Kroko-EN-Community-64-L-Streaming-001.data"
"""The community model that the reference server loads by default."""

HUB_URL = "https://huggingface.co/Banafo/Kroko-ASR"
"""Where the community models are."""

BLOCKS = {"encoder": "encoder.onnx", "decoder": "decoder.onnx", "joiner": "joiner.onnx", "tokens": "tokens.txt"}
"""Each block, in order, and the name of its unpacked file."""

_REFERENCE_CACHE = Path("~/.cache/realtimestt/kroko-onnx")
"""The reference server's folder for downloads."""

_LENGTH = struct.Struct("<I")
_LONGEST_HEADER_BYTES = 65_536
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KrokoFile:
    """A `.data` file whose lengths are consistent.

    Attributes:
        path: The file.
        free: Whether it can be read without a key.
        model_type: The kind of transducer, as icefall names it, or empty.
        blocks: Name of each block → its first byte and its length; empty if the file is encrypted.
    """

    path: Path
    free: bool
    model_type: str
    blocks: dict[str, tuple[int, int]]

    def unpack(self, folder: Path) -> None:
        """Write the blocks into an empty folder, as `BLOCKS` names them.

        Raises:
            OSError: A file cannot be read or written.
        """
        with self.path.open("rb") as source:
            for name, (start, length) in self.blocks.items():
                source.seek(start)
                with (folder / BLOCKS[name]).open("xb") as target:
                    _copy(source, target, length)


def read_file(path: Path, *, engine: str, model: str) -> KrokoFile:
    """Read a file's header and the positions of its blocks; `model` is the name that led to it.

    Raises:
        ModelMissing: There is no such file.
        EngineUnavailable: It cannot be read, ends early, or is not a Kroko model.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            header = _header(file, size)
            free = str(header.get("free", True)).strip().lower() != "false"
            blocks = _blocks(file, size) if free else {}
            kind = header.get("type", "")
            return KrokoFile(path=path, free=free, model_type=kind if isinstance(kind, str) else "", blocks=blocks)
    except FileNotFoundError as error:
        raise ModelMissing(
            f"engine {engine}: there is no model file {path}; fetch {DEFAULT_MODEL} (or another one) from {HUB_URL}"
            " and give its path as model",
            model=model,
        ) from error
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"engine {engine}: {path} is not a Kroko model: {error}") from error


def find_file(
    *, model: str, download_root: Path | None, named: str = "", folder: str = "", file_name: str = ""
) -> Path:
    """The file that the options and the model's name mean; it need not exist.

    Args:
        model: Name or path of the model.
        download_root: Folder from which relative names start, or None.
        named: The option that names the file.
        folder: The option that names its folder.
        file_name: The option that names the file in that folder.
    """
    if named:
        return _under(named, download_root)
    if folder:
        return _in_folder(_under(folder, download_root), file_name or DEFAULT_MODEL)
    path = resolve_relative(model, download_root=download_root, kind="file")
    kept = _REFERENCE_CACHE.expanduser() / model
    bare = download_root is None and Path(model).name == model
    return kept if bare and not path.is_file() and kept.is_file() else path


def language_of(path: Path) -> str | None:
    """The language in a file's name, `Kroko-XX-…`, or None."""
    first, _, rest = path.name.partition("-")
    code, dash, _ = rest.partition("-")
    return code.lower() if first == "Kroko" and dash and len(code) == len("XX") and code.isalpha() else None


def _under(name: str, root: Path | None) -> Path:
    path = Path(name).expanduser()
    return path if root is None else root.expanduser() / path


def _in_folder(folder: Path, name: str) -> Path:
    if folder.suffix == ".data" or (folder / name).is_file():
        return folder if folder.suffix == ".data" else folder / name
    others = sorted(folder.glob("*.data"))
    return others[0] if len(others) == 1 else folder / name


def _header(file: BinaryIO, size: int) -> dict[str, object]:
    length = _length(file, "header", size)
    if not 0 < length <= _LONGEST_HEADER_BYTES:
        raise ValueError(f"its header would have {length} bytes")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is not JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")  # noqa: TRY004 - the file is wrong, not the caller
    return header


def _blocks(file: BinaryIO, size: int) -> dict[str, tuple[int, int]]:
    blocks = {}
    for name in BLOCKS:
        length = _length(file, name, size)
        if not length:
            raise ValueError(f"its {name} is empty")
        blocks[name] = (file.tell(), length)
        file.seek(length, os.SEEK_CUR)
    if size != file.tell():
        raise ValueError(f"{size - file.tell()} bytes follow its tokens")
    return blocks


def _length(file: BinaryIO, what: str, size: int) -> int:
    """Read the length of the part that begins here; the whole part must follow."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise ValueError(f"it ends before its {what}")
    length: int = _LENGTH.unpack(head)[0]
    if length > size - file.tell():
        raise ValueError(f"its {what} should have {length} bytes, but only {size - file.tell()} follow")
    return length


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length:
        part = source.read(min(length, _COPY_BYTES))
        if not part:
            raise OSError("it became shorter while it was read")
        target.write(part)
        length -= len(part)
