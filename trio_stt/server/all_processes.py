"""All processes of a server, as the one that answers sees them: reports of all, and changes of settings that reach all.

A process that does not answer in time is left out. A server with one process asks nothing.

The changes of settings are a map from the setting's name to its newest value, with the time of the change. Each process
has all of it: a change is sent to the others before it is answered, and all compare their maps from time to time. So a
process that missed one, or starts later, gets it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import trio

from trio_stt.processes.peers import Handler
from trio_stt.protocol.config_reports import ConfigUpdateReport
from trio_stt.protocol.reports import HealthReport, HistoryReport, MetricsReport, Report, encode_report
from trio_stt.server.history import ServerHistory
from trio_stt.server.merged_reports import merged_health, merged_history, merged_metrics
from trio_stt.server.prometheus import PrometheusExposition
from trio_stt.server.server_state import ServerState

logger = logging.getLogger(__name__)

_R = TypeVar("_R", bound=Report)
_SYNC_S = 5.0
"""Seconds between two comparisons with the other processes, and one for each of many processes."""
_HEALTH, _METRICS, _HISTORY, _SETTINGS, _FIGURES = "health", "metrics", "history", "settings", "figures"


class _Change(msgspec.Struct, frozen=True):
    """A setting's value as JSON, and when it was set, in nanoseconds since the epoch."""

    time_ns: int
    value: msgspec.Raw


_Changes = dict[str, _Change]


class AllProcesses:
    """All processes.

    Args:
        server_state: Of this process.
        history: Of this process.
    """

    def __init__(self, server_state: ServerState, history: ServerHistory) -> None:
        self._server_state = server_state
        self._history = history
        self._exposition = PrometheusExposition(server_state)
        self._changes: _Changes = {}
        self._revising = trio.Lock()
        peers = server_state.peers
        peers.answer(_HEALTH, _answer_with(lambda: encode_report(server_state.health())))
        peers.answer(_METRICS, _answer_with(lambda: encode_report(server_state.metrics())))
        peers.answer(_HISTORY, _answer_with(lambda: encode_report(history.report())))
        peers.answer(_FIGURES, _answer_with(self._exposition.figures))
        peers.answer(_SETTINGS, self._exchange_changes)

    async def start(self) -> None:
        """Take over the changes of settings that the other processes know, before this one serves."""
        await self._sync()

    async def run(self) -> None:
        """Compare settings and figures with the other processes from time to time, until cancelled."""
        interval_s = max(_SYNC_S, float(self._server_state.counts.processes))
        while self._server_state.counts.processes > 1:
            await trio.sleep(interval_s)
            self._server_state.registry.evict_over_limit()  # for the others' sessions, too
            await self._sync()
            await self._gather_figures()

    async def health(self) -> HealthReport:
        """Body of `/health`."""
        return merged_health(await self._reports(_HEALTH, self._server_state.health()))

    async def metrics(self) -> MetricsReport:
        """Body of `/api/metrics`."""
        return merged_metrics(await self._reports(_METRICS, self._server_state.metrics()))

    async def history(self) -> HistoryReport:
        """Body of `/api/history`."""
        return merged_history(await self._reports(_HISTORY, self._history.report()))

    async def prometheus(self, accept: str) -> tuple[bytes, str]:
        """Body of `/metrics` and its content type, which follows the header `Accept` of the request."""
        await self._gather_figures()
        return self._exposition.write(accept)

    async def change(self, changes: Mapping[str, msgspec.Raw]) -> ConfigUpdateReport:
        """Change settings in all processes; the body of the answer to `PATCH /api/config`."""
        async with self._revising:
            report = await self._revise(changes)
            applied = {name: _Change(time.time_ns(), changes[name]) for name in report.applied}
            self._changes |= applied
        if applied:
            await self._server_state.peers.gather(_SETTINGS, msgspec.json.encode(applied))
        return report

    async def _revise(self, changes: Mapping[str, msgspec.Raw]) -> ConfigUpdateReport:
        # In a thread, because it may look for model files.
        revision = await trio.to_thread.run_sync(self._server_state.revise, changes)
        return self._server_state.adopt(revision)

    async def _sync(self) -> None:
        mine = msgspec.json.encode(self._changes)
        for answer in await self._server_state.peers.gather(_SETTINGS, mine):
            await self._take_over(answer)

    async def _exchange_changes(self, body: bytes) -> bytes:
        await self._take_over(body)
        return msgspec.json.encode(self._changes)

    async def _take_over(self, body: bytes) -> None:
        """Apply changes of other processes that are newer than what this one knows."""
        received = msgspec.json.decode(body, type=_Changes)
        async with self._revising:
            newer = {name: each for name, each in received.items() if each.time_ns > self._time_ns(name)}
            if newer:
                self._changes |= newer
                report = await self._revise({name: each.value for name, each in newer.items()})
                if report.rejected:
                    logger.warning("settings of another process not applied: %s", ", ".join(report.rejected))

    def _time_ns(self, name: str) -> int:
        known = self._changes.get(name)
        return known.time_ns if known else 0

    async def _reports(self, call: str, own: _R) -> Sequence[_R]:
        """The own report, and those of the others."""
        answers = await self._server_state.peers.gather(call)
        return [own, *(msgspec.json.decode(answer, type=type(own)) for answer in answers)]

    async def _gather_figures(self) -> None:
        self._exposition.note(await self._server_state.peers.gather(_FIGURES))


def _answer_with(body: Callable[[], bytes]) -> Handler:
    """A handler of a call that has no arguments."""

    async def answer(_: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return body()

    return answer
