"""The source of a sound file's bytes: a file, or a pipe that is first copied to a temporary file.

Decoders need a file that they can seek in: the length of a pipe is unknown, and an MP4 may have its index at the end.
"""

import errno
import os
import re
import stat
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, cast

from trio_stt.errors import AudioFileError

MAX_PIPE_BYTES = 8 << 30
"""Most bytes that are read from a pipe: twice the largest WAV file, so that an endless pipe does not fill the disk."""
_PIECE_BYTES = 1 << 20


def open_source(name: str) -> tuple[BinaryIO, bool]:
    """Open a file by its name; `-` is standard input.

    Returns:
        The file, unbuffered and seekable, and whether it is a copy of something that can be read only once.

    Raises:
        AudioFileError: It cannot be opened or copied.
    """
    if name == "-":
        if sys.stdin is None:
            raise AudioFileError("-: standard input is closed")
        return _copied(sys.stdin.buffer, name), True
    try:
        source = Path(name).open("rb", buffering=0)  # noqa: SIM115 - the decoder keeps it open
    except OSError as error:
        raise AudioFileError(f"{shown_name(name)}: cannot be opened: {error.strerror or error}") from None
    if stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        return source, False
    with source:
        return _copied(source, name), True


def duplicate(source: BinaryIO, *, is_copy: bool) -> BinaryIO:
    """Another open file of the same content, whose position is its own.

    Raises:
        AudioFileError: It cannot be opened or copied.
    """
    try:
        if not is_copy:
            return Path(source.name).open("rb", buffering=0)
        position = source.tell()
        source.seek(0)
        copy = _copied(source, "-")
        source.seek(position)
    except OSError as error:
        raise AudioFileError(f"{source.name}: cannot be opened: {error.strerror or error}") from None
    return copy


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def shown_name(name: str) -> str:
    """A file's name as it can be printed in one line: what is not UTF-8 is replaced, control characters are escaped."""
    printable = name.encode(errors="replace").decode()
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], printable)


def _copied(source: IO[bytes], name: str) -> BinaryIO:
    """A temporary file with the content of a pipe.

    Raises:
        AudioFileError: It is too long, or one of both cannot be read or written.
    """
    try:
        copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the decoder keeps it open
        with ExitStack() as undo:
            undo.callback(copy.close)
            left_bytes = MAX_PIPE_BYTES
            while piece := source.read(_PIECE_BYTES):
                left_bytes -= len(piece)
                if left_bytes < 0:
                    raise AudioFileError(
                        f"{shown_name(name)}: has more than {MAX_PIPE_BYTES >> 30} GiB; save it as a file"
                    )
                if copy.write(piece) < len(piece):  # an unbuffered file on a disk that became full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - reported like the system's
            undo.pop_all()
    except OSError as error:
        reason = error.strerror or error
        raise AudioFileError(f"{shown_name(name)}: cannot be copied to a temporary file: {reason}") from None
    return cast("BinaryIO", copy)
