"""Recordings on disk: 16 kHz audio as FLAC and events as JSON lines, the finishing of interrupted ones, retention.

Everything here blocks, and is called by one thread at a time. A file ends in `.part` until its session is over. Folder
and files are readable by the server's user only, and only regular files with a recording's exact name are ever touched.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import Event, encode

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

DISK_FAULTS = (OSError, RuntimeError, AssertionError)
"""Errors of a disk: libsndfile raises the other two, `AssertionError` for a short write."""

PART = ".part"
_REPAIRED = ".repaired"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ_[0-9a-f]{32}(_\d+)?\.(flac|jsonl)(\.part)?", flags=re.ASCII)
"""Start of the session in UTC, its id, the first sample of a later part, and the kind of content."""
_SILENCE = np.zeros(SAMPLE_RATE_HZ, np.int16)
_BLOCK_SAMPLES = 4096
"""Samples in a block of libsndfile's FLAC: the readable part of an interrupted file ends with a block."""


def recording_name(session_id: str) -> str:
    """The name of a recording that begins now, without the extension."""
    return f"{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}_{session_id}"


def recordings_in(folder: Path) -> Iterator[Path]:
    """Files in a folder that are recordings by name; never a symbolic link or anything else that is not a file.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield folder / entry.name


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
            if not _is_being_written(part):
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
    with soundfile.SoundFile(_open_private(target), "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16") as audio:
        for block in _readable_blocks(source):
            audio.write(block)
            samples += block.size
    return samples


def _readable_blocks(path: Path) -> Iterator[NDArray[np.int16]]:
    # Where the file breaks off, libsndfile raises; errors of writing the blocks are not raised in here.
    with path.open("rb") as file, suppress(soundfile.LibsndfileError), soundfile.SoundFile(file) as audio:
        while (block := audio.read(_BLOCK_SAMPLES, dtype="int16")).size:
            yield block


def _is_being_written(part: Path) -> bool:
    """Whether a running server, this or another one, writes this file: it holds a lock."""
    if sys.platform == "win32":  # where an open file can be neither renamed nor removed
        return False
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


class RecordingFiles:
    """The two files of one session, or of a later part of a long one.

    Args:
        folder: Where they are created.
        name: From `recording_name`.
        first_sample: Samples of the session in earlier files; part of the name where it is not 0.

    Raises:
        OSError: They cannot be created.
    """

    def __init__(self, folder: Path, name: str, *, first_sample: int = 0) -> None:
        self._folder = folder
        self._name = name
        stem = f"{name}_{first_sample}" if first_sample else name
        self._paths = [folder / f"{stem}.flac", folder / f"{stem}.jsonl"]
        self._first_sample = first_sample
        self._samples = 0
        self._begun_s = time.monotonic()
        self._events = os.fdopen(_open_private(self.parts[1]), "w", encoding="utf-8")
        try:
            self._audio = soundfile.SoundFile(
                _open_private(self.parts[0]), "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16"
            )
        except BaseException:
            self._events.close()
            raise

    @property
    def parts(self) -> list[Path]:
        """The files as they are named while written: audio, events."""
        return [path.with_name(path.name + PART) for path in self._paths]

    @property
    def size_bytes(self) -> int:
        """Of both files on disk; 0 while they hold no audio, because there is nothing to continue then."""
        return sum(part.stat().st_size for part in self.parts if part.exists()) if self._samples else 0

    def age_s(self, now_s: float) -> float:
        """Seconds since they were created, on the monotonic clock."""
        return now_s - self._begun_s

    def add(self, item: NDArray[np.int16] | int | Event) -> None:
        """Write samples, a number of samples of silence, or an event.

        Raises:
            OSError: The disk is full or fails.
            RuntimeError: The same, from libsndfile.
        """
        if isinstance(item, Event):
            self._events.write(encode(item) + "\n")
        elif isinstance(item, int):
            for start in range(0, item, _SILENCE.size):
                self._write(_SILENCE[: item - start])
        else:
            self._write(item)

    def flush(self) -> None:
        """Hand all events to the operating system; libsndfile does so with the audio block by block.

        Raises:
            OSError: The disk is full or fails.
        """
        self._events.flush()

    def close(self) -> None:
        """Complete the files and remove `.part` from their names; a session without audio leaves no files.

        Raises:
            OSError: The disk is full or fails.
            RuntimeError: The same, from libsndfile.
        """
        try:
            self._audio.close()
        finally:
            self._events.close()
        for part, path in zip(self.parts, self._paths, strict=True):
            if self._samples or self._first_sample:
                part.rename(path)
            else:
                part.unlink(missing_ok=True)

    def continued(self) -> "RecordingFiles":
        """Complete the files, and return new ones for the rest of the session.

        Raises:
            OSError: The disk is full or fails.
            RuntimeError: The same, from libsndfile.
        """
        self.close()
        return RecordingFiles(self._folder, self._name, first_sample=self._first_sample + self._samples)

    def abandon(self) -> None:
        """Close the files as they are, with `.part` in their names."""
        for close in (self._audio.close, self._events.close):
            with suppress(OSError, RuntimeError):
                close()

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._audio.write(samples)
        self._samples += samples.size


class Retention:
    """Removes recordings that are too old, or the oldest ones if all together are too large.

    Ages are measured on the monotonic clock, because the wall clock may jump. The wall clock is used only for files
    that exist at the first check; a file that appears or changes later is at most as old as the previous check.

    Args:
        folder: Of the recordings.
        max_bytes: All recordings together may take this much.
        max_age_s: Seconds after its last change from which on a recording is removed.
    """

    def __init__(self, folder: Path, *, max_bytes: float, max_age_s: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._since_s: dict[tuple[int, Path], float] = {}  # by time of last change and path: when its age began
        self._looked_s = float("-inf")

    def overlong(self, written: Mapping[str, RecordingFiles], now_s: float) -> list[str]:
        """Names of recordings that must be continued in new files, so that their beginning can be removed.

        Args:
            written: Open recordings by name. They may take half of `max_bytes`; the other half is for completed ones.
            now_s: On the monotonic clock.
        """
        sizes = {name: files.size_bytes for name, files in written.items()}
        total, found = sum(sizes.values()), []
        for name in sorted(filter(sizes.get, sizes), key=lambda each: -sizes[each]):
            if total > self._max_bytes / 2 or written[name].age_s(now_s) > self._max_age_s:
                found.append(name)
                total -= sizes[name]
        return found

    def enforce(self, in_use: frozenset[Path], now_s: float) -> None:
        """Remove recordings that are too old, then the oldest until the rest fits. Each removal and failure is logged.

        Args:
            in_use: Files being written; they count, and stay.
            now_s: On the monotonic clock.

        Raises:
            OSError: The folder cannot be read.
        """
        states = {path: path.lstat() for path in recordings_in(self._folder)}
        max_since_look_s, wall_s = now_s - self._looked_s, time.time()
        self._looked_s = now_s
        self._since_s = {
            (state.st_mtime_ns, path): self._since_s.get(
                (state.st_mtime_ns, path), now_s - min(max_since_look_s, max(0.0, wall_s - state.st_mtime))
            )
            for path, state in states.items()
        }
        total = sum(state.st_size for state in states.values())
        for since_s, (_, path) in sorted((since_s, key) for key, since_s in self._since_s.items()):
            too_old = now_s - since_s > self._max_age_s
            if path in in_use or not (too_old or total > self._max_bytes):
                continue
            limit = "record_max_age_h" if too_old else "record_max_mb"
            try:
                if path.name.endswith(PART) and _is_being_written(path):
                    continue  # by another server with the same folder
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("recording %s: cannot be removed because of %s: %s", path.name, limit, error)
                continue
            total -= states[path].st_size
            logger.info("recording %s: removed because of %s", path.name, limit)


def _open_private(path: Path) -> int:
    """Create a file of the server's user, locked until it is closed."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor
