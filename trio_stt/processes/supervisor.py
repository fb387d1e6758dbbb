"""The supervisor of several server processes: starts them, restarts what dies, and ends or replaces them in order.

It owns the listening sockets: a process that dies leaves the connections in its queue to its successor, which gets the
same socket. It must not know what a server is: a process is a command that reports over its link (`membership`).
"""

import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from trio_stt.processes.membership import Membership, ToProcess, socket_path
from trio_stt.processes.shared_table import MAX_INSTANCE, SharedTable
from trio_stt.processes.supervised_process import SupervisedProcess, start_process

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
_STEADY_S = 60.0
"""Seconds that a process has to serve until its death is again the first of a row."""
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 15.0
"""Longest wait before a restart: connections wait in the queue of the place meanwhile."""


@dataclass(slots=True)
class Place:
    """The place of one process: its listening sockets, and the process that has them now."""

    listeners: Sequence[socket.socket]
    wyoming_listeners: Sequence[socket.socket] = ()
    process: SupervisedProcess | None = None
    failures: int = 0
    replacing: trio.Lock = field(default_factory=trio.Lock)


def restart_delay_s(failures: int) -> float:
    """Seconds before the restart after so many deaths in a row: none for the first, then twice as long each time."""
    return 0.0 if failures <= 1 else min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** (failures - 2))


class Supervisor:
    """Runs one process in each place.

    Args:
        command: The command line of a process.
        places: The places; their listening sockets stay open.
        table: The shared counts, with at least two rows for each place.
        folder: Private folder of the sockets between the processes.
        grace_s: Seconds that a process takes to drain.
        on_ready: Called when every place has a process that serves.
    """

    def __init__(
        self,
        command: Sequence[str],
        places: Sequence[Place],
        *,
        table: SharedTable,
        rows: int,
        folder: str,
        grace_s: float,
        on_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._command = command
        self._places = places
        self._table = table
        self._rows = rows
        self._free_rows = list(range(rows))
        self._folder = folder
        self._grace_s = grace_s
        self._on_ready = on_ready
        self._living: set[SupervisedProcess] = set()
        self._started = 0
        self._stop = trio.Event()
        self._all_started = False
        self._rolling = trio.Lock()
        self._nursery: trio.Nursery

    @property
    def is_serving(self) -> bool:
        """Whether any process serves."""
        return any(process.is_serving for process in self._living)

    async def run(self) -> int:
        """Run until a signal ends it, or a process cannot start at first; the exit status."""
        # Open before the first process: a signal between both would end this one alone.
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            return await self._run(signals)

    async def _run(self, signals: AsyncIterator[int]) -> int:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._follow_signals, signals)
            status = await self._start_all()
            if status == 0 and not self._stop.is_set():
                self._all_started = True
                for place in self._places:
                    nursery.start_soon(self._keep, place)
                await self._on_ready()
                await self._stop.wait()
            self._stop.set()
            await self._end_all(ToProcess.DRAIN)
            nursery.cancel_scope.cancel()
        return status

    async def _start_all(self) -> int:
        """Start all processes; the status of the first that ends before it serves, or 0.

        The first one starts alone: what is wrong is then said once, and it downloads models and compiles kernels for
        all. `_stop` ends it, because all processes are then told to end.
        """
        status = await self._start_place(self._places[0])
        async with trio.open_nursery() as nursery:

            async def start(place: Place) -> None:
                nonlocal status
                if failed := await self._start_place(place):
                    status = status or failed
                    nursery.cancel_scope.cancel()

            for place in () if status else self._places[1:]:
                nursery.start_soon(start, place)
        return 0 if self._stop.is_set() else status

    async def _start_place(self, place: Place) -> int:
        place.process = process = await self._start(place)
        if process is None:
            return 1
        return 0 if await process.wait_ready() else exit_status(process.status)

    async def _start(self, place: Place) -> SupervisedProcess | None:
        """Start a process for a place; None if the system cannot, which is logged."""
        self._started = self._started % MAX_INSTANCE + 1
        row = self._free_rows.pop(0)
        self._table.assign(row, self._started)
        try:
            process = await self._start_with(row, self._started, place)
        except OSError as error:  # no memory, processes or descriptors
            self._table.clear(row)
            self._free_rows.append(row)
            logger.error("a process cannot be started: %s", error.strerror or error)  # noqa: TRY400 - the reason is enough
            return None
        self._living.add(process)
        self._nursery.start_soon(self._follow, process)
        if self._stop.is_set():  # the signal came while it was started
            self._nursery.start_soon(process.end, self._grace_s)
        return process

    async def _start_with(self, row: int, instance: int, place: Place) -> SupervisedProcess:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            membership = Membership(
                instance=instance,
                first=instance == 1,
                leader=place is self._places[0],
                link=theirs.fileno(),
                table=self._table.descriptor,
                rows=self._rows,
                row=row,
                processes=len(self._places),
                folder=self._folder,
                listeners=tuple(listener.fileno() for listener in place.listeners),
                wyoming_listeners=tuple(listener.fileno() for listener in place.wyoming_listeners),
            )
            try:
                return await start_process(self._command, membership, ours)
            except OSError:
                ours.close()
                raise

    async def _follow(self, process: SupervisedProcess) -> None:
        await process.watch()
        self._living.discard(process)
        self._table.clear(process.row)
        self._free_rows.append(process.row)
        with suppress(FileNotFoundError):
            os.unlink(socket_path(self._folder, process.instance))  # noqa: PTH108 - a socket, not worth a Path

    async def _keep(self, place: Place) -> None:
        """Start a successor whenever the process of a place has ended and has none."""
        while True:
            process = place.process
            assert process is not None  # noqa: S101 - every place was started
            await process.ended.wait()
            async with place.replacing:
                if place.process is process:
                    await self._restart(place, process)

    async def _restart(self, place: Place, dead: SupervisedProcess) -> None:
        steady = trio.current_time() - dead.ready_at_s >= _STEADY_S
        place.failures = 1 if steady else place.failures + 1
        if not self._stop.is_set():
            delay_s = restart_delay_s(place.failures)
            logger.error(
                "process %d ended with status %d; its successor starts in %g s", dead.pid, dead.status, delay_s
            )
        successor = None
        while successor is None:
            await trio.sleep(restart_delay_s(place.failures))
            if self._stop.is_set():
                await trio.sleep_forever()  # `run` ends this task
            successor = await self._start(place)
            place.failures += successor is None
        place.process = successor

    async def _replace_all(self) -> None:
        """Replace one process after the other, each after its successor serves, so that no connection is refused."""
        if self._rolling.locked() or not self._all_started:
            logger.warning("SIGUSR2 ignored: the processes are being started or replaced already")
            return
        async with self._rolling:
            logger.info("the processes are replaced, one after the other")
            for place in self._places:
                async with place.replacing:
                    if not await self._replace(place):
                        if self._stop.is_set():
                            return
                        logger.error("the other processes are not replaced: a successor did not start, see above")
                        return
            logger.info("all processes were replaced")

    async def _replace(self, place: Place) -> bool:
        old, new = place.process, await self._start(place)
        if new is None or not await new.wait_ready():
            return False
        place.process, place.failures = new, 0
        if old is not None and not old.ended.is_set():
            await old.end(self._grace_s, ToProcess.HAND_OVER)
        return True

    async def _end_all(self, message: ToProcess) -> None:
        async with trio.open_nursery() as nursery:
            for process in self._living:
                nursery.start_soon(process.end, self._grace_s if message is ToProcess.DRAIN else 0.0, message)

    async def _follow_signals(self, signals: AsyncIterator[int]) -> None:
        """SIGTERM and SIGINT end all, a second one at once; SIGHUP goes to all; SIGUSR2 replaces all."""
        async for number in signals:
            if number == signal.SIGHUP:
                for process in self._living:
                    if process.ready.is_set():  # before, nothing handles it
                        process.signal(signal.SIGHUP)
            elif number == signal.SIGUSR2:
                self._nursery.start_soon(self._replace_all)
            elif self._stop.is_set():
                self._nursery.start_soon(self._end_all, ToProcess.END)
            else:
                self._stop.set()
                for process in self._living:
                    if not process.ready.is_set():
                        self._nursery.start_soon(process.end, self._grace_s)


def exit_status(returncode: int) -> int:
    """The exit status that a shell shows for a process that ended before it served, never 0."""
    return 128 - returncode if returncode < 0 else returncode or 1
