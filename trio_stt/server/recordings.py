"""Recordings of sessions: a bounded queue that sessions fill without blocking, and a thread that writes it to disk.

Recording never slows a session down: where the disk is too slow, lost audio is replaced by silence of its length, and a
recording that the disk does not take at all ends with a warning.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import SettingError
from trio_stt.protocol.events import Event, Hello
from trio_stt.server.interrupted_recordings import finish_interrupted
from trio_stt.server.recording_files import DISK_FAULTS, RecordingFiles, recording_name
from trio_stt.server.recording_retention import Retention

logger = logging.getLogger(__name__)

MAX_QUEUED_BYTES = 16_777_216
"""Bytes of audio and events that may wait for the disk: a second of audio has 32,000, so that 50 sessions may wait for
10 s."""
_EVENT_BYTES = 2_000
"""Bytes that an event in the queue counts for; about the average."""
_WRITE_EVERY_S = 0.25
"""Seconds between two turns of the writing thread: what a killed server loses of the events of a recording."""
_SHUTDOWN_S = 5.0
"""Seconds for writing what is queued when the server ends."""
_TIDY_EVERY_S = 60.0
"""Seconds between two checks of the limits on recordings; the end of a recording is followed by one, too."""

_Item = NDArray[np.int16] | int | Event | None
"""Samples, a number of lost samples, an event, or None at the end of a session."""


class SessionRecorder:
    """Records one session; no call blocks."""

    def __init__(self, name: str, put: Callable[["SessionRecorder", _Item], bool]) -> None:
        self.name = name
        self._put = put
        self._lost_samples = 0  # not yet replaced by silence
        self._silent_samples = 0  # of silence that replaced lost ones

    def audio(self, samples: NDArray[np.int16]) -> None:
        """Record received audio: int16, shape (n,), mono, 16 kHz."""
        if not (self._fill_gap() and self._put(self, samples)):
            self._lost_samples += samples.size

    def event(self, event: Event) -> None:
        """Record a published event, without the client's resume token."""
        if isinstance(event, Hello):
            event = msgspec.structs.replace(event, resume_token=msgspec.UNSET)
        self._put(self, event)

    def close(self) -> None:
        """Complete the files: the session is over."""
        self._fill_gap()
        self._put(self, None)
        if lost := self._silent_samples + self._lost_samples:
            logger.warning(
                "recording %s: the disk was too slow, %.1f s of audio are silence",
                self.name,
                lost / SAMPLE_RATE_HZ,
            )

    def _fill_gap(self) -> bool:
        """Queue silence for lost samples, so that later positions are right; returns whether there was room."""
        if self._lost_samples and self._put(self, self._lost_samples):
            self._silent_samples += self._lost_samples
            self._lost_samples = 0
        return not self._lost_samples


class RecordingArchive:
    """The folder of recordings.

    Args:
        folder: Created if it does not exist. Files in it that are not recordings are never touched.
        max_mb: Megabytes that all recordings may take; beyond, the oldest are removed within a minute. 0 for no limit.
        max_age_h: Hours after its end when a recording is removed. 0 for no limit.

    Raises:
        SettingError: The folder cannot be created or written to.
    """

    def __init__(self, folder: Path, *, max_mb: int, max_age_h: float) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = RecordingFiles(folder, f"probe_{time.time_ns()}")
            probe.close()
        except OSError as error:
            raise SettingError(f"record: cannot write to {folder}: {error.strerror}") from None
        self._folder = folder
        self._retention = Retention(
            folder, max_bytes=max_mb * 1e6 or float("inf"), max_age_s=max_age_h * 3600 or float("inf")
        )
        self._queue: deque[tuple[SessionRecorder, _Item]] = deque()
        self._queued_bytes = 0
        self._filled = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope(shield=True)
        # Used by the writing thread only:
        self._files: dict[str, RecordingFiles | None] = {}  # None where recording was given up
        self._finished_interrupted = False
        self._tidy_at_s = 0.0

    def open(self, session_id: str) -> SessionRecorder:
        """Begin to record a session."""
        return SessionRecorder(recording_name(session_id), self._put)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `end` is called; cancellation has no effect."""
        limiter = trio.CapacityLimiter(1)
        with self._scope:
            task_status.started()
            while self._queue or not self._ended.is_set():
                batch, self._queue, self._queued_bytes = self._queue, deque(), 0
                await trio.to_thread.run_sync(self._write, batch, limiter=limiter, abandon_on_cancel=True)
                with trio.move_on_after(_WRITE_EVERY_S):
                    await self._ended.wait()
                if not self._queue and not self._ended.is_set():
                    self._filled = trio.Event()
                    await self._filled.wait()

    def end(self) -> None:
        """End `run` when the queue is written, or after `_SHUTDOWN_S` seconds: no session is left."""
        self._scope.deadline = trio.current_time() + _SHUTDOWN_S
        self._ended.set()
        self._filled.set()

    def _put(self, recorder: SessionRecorder, item: _Item) -> bool:
        """Queue an item; returns whether there was room. There always is for the end of a session."""
        size_bytes = item.nbytes if isinstance(item, np.ndarray) else _EVENT_BYTES
        if item is not None and self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            return False
        self._queue.append((recorder, item))
        self._queued_bytes += size_bytes
        self._filled.set()
        return True

    # --- in the thread ---

    def _write(self, batch: deque[tuple[SessionRecorder, _Item]]) -> None:
        for recorder, item in batch:
            self._try(recorder.name, partial(self._write_one, recorder.name, item))
            if item is None:
                self._files.pop(recorder.name, None)
        for name, files in list(self._files.items()):
            if files is not None:
                self._try(name, files.flush)
        if time.monotonic() >= self._tidy_at_s or any(item is None for _, item in batch):
            self._tidy_at_s = time.monotonic() + _TIDY_EVERY_S
            self._tidy()

    def _write_one(self, name: str, item: _Item) -> None:
        if name not in self._files:
            self._files[name] = RecordingFiles(self._folder, name)
        files = self._files[name]
        if files is None:
            return
        if item is None:
            files.close()
        else:
            files.add(item)

    def _try(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except DISK_FAULTS as error:
            logger.warning("recording %s: ended early, because the disk failed: %s", name, error)
            files, self._files[name] = self._files.get(name), None
            if files is not None:
                files.abandon()

    def _tidy(self) -> None:
        now_s = time.monotonic()
        try:
            if not self._finished_interrupted:
                finish_interrupted(self._folder)
                self._finished_interrupted = True
            for name in self._retention.overlong(self._open_files(), now_s):
                self._try(name, partial(self._continue, name))
            in_use = frozenset(part for files in self._open_files().values() for part in files.parts)
            self._retention.enforce(in_use, now_s)
        except DISK_FAULTS as error:
            logger.warning("recordings in %s could not be completed or removed: %s", self._folder, error)

    def _open_files(self) -> dict[str, RecordingFiles]:
        return {name: files for name, files in self._files.items() if files}

    def _continue(self, name: str) -> None:
        self._files[name] = self._open_files()[name].continued()
