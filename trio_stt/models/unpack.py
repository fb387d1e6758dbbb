"""Unpacks the `.tar.bz2` of a model, which is not trusted: nothing leaves its folder, and its size is limited."""

import hashlib
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from trio_stt.errors import ModelError
from trio_stt.models.download import disk_errors

_PIECE_BYTES = 1 << 20
_MAX_MEMBERS = 10_000
_GROWTH = 10
"""Largest growth while unpacking. Packed weights have three quarters of their size, token lists a third; more than
this is an attack."""

_ALLOWANCE_BYTES = 64 << 20
"""Unpacked size that even a tiny archive may have."""


class _RejectedArchive(Exception):  # noqa: N818 - a state, never raised to a caller
    """The archive is not a model; the message follows the archive's name."""


def unpack(archive: Path, folder: Path) -> dict[str, str]:
    """Unpack an archive that holds one folder, while it is read. A rejected archive is deleted.

    Args:
        archive: A `.tar.bz2`.
        folder: An empty folder; afterwards it holds the archive's top folder.

    Returns:
        The SHA-256 of every file, by its path inside `folder`, with `/`.

    Raises:
        ModelError: It is not such an archive, it holds forbidden entries, or the disk is full.
    """
    try:
        with tarfile.open(archive, mode="r|bz2") as tar:
            return _unpack(tar, folder, limit_bytes=archive.stat().st_size * _GROWTH + _ALLOWANCE_BYTES)
    except (_RejectedArchive, tarfile.TarError, EOFError) as error:
        reason = str(error) if isinstance(error, _RejectedArchive) else f"is not a whole .tar.bz2 archive: {error}"
        archive.unlink()
        raise ModelError(f"{archive.name.removesuffix('.part')} {reason}; it was deleted") from error


def _unpack(tar: tarfile.TarFile, folder: Path, *, limit_bytes: int) -> dict[str, str]:
    digests: dict[str, str] = {}
    total_bytes = 0
    for number, member in enumerate(tar, start=1):
        name = _checked(member)
        total_bytes += member.size
        if number > _MAX_MEMBERS or total_bytes > limit_bytes:
            raise _RejectedArchive(
                f"holds more than {_MAX_MEMBERS} files or {limit_bytes >> 20} MiB, too much for its size"
            )
        with disk_errors(folder):
            if member.isdir():
                (folder / name).mkdir(parents=True, exist_ok=True)
            else:
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 - it is a regular file
                digests[str(name)] = _copy(content, folder / name)
    tops = {PurePosixPath(name).parts[0] for name in digests}
    if len(tops) != 1 or not (folder / tops.pop()).is_dir():
        raise _RejectedArchive("does not hold one folder and nothing else")
    return digests


def _checked(member: tarfile.TarInfo) -> PurePosixPath:
    """The path of a member that is a plain file or folder inside the archive."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or set(member.name) & set("\\:\0"):
        raise _RejectedArchive(f"holds {member.name!r}, which lies outside its folder")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _RejectedArchive(f"holds {member.name!r}, which is neither a file nor a folder")
    return name


def _copy(content: IO[bytes], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
