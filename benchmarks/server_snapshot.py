"""What a server under a benchmark holds, and how long its tasks wait for their turn: told in a file when it is asked.

`report_on_signal` is for the server, `request_snapshot` for the benchmark. It must not decide what is too much.
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

FOLDER = "BENCHMARK_TELLS_IN"
"""The environment variable that names the folder in which a server tells."""
_ANSWER_WITHIN_S = 30.0


class ServerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A server at one moment.

    Attributes:
        tasks: Of Trio.
        python_blocks: Pieces of memory that Python has handed out.
        heap_mib: What is in use of the C library's heap, of all arenas; 0 where it does not say.
        audio_kib: What the tapes of all sessions take.
        turn_ms: How long tasks that could go on waited for their turn since `time_scheduling`: the median, 99 of 100, and
            the longest.
    """

    tasks: int
    python_blocks: int
    heap_mib: float
    audio_kib: float
    scheduling_delay_ms: tuple[float, float, float]


class _SchedulingDelays(trio.abc.Instrument):
    """Times from when a task could go on until it did."""

    def __init__(self) -> None:
        self._since_s: dict[trio.lowlevel.Task, float] = {}
        self.waits_s = array("d")

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._since_s[task] = time.perf_counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.waits_s.append(time.perf_counter() - self._since_s.pop(task, time.perf_counter()))


def report_on_signal() -> None:
    """Answer SIGUSR1 and time turns from SIGUSR2 on, if somebody wants to hear; call it before the server runs."""
    if FOLDER not in os.environ:
        return
    delays = _SchedulingDelays()
    buffers = _track_buffers()

    def report(*_: object) -> None:
        snapshot = ServerSnapshot(
            tasks=trio.lowlevel.current_statistics().tasks_living,
            python_blocks=sys.getallocatedblocks(),
            heap_mib=_heap_mib(),
            audio_kib=sum(sample_buffer._buffer.nbytes for sample_buffer in buffers) / 1024,  # noqa: SLF001 - nobody else asks
            scheduling_delay_ms=_spread_ms(delays.waits_s),
        )
        part = Path(os.environ[FOLDER]) / "part"
        part.write_bytes(msgspec.json.encode(snapshot))
        part.rename(part.with_name("told"))

    signal.signal(signal.SIGUSR1, report)
    signal.signal(signal.SIGUSR2, lambda *_: trio.lowlevel.add_instrument(delays))


def time_scheduling(pid: int) -> None:
    """Have a server time the turns of its tasks from now on; it costs about a microsecond each."""
    os.kill(pid, signal.SIGUSR2)


async def request_snapshot(pid: int, folder: Path) -> ServerSnapshot:
    """What a server holds now, and how its tasks fared."""
    snapshot = folder / "told"
    snapshot.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    with trio.fail_after(_ANSWER_WITHIN_S):
        while not snapshot.exists():  # noqa: ASYNC110 - another process cannot set our events
            await trio.sleep(0.01)
    return msgspec.json.decode(snapshot.read_bytes(), type=ServerSnapshot)


def _track_buffers() -> WeakSet[SampleBuffer]:
    """All that are made from now on, as long as there is one."""
    buffers: WeakSet[SampleBuffer] = WeakSet()
    make = SampleBuffer.__init__

    def make_noted(sample_buffer: SampleBuffer) -> None:
        make(sample_buffer)
        buffers.add(sample_buffer)

    SampleBuffer.__init__ = make_noted  # type: ignore[method-assign]
    return buffers


def _spread_ms(waits_s: "array[float]") -> tuple[float, float, float]:
    if not waits_s:
        return 0.0, 0.0, 0.0
    median, most, longest = np.percentile(np.frombuffer(waits_s), (50, 99, 100)) * 1000
    return round(float(median), 2), round(float(most), 2), round(float(longest), 2)


class _Mallinfo2(ctypes.Structure):
    """As `mallinfo2` of glibc 2.33 returns it."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _heap_mib() -> float:
    ask_library = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask_library is None:
        return 0.0
    ask_library.restype = _Mallinfo2
    info = ask_library()
    return round((info.uordblks + info.hblkhd) / 2**20, 1)
