"""Unpacks the `.tar.bz2` of a model, which is not trusted: nothing leaves its folder, and its size is limited.

The limits count what is decompressed, while it is decompressed: neither the sizes that the archive states nor the size
of its headers decide how much memory or disk it takes.
"""

import bz2
import hashlib
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, cast

from trio_stt.errors import ModelError
from trio_stt.models.download import disk_errors

_PIECE_BYTES = 1 << 20
_MAX_MEMBERS = 10_000
_MAX_NAME_CHARACTERS = 200
"""Longer than any path in the archives of the catalogue; `tarfile` and folders go through each part of a name."""
_GROWTH = 10
"""Largest growth while unpacking. Packed weights have three quarters of their size, token lists a third; more than
this is an attack."""

_ALLOWANCE_BYTES = 64 << 20
"""Unpacked size that even a tiny archive may have."""

_NOT_WHOLE = "is not a whole .tar.bz2 archive"
_HEADER_BYTES = 1 << 16
"""Bytes that the headers of one entry may take: `tarfile` keeps a long name or a PAX header in memory as a whole, and
calls itself for each of them."""


class _RejectedArchive(Exception):  # noqa: N818 - a state, never raised to a caller
    """The archive is not a model; the message follows the archive's name."""


class _CountedReader:
    """The decompressed archive, which raises an error if more is read than is allowed so far.

    `tarfile` decompresses a whole buffer at once, and 10 KB of bzip2 can hold gigabytes; `bz2.BZ2File` returns no more
    than the caller asks for.
    """

    def __init__(self, source: bz2.BZ2File) -> None:
        self._source = source
        self._left_bytes = 0

    def allow(self, size_bytes: int) -> None:
        """Allow this many further bytes to be read; an earlier allowance that was not used expires."""
        self._left_bytes = size_bytes + 2 * tarfile.RECORDSIZE  # it reads ahead to the end of a record

    def read(self, size_bytes: int) -> bytes:
        """The next bytes, at most `size_bytes`.

        Raises:
            _RejectedArchive: More was read than is allowed, or it is not bzip2.
            OSError: The disk fails.
        """
        try:
            content = self._source.read(min(size_bytes, _PIECE_BYTES))
        except (OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise _RejectedArchive(f"{_NOT_WHOLE}: {error}") from error
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise _RejectedArchive(f"holds an entry with a header of more than {_HEADER_BYTES >> 10} KiB")
        return content


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
    limit_bytes = archive.stat().st_size * _GROWTH + _ALLOWANCE_BYTES
    try:
        with bz2.open(archive) as source:
            reader = _CountedReader(source)
            reader.allow(_HEADER_BYTES)
            # A stream, so that nothing is read twice; its type is declared as a whole file, but only `read` is used.
            with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|") as tar:
                return _unpack(tar, reader, folder, limit_bytes=limit_bytes)
    except (_RejectedArchive, tarfile.TarError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _RejectedArchive) else f"{_NOT_WHOLE}: {error}"
        archive.unlink()
        raise ModelError(f"{archive.name.removesuffix('.part')} {reason}; it was deleted") from error


def _unpack(tar: tarfile.TarFile, reader: _CountedReader, folder: Path, *, limit_bytes: int) -> dict[str, str]:
    digests: dict[str, str] = {}
    total_bytes = 0
    for number, member in enumerate(tar, start=1):
        name = _checked(member)
        total_bytes += member.size
        if number > _MAX_MEMBERS or total_bytes > limit_bytes:
            raise _RejectedArchive(
                f"holds more than {_MAX_MEMBERS} files or {limit_bytes >> 20} MiB, too much for its size"
            )
        reader.allow(member.size)
        with disk_errors(folder):
            try:
                if member.isdir():
                    (folder / name).mkdir(parents=True, exist_ok=True)
                else:
                    content = tar.extractfile(member)
                    assert content is not None  # noqa: S101 - it is a regular file
                    digests[str(name)] = _copy(content, folder / name)
            except (FileExistsError, NotADirectoryError):
                raise _RejectedArchive(f"holds {member.name!r} twice, or another file in its place") from None
        reader.allow(_HEADER_BYTES)  # of the next entry
    tops = {PurePosixPath(name).parts[0] for name in digests}
    if len(tops) != 1 or not (folder / tops.pop()).is_dir():
        raise _RejectedArchive("does not hold one folder and nothing else")
    return digests


def _checked(member: tarfile.TarInfo) -> PurePosixPath:
    """The path of a member that is a plain file or folder inside the archive."""
    name = PurePosixPath(member.name)
    if len(member.name) > _MAX_NAME_CHARACTERS or not member.name.isprintable():
        raise _RejectedArchive(
            f"holds a name with control characters or with more than {_MAX_NAME_CHARACTERS} characters"
        )
    if not name.parts or name.is_absolute() or ".." in name.parts or set(member.name) & set("\\:\0"):
        raise _RejectedArchive(f"holds {member.name!r}, which lies outside its folder")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _RejectedArchive(f"holds {member.name!r}, which is neither a file nor a folder")
    if member.size < 0:
        raise _RejectedArchive(f"holds {member.name!r} with a size below 0")
    return name


def _copy(content: IO[bytes], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
