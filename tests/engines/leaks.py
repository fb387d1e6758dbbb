"""What an engine leaves behind when it is closed: itself, memory in use, threads.

Resident memory does not tell: an allocator keeps freed pages, more or fewer of them by chance. These measures are exact
enough that one round after some others shows a leak.
"""

import ctypes
import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from trio_stt.lanes.engines.base import Engine, Request

SERVER_THREAD = "process_request_thread"
"""A part of the names of the threads of a test's HTTP server, which come and go with its clients."""


SMALL_BYTES = 64 * 1024
"""Memory that no engine with a model would leave as little of. Most leave less than 5 kB; faster-whisper 32 kB."""


THREADS_END_WITHIN_S = 5.0
"""Seconds that a thread may take to end after it was told to."""


class _MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )
    hblkhd: int
    uordblks: int


def bytes_in_use() -> int:
    """Bytes that the process got from the C library's allocator and did not give back, in all arenas."""
    function = ctypes.CDLL(None).mallinfo2
    function.restype = _MallInfo
    found: _MallInfo = function()
    return found.uordblks + found.hblkhd


def _native_threads() -> set[int]:
    """Ids of the threads that no HTTP server of a test has."""
    ours = {each.native_id for each in threading.enumerate() if SERVER_THREAD in each.name}
    return {int(task.name) for task in Path("/proc/self/task").iterdir()} - ours


def check_nothing_is_left(load: Callable[[], Engine], batch: list[Request], *, rounds: int) -> None:
    """Load, use and close an engine `rounds` times; check that the rounds after the second left nothing.

    The first two fill pools and caches of the backend, which stay. The bound on memory is half of what one engine
    holds, so that a lost model shows however small it is.
    """
    left: list[int] = []
    threads: list[set[int]] = []
    for _ in range(rounds):
        before = bytes_in_use()
        engine = load()
        engine.transcribe(batch)
        held = bytes_in_use() - before
        engine.close()
        closed = weakref.ref(engine)
        del engine
        gc.collect()
        assert closed() is None, f"kept by {[type(each) for each in gc.get_referrers(closed())]}"
        left.append(bytes_in_use())
        threads.append(_native_threads())
    kept = left[-1] - left[1]
    assert kept < max(held / 2, SMALL_BYTES), f"{kept} bytes are left of {held} that an engine holds"
    deadline_s = time.monotonic() + THREADS_END_WITHIN_S
    while added := _native_threads() - threads[1]:
        assert time.monotonic() < deadline_s, f"{len(added)} threads more than before"
        time.sleep(0.01)
