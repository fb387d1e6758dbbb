"""Unpacking a model's `.tar.bz2` that somebody else packed: nothing of it gets out of its folder, or fills the disk.

It must not know models, nor fetch anything.
"""

import hashlib
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from trio_stt.errors import ModelError
from trio_stt.models.download import disk_errors

_PIECE_BYTES = 1 << 20
_MAX_MEMBERS = 10_000
_GROWTH = 10
"""Weights shrink to three quarters when packed, lists of tokens to a third: what grows more than this is a trap."""

_ALLOWANCE_BYTES = 64 << 20
"""What even a tiny archive may hold."""


class _Refused(Exception):  # noqa: N818 - it names a state
    """What was packed is no model; the message goes behind the archive's name."""


def unpack(archive: Path, folder: Path) -> dict[str, str]:
    """Unpack an archive that holds one folder, as it is read. One that is refused is deleted.

    Args:
        archive: A `.tar.bz2`.
        folder: An empty folder; the archive's own top folder lies in it afterwards.

    Returns:
        The SHA-256 of every file, by its path inside `folder`, with `/`.

    Raises:
        ModelError: It is not such an archive, it holds what has no place in one, or the disk is full.
    """
    try:
        with tarfile.open(archive, mode="r|bz2") as tar:
            return _unpack(tar, folder, limit_bytes=archive.stat().st_size * _GROWTH + _ALLOWANCE_BYTES)
    except (_Refused, tarfile.TarError, EOFError) as error:
        reason = str(error) if isinstance(error, _Refused) else f"is not a whole .tar.bz2 archive: {error}"
        archive.unlink()
        raise ModelError(f"{archive.name.removesuffix('.part')} {reason}; it was deleted") from error


def _unpack(tar: tarfile.TarFile, folder: Path, *, limit_bytes: int) -> dict[str, str]:
    digests: dict[str, str] = {}
    total_bytes = 0
    for number, member in enumerate(tar, start=1):
        name = _checked(member)
        total_bytes += member.size
        if number > _MAX_MEMBERS or total_bytes > limit_bytes:
            raise _Refused(f"holds more than {_MAX_MEMBERS} files or {limit_bytes >> 20} MiB, as no model of its size")
        with disk_errors(folder):
            if member.isdir():
                (folder / name).mkdir(parents=True, exist_ok=True)
            else:
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 - it is a regular file
                digests[str(name)] = _copy(content, folder / name)
    tops = {PurePosixPath(name).parts[0] for name in digests}
    if len(tops) != 1 or not (folder / tops.pop()).is_dir():
        raise _Refused("does not hold one folder and nothing else")
    return digests


def _checked(member: tarfile.TarInfo) -> PurePosixPath:
    """The path of a member that is a plain file or folder inside the archive."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or set(member.name) & set("\\:\0"):
        raise _Refused(f"holds {member.name!r}, which lies outside its folder")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _Refused(f"holds {member.name!r}, which is neither a file nor a folder")
    return name


def _copy(content: IO[bytes], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
