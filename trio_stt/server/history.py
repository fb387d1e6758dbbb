"""The last hour of the server, sampled at intervals, for the page's Operations view and `/api/history`.

It keeps totals of the server only: no sessions and no texts.
"""

import os
import sys
import time
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import trio

from trio_stt.protocol.reports import DialectReport, HistoryReport
from trio_stt.runtime.cpus import usable_cores
from trio_stt.server.server_state import ServerState

SAMPLE_S = 10.0
"""Seconds between two samples: often enough to see a minute of load, and 360 numbers for each line of an hour."""
_KEPT = 360
_STATM = Path("/proc/self/statm")


class _Sample(NamedTuple):
    """The server in one interval. `cpu` is the share of all usable cores, `busy` that of the busiest lane."""

    sessions: int
    speakers: int
    rejected: int
    queued: int
    busy: float
    cpu: float
    memory_bytes: int


class ServerHistory:
    """The samples of one server."""

    def __init__(self, server_state: ServerState) -> None:
        self._server_state = server_state
        self._samples: deque[_Sample] = deque(maxlen=_KEPT)
        self._started_at = time.time()
        self._cores = usable_cores()
        self._cpu_s = time.process_time()
        self._engine_s: dict[str, float] = {}
        self._rejected = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        before_s = trio.current_time()
        self._sample(SAMPLE_S)
        while True:
            await trio.sleep_until(before_s + SAMPLE_S)
            now_s = trio.current_time()
            self._sample(now_s - before_s)
            before_s = now_s

    def report(self) -> HistoryReport:
        """Body of `/api/history`."""
        columns = list(zip(*self._samples, strict=True)) or [()] * len(_Sample._fields)
        named = dict(zip(_Sample._fields, columns, strict=True))
        traffic = self._server_state.traffic
        return HistoryReport(
            version=version("trio-stt"),
            started_at=self._started_at,
            uptime_seconds=time.time() - self._started_at,
            cores=self._cores,
            sample_seconds=SAMPLE_S,
            rejections=traffic.rejections,
            dialects={
                name: DialectReport(
                    sessions=each.active,
                    sessions_started=each.totals.sessions,
                    audio_seconds=each.totals.audio_s,
                    finals=each.totals.finals,
                    partials=each.totals.partials,
                    rejections=dict(each.rejections),
                )
                for name, each in traffic.by_dialect(self._server_state.registry.sessions).items()
                if each.totals.sessions or each.rejections
            },
            **named,
        )

    def _sample(self, elapsed_s: float) -> None:
        server_state, cpu_s = self._server_state, time.process_time()
        lanes = server_state.lanes.statistics().lanes
        # Jobs of one batch run at the same time, so the sum of their durations may exceed the interval.
        engine_s = {str(lane.name): lane.work.inference.avg_ms * lane.work.inference.count / 1000 for lane in lanes}
        worked_s = [total_s - self._engine_s.get(name, total_s) for name, total_s in engine_s.items()]
        self._samples.append(
            _Sample(
                sessions=server_state.own_sessions,
                speakers=server_state.own_speakers,
                rejected=server_state.traffic.rejected_sessions - self._rejected,
                queued=sum(each.finals + each.partials for lane in lanes for each in lane.queue.per_session.values()),
                busy=round(min(1.0, max([0.0, *worked_s]) / elapsed_s), 3),
                cpu=round(min(1.0, (cpu_s - self._cpu_s) / elapsed_s / self._cores), 3),
                memory_bytes=_memory_bytes(),
            )
        )
        self._cpu_s, self._engine_s, self._rejected = cpu_s, engine_s, server_state.traffic.rejected_sessions


def _memory_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _most_memory_bytes()


def _most_memory_bytes() -> int:
    """The most resident memory that this process ever had, where the system tells that."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - Windows lacks it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
