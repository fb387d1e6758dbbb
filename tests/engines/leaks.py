"""A check for leaks of a closed engine: the object itself, memory in use, and threads.

Resident memory does not show leaks, because an allocator keeps a varying number of freed pages. These measures are
exact enough to show a leak in one round after two others.
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
"""Part of the names of the threads of a test's HTTP server, whose number varies with its clients."""


SMALL_BYTES = 64 * 1024
"""Bytes that a closed engine may leave, less than any model. Most leave less than 5 kB; faster-whisper 32 kB."""


THREADS_END_WITHIN_S = 5.0
"""Seconds within which a thread must end after its engine was closed."""


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
    """Ids of all threads except those of a test's HTTP server."""
    ours = {each.native_id for each in threading.enumerate() if SERVER_THREAD in each.name}
    return {int(task.name) for task in Path("/proc/self/task").iterdir()} - ours


def check_nothing_is_left(load: Callable[[], Engine], batch: list[Request], *, rounds: int) -> None:
    """Load, use and close an engine `rounds` times; check that the rounds after the second left nothing.

    The first two fill pools and caches of the backend, which are kept. The bound on memory is half of what one engine
    holds, so that even a small leaked model exceeds it.
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
