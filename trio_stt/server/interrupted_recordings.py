"""Completes recordings that a killed server has left as `.part` files. Everything here blocks."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.server.recording_files import DISK_FAULTS, PART, is_being_written, open_private, recordings_in

logger = logging.getLogger(__name__)

_REPAIRED = ".repaired"
_BLOCK_SAMPLES = 4096
"""Samples in a block of libsndfile's FLAC: the readable part of an interrupted file ends with a block."""


def finish_interrupted(folder: Path) -> None:
    """Complete recordings that a killed server has left as `.part` files; those being written now are left alone.

    A recording that cannot be completed is logged, stays as it is, and does not hinder the others.

    Raises:
        OSError: The folder cannot be read.
    """
    for part in sorted(recordings_in(folder)):
        if not part.name.endswith(PART):
            continue
        try:
            if not is_being_written(part):
                _finish(part)
        except DISK_FAULTS as error:
            logger.warning("recording %s: could not be completed, and stays as it is: %s", part.name, error)


def _finish(part: Path) -> None:
    """Complete one file, or remove it where the completed file exists and holds as much.

    Audio is rewritten, because a FLAC file without its length is unreadable to most programs.

    Raises:
        OSError: A file cannot be read or written.
        RuntimeError: libsndfile cannot write a file.
        AssertionError: The same, where libsndfile wrote less than it was given.
    """
    path = part.with_name(part.name.removesuffix(PART))
    if os.path.lexists(path):
        if path.is_symlink() or not path.is_file():
            return  # not ours to replace
        if _content_size(path) >= _content_size(part):
            part.unlink()  # the server was killed just before it did this
            logger.info("recording %s: removed, because %s holds all of it", part.name, path.name)
            return
    state = part.stat()
    complete = part
    if path.suffix == ".flac":
        complete = part.with_name(part.name + _REPAIRED)
        try:
            length_samples = _rewrite_audio(part, complete)
        except BaseException:
            complete.unlink(missing_ok=True)  # a full disk needs the room, and nothing else would remove it
            raise
        if not length_samples:
            complete.unlink()
            return  # nothing in it can be read
    complete.replace(path)
    part.unlink(missing_ok=True)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    logger.info("recording %s: completed after the server was killed", path.name)


def _content_size(path: Path) -> int:
    """What a recording holds: readable samples of audio, or bytes of events."""
    return sum(block.size for block in _readable_blocks(path)) if ".flac" in path.suffixes else path.stat().st_size


def _rewrite_audio(source: Path, target: Path) -> int:
    """Copy what can be read of an incomplete FLAC file; returns its length in samples."""
    samples = 0
    target.unlink(missing_ok=True)  # of a server that was killed here
    with soundfile.SoundFile(open_private(target), "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16") as audio:
        for block in _readable_blocks(source):
            audio.write(block)
            samples += block.size
    return samples


def _readable_blocks(path: Path) -> Iterator[NDArray[np.int16]]:
    # Where the file breaks off, libsndfile raises; errors of writing the blocks are not raised in here.
    with path.open("rb") as file, suppress(soundfile.LibsndfileError), soundfile.SoundFile(file) as audio:
        while (block := audio.read(_BLOCK_SAMPLES, dtype="int16")).size:
            yield block
