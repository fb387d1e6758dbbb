"""Removes recordings that are too old, or that take too much room. Everything here blocks."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from trio_stt.server.recording_files import PART, RecordingFiles, is_being_written, recordings_in

logger = logging.getLogger(__name__)


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
                if path.name.endswith(PART) and is_being_written(path):
                    continue  # by another server with the same folder
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("recording %s: cannot be removed because of %s: %s", path.name, limit, error)
                continue
            total -= states[path].st_size
            logger.info("recording %s: removed because of %s", path.name, limit)
