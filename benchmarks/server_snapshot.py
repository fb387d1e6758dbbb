"""Snapshots of a server under a benchmark: memory, tasks and scheduling delays, written to a file on a signal.

The server calls `report_on_signal`, the benchmark `request_snapshot` and `time_scheduling`.
"""

import ctypes
import os
import signal
import sys
import time
from array import array
from pathlib import Path
from weakref import WeakSet

import msgspec
import numpy as np
import trio

from trio_stt.dsp.sample_buffer import SampleBuffer

FOLDER = "BENCHMARK_REPORT_FOLDER"
"""The environment variable with the folder into which a server writes snapshots."""
_ANSWER_TIMEOUT_S = 30.0


class ServerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A server at one moment.

    Attributes:
        tasks: Number of Trio tasks.
        python_blocks: Memory blocks that Python has allocated.
        heap_mib: Used memory of the C library's heap, all arenas; 0 if the library does not report it.
        audio_kib: Memory of the sample buffers of all sessions.
        scheduling_delay_ms: How long runnable tasks waited for the scheduler since `time_scheduling`: median, 99th
            percentile and maximum.
    """

    tasks: int
    python_blocks: int
    heap_mib: float
    audio_kib: float
    scheduling_delay_ms: tuple[float, float, float]


class _SchedulingDelays(trio.abc.Instrument):
    """Measures how long runnable tasks wait until they run."""

    def __init__(self) -> None:
        self._since_s: dict[trio.lowlevel.Task, float] = {}
        self.waits_s = array("d")

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._since_s[task] = time.perf_counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.waits_s.append(time.perf_counter() - self._since_s.pop(task, time.perf_counter()))


def report_on_signal() -> None:
    """Write a snapshot on SIGUSR1 and time scheduling from SIGUSR2 on, if `FOLDER` is set."""
    if FOLDER not in os.environ:
        return
    delays = _SchedulingDelays()
    buffers = _track_buffers()

    def report(*_: object) -> None:
        snapshot = ServerSnapshot(
            tasks=trio.lowlevel.current_statistics().tasks_living,
            python_blocks=sys.getallocatedblocks(),
            heap_mib=_heap_mib(),
            audio_kib=sum(sample_buffer.nbytes for sample_buffer in buffers) / 1024,
            scheduling_delay_ms=_percentiles_ms(delays.waits_s),
        )
        part = Path(os.environ[FOLDER]) / "part"
        part.write_bytes(msgspec.json.encode(snapshot))
        part.rename(part.with_name("snapshot"))

    signal.signal(signal.SIGUSR1, report)
    signal.signal(signal.SIGUSR2, lambda *_: trio.lowlevel.add_instrument(delays))


def time_scheduling(pid: int) -> None:
    """Make a server measure its scheduling delays from now on; that costs about a microsecond per task step."""
    os.kill(pid, signal.SIGUSR2)


async def request_snapshot(pid: int, folder: Path) -> ServerSnapshot:
    """Request a snapshot of a server and wait for it."""
    snapshot = folder / "snapshot"
    snapshot.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    with trio.fail_after(_ANSWER_TIMEOUT_S):
        while not snapshot.exists():  # noqa: ASYNC110 - another process cannot set our events
            await trio.sleep(0.01)
    return msgspec.json.decode(snapshot.read_bytes(), type=ServerSnapshot)


def _track_buffers() -> WeakSet[SampleBuffer]:
    """The set of all sample buffers created from now on."""
    buffers: WeakSet[SampleBuffer] = WeakSet()
    original = SampleBuffer.__init__

    def tracked(sample_buffer: SampleBuffer) -> None:
        original(sample_buffer)
        buffers.add(sample_buffer)

    setattr(SampleBuffer, "__init__", tracked)  # noqa: B010 - an assignment to a method is a type error
    return buffers


def _percentiles_ms(waits_s: "array[float]") -> tuple[float, float, float]:
    if not waits_s:
        return 0.0, 0.0, 0.0
    median, p99, longest = np.percentile(np.frombuffer(waits_s), (50, 99, 100)) * 1000
    return round(float(median), 2), round(float(p99), 2), round(float(longest), 2)


class _Mallinfo2(ctypes.Structure):
    """The result of `mallinfo2` of glibc 2.33."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _heap_mib() -> float:
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0.0
    mallinfo2.restype = _Mallinfo2
    info: _Mallinfo2 = mallinfo2()
    return round(float(info.uordblks + info.hblkhd) / 2**20, 1)
