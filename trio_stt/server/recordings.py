"""What the server records of its sessions: a bounded queue that any task may fill, and the task that writes it out.

It owns the queue and the writing thread's turns. It must not know what sessions do; and nobody waits for it: where the
disk does not keep up, audio is replaced by silence, and what a disk does not take at all is given up with a warning.
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
from trio_stt.server.recording_files import RecordingFiles, Room

logger = logging.getLogger(__name__)

MAX_QUEUED_BYTES = 16_777_216
"""Audio and events that wait for the disk: minutes of many sessions."""
_EVENT_BYTES = 2_000  # of one on average
_REST_S = 0.25  # between two turns of the thread
_PARTING_S = 5.0
"""For what still waits when the server ends."""
_TIDY_EVERY_S = 60.0
_FAULTS = (OSError, RuntimeError, AssertionError)
"""Of a disk: libsndfile raises the others, one of them where a write was short."""

_Item = NDArray[np.int16] | int | Event | None
"""Samples, a number of lost ones, an event; None at the end of a session."""


class SessionRecorder:
    """One session's way into the archive; nothing here waits."""

    def __init__(self, name: str, put: Callable[["SessionRecorder", _Item], bool]) -> None:
        self.name = name
        self._put = put
        self._lost_samples = 0  # and not made up for yet
        self._silent_samples = 0

    def audio(self, samples: NDArray[np.int16]) -> None:
        """What was heard: int16, shape (n,), mono, 16 kHz."""
        if not (self._fill_gap() and self._put(self, samples)):
            self._lost_samples += samples.size

    def event(self, event: Event) -> None:
        """What was said to the client; its token is nobody else's business."""
        if isinstance(event, Hello):
            event = msgspec.structs.replace(event, resume_token=msgspec.UNSET)
        self._put(self, event)

    def close(self) -> None:
        """The session is over."""
        self._fill_gap()
        self._put(self, None)
        if lost := self._silent_samples + self._lost_samples:
            logger.warning("%s: %.1f s are not recorded: the disk was too slow", self.name, lost / SAMPLE_RATE_HZ)

    def _fill_gap(self) -> bool:
        """Put silence where samples were lost, so that positions stay right; returns whether there was room."""
        if self._lost_samples and self._put(self, self._lost_samples):
            self._silent_samples += self._lost_samples
            self._lost_samples = 0
        return not self._lost_samples


class RecordingArchive:
    """The folder of recordings.

    Args:
        folder: Made if it is not there.
        max_mb: Megabytes that all recordings may take; the oldest go first, at most a minute late. 0 for no limit.
        max_age_h: Hours after its end after which a recording goes. 0 for no limit.

    Raises:
        SettingError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, *, max_mb: int, max_age_h: float) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = RecordingFiles(folder, f"probe_{time.time_ns()}")
            probe.close()
        except OSError as error:
            raise SettingError(f"record: cannot write to {folder}: {error.strerror}") from None
        self._folder = folder
        self._room = Room(folder, max_bytes=max_mb * 1e6 or float("inf"), max_age_s=max_age_h * 3600 or float("inf"))
        self._queue: deque[tuple[SessionRecorder, _Item]] = deque()
        self._queued_bytes = 0
        self._filled = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope(shield=True)
        # The thread's own:
        self._files: dict[str, RecordingFiles | None] = {}
        self._tidy_at_s = 0.0

    def open(self, session_id: str) -> SessionRecorder:
        """Begin to record a session."""
        begun = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
        return SessionRecorder(f"{begun}_{session_id}", self._put)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `end`, whatever is cancelled around it."""
        limiter = trio.CapacityLimiter(1)
        with self._scope:
            task_status.started()
            while self._queue or not self._ended.is_set():
                batch, self._queue, self._queued_bytes = self._queue, deque(), 0
                await trio.to_thread.run_sync(self._write, batch, limiter=limiter, abandon_on_cancel=True)
                with trio.move_on_after(_REST_S):
                    await self._ended.wait()
                if not self._queue and not self._ended.is_set():
                    self._filled = trio.Event()
                    await self._filled.wait()

    def end(self) -> None:
        """No session is left: write what waits, for a few seconds at most."""
        self._scope.deadline = trio.current_time() + _PARTING_S
        self._ended.set()
        self._filled.set()

    def _put(self, record: SessionRecorder, item: _Item) -> bool:
        """Queue an item; returns whether there was room. An end always has."""
        size_bytes = item.nbytes if isinstance(item, np.ndarray) else _EVENT_BYTES
        if item is not None and self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            return False
        self._queue.append((record, item))
        self._queued_bytes += size_bytes
        self._filled.set()
        return True

    # --- in the thread ---

    def _write(self, batch: deque[tuple[SessionRecorder, _Item]]) -> None:
        for record, item in batch:
            self._try(record.name, partial(self._write_one, record.name, item))
            if item is None:
                self._files.pop(record.name, None)
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
            return  # given up
        if item is None:
            files.close()
        else:
            files.add(item)

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except _FAULTS as error:
            logger.warning("%s: no longer recorded: %s", name, error)
            files, self._files[name] = self._files.get(name), None
            if files is not None:
                files.abandon()

    def _tidy(self) -> None:
        now_s = time.monotonic()
        try:
            for name in self._room.overlong(self._written(), now_s):
                self._try(name, partial(self._continue, name))
            in_use = frozenset(part for files in self._written().values() for part in files.parts)
            self._room.make(in_use, now_s)
        except OSError as error:
            logger.warning("old recordings could not be removed: %s", error)

    def _written(self) -> dict[str, RecordingFiles]:
        return {name: files for name, files in self._files.items() if files}

    def _continue(self, name: str) -> None:
        self._files[name] = self._written()[name].continued()
