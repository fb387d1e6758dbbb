"""Recordings on disk: their names, and the files of one session, 16 kHz audio as FLAC and events as JSON lines.

Everything here blocks, and is called by one thread at a time. A file ends in `.part` and is locked until its session is
over. Folder and files are readable by the server's user only.
"""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import Event, encode

if sys.platform != "win32":
    import fcntl

DISK_FAULTS = (OSError, RuntimeError, AssertionError)
"""Errors of a disk: libsndfile raises the other two, `AssertionError` for a short write."""

PART = ".part"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ_[0-9a-f]{32}(_\d+)?\.(flac|jsonl)(\.part)?", flags=re.ASCII)
"""Start of the session in UTC, its id, the first sample of a later part, and the kind of content."""
_SILENCE = np.zeros(SAMPLE_RATE_HZ, np.int16)


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
        self._events = os.fdopen(open_private(self.parts[1]), "w", encoding="utf-8")
        try:
            self._audio = soundfile.SoundFile(
                open_private(self.parts[0]), "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16"
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


def is_being_written(part: Path) -> bool:
    """Whether a running server, this or another one, writes this file: it holds a lock."""
    if sys.platform == "win32":  # where an open file can be neither renamed nor removed
        return False
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def open_private(path: Path) -> int:
    """Create a file of the server's user, locked until it is closed."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor
