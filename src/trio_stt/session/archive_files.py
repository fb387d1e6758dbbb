"""What the server records, as files: 16 kHz audio as FLAC, events as lines of JSON, and room for both.

Everything here blocks and runs in one thread at a time. It must not know trio, sessions or clients.

A file ends in `.part` until its session is over, and can be read up to what was written last. The folder and the files
in it belong to the server's user alone.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import Event, encode

PART = ".part"
_SILENCE = np.zeros(SAMPLE_RATE_HZ, np.int16)
_SUFFIXES = (".flac", ".jsonl", f".flac{PART}", f".jsonl{PART}")


class RecordFiles:
    """The two files of one session.

    Raises:
        OSError: They cannot be made.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = [folder / f"{name}.flac", folder / f"{name}.jsonl"]
        self._samples = 0
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
        """The files while they are written: audio, events."""
        return [path.with_name(path.name + PART) for path in self._paths]

    def add(self, item: NDArray[np.int16] | int | Event) -> None:
        """Write samples, as many samples of silence, or an event.

        Raises:
            OSError: The disk does not take it.
            RuntimeError: As above, of libsndfile.
        """
        if isinstance(item, Event):
            self._events.write(encode(item) + "\n")
        elif isinstance(item, int):
            for start in range(0, item, _SILENCE.size):
                self._write(_SILENCE[: item - start])
        else:
            self._write(item)

    def flush(self) -> None:
        """Hand everything to the operating system; libsndfile did so with the audio.

        Raises:
            OSError: The disk does not take it.
        """
        self._events.flush()

    def close(self) -> None:
        """Complete the files and give them their names; of a session without audio, nothing stays.

        Raises:
            OSError: The disk does not take it.
            RuntimeError: As above, of libsndfile.
        """
        try:
            self._audio.close()
        finally:
            self._events.close()
        for part, path in zip(self.parts, self._paths, strict=True):
            if self._samples:
                part.rename(path)
            else:
                part.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the files as they are: they keep the names that they have."""
        for close in (self._audio.close, self._events.close):
            with suppress(OSError, RuntimeError):
                close()

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._audio.write(samples)
        self._samples += samples.size


def make_room(folder: Path, *, max_bytes: float, max_age_s: float, in_use: frozenset[Path]) -> None:
    """Remove what is too old, then the oldest until the rest takes no more than `max_bytes`; never what is in use.

    Raises:
        OSError: The folder cannot be read, or a file not removed.
    """
    found = [(path.stat(), path) for path in folder.iterdir() if path.name.endswith(_SUFFIXES)]
    total = sum(state.st_size for state, _ in found)
    oldest_s = time.time() - max_age_s
    for state, path in sorted(found, key=lambda each: (each[0].st_mtime, each[1])):
        if path in in_use or (total <= max_bytes and state.st_mtime >= oldest_s):
            continue
        path.unlink()
        total -= state.st_size


def _open_private(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
