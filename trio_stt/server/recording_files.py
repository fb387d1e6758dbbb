"""What the server records, as files: 16 kHz audio as FLAC, events as lines of JSON, and room for both.

Everything here blocks and runs in one thread at a time. It must not know trio, sessions or clients.

A file ends in `.part` until its session is over, and can be read up to what was written last. The folder and the files
in it belong to the server's user alone.
"""

import os
import time
from collections.abc import Mapping
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


class RecordingFiles:
    """The two files of one session, or of a part of it.

    Args:
        folder: Where they are made.
        name: Of the session.
        first_sample: How much of it other files have; their own names say so where it is not 0.

    Raises:
        OSError: They cannot be made.
    """

    def __init__(self, folder: Path, name: str, *, first_sample: int = 0) -> None:
        self._folder = folder
        self._name = name
        own = f"{name}_{first_sample}" if first_sample else name
        self._paths = [folder / f"{own}.flac", folder / f"{own}.jsonl"]
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
        """The files while they are written: audio, events."""
        return [path.with_name(path.name + PART) for path in self._paths]

    @property
    def size_bytes(self) -> int:
        """Of both files as they are on the disk; 0 while they hold no audio, so that nothing is there to continue."""
        return sum(part.stat().st_size for part in self.parts if part.exists()) if self._samples else 0

    def age_s(self, now_s: float) -> float:
        """For how long they have been written, on the monotonic clock."""
        return now_s - self._begun_s

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
            if self._samples or self._first_sample:
                part.rename(path)
            else:
                part.unlink(missing_ok=True)

    def continued(self) -> "RecordingFiles":
        """Complete the files, and go on in others.

        Raises:
            OSError: The disk does not take it.
            RuntimeError: As above, of libsndfile.
        """
        self.close()
        return RecordingFiles(self._folder, self._name, first_sample=self._first_sample + self._samples)

    def abandon(self) -> None:
        """Close the files as they are: they keep the names that they have."""
        for close in (self._audio.close, self._events.close):
            with suppress(OSError, RuntimeError):
                close()

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._audio.write(samples)
        self._samples += samples.size


class Room:
    """What lies in a folder of recordings, and which of it goes.

    Ages do not follow the wall clock, which may jump. It is believed once, about what lay there at the start; what is
    found or grows later is no older than the look before.

    Args:
        folder: Of the recordings.
        max_bytes: That they may take together.
        max_age_s: After which one goes.
    """

    def __init__(self, folder: Path, *, max_bytes: float, max_age_s: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._since_s: dict[tuple[int, Path], float] = {}  # when a file, as it was changed last, began to age
        self._looked_s = float("-inf")

    def overlong(self, written: Mapping[str, RecordingFiles], now_s: float) -> list[str]:
        """Names of what is written for so long, or takes so much, that it must be continued in other files.

        Args:
            written: By name. It may take half of the room, so that as much of what was said before stays.
            now_s: On the monotonic clock.
        """
        sizes = {name: files.size_bytes for name, files in written.items()}
        total, found = sum(sizes.values()), []
        for name in sorted(filter(sizes.get, sizes), key=lambda each: -sizes[each]):
            if total > self._max_bytes / 2 or written[name].age_s(now_s) > self._max_age_s:
                found.append(name)
                total -= sizes[name]
        return found

    def make(self, in_use: frozenset[Path], now_s: float) -> None:
        """Remove what is too old, then the oldest until the rest fits; never what is in use.

        Args:
            in_use: What is being written.
            now_s: On the monotonic clock.

        Raises:
            OSError: The folder cannot be read, or a file not removed.
        """
        found = {path: path.stat() for path in self._folder.iterdir() if path.name.endswith(_SUFFIXES)}
        most_s, wall_s = now_s - self._looked_s, time.time()
        self._looked_s = now_s
        self._since_s = {
            (state.st_mtime_ns, path): self._since_s.get(
                (state.st_mtime_ns, path), now_s - min(most_s, max(0.0, wall_s - state.st_mtime))
            )
            for path, state in found.items()
        }
        total = sum(state.st_size for state in found.values())
        for since_s, (_, path) in sorted((since_s, key) for key, since_s in self._since_s.items()):
            if path not in in_use and (total > self._max_bytes or now_s - since_s > self._max_age_s):
                path.unlink(missing_ok=True)
                total -= found[path].st_size


def _open_private(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
