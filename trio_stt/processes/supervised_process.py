"""One process under the supervisor: starts it, learns whether it is ready and alive, and ends it."""

import logging
import math
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

import trio

from trio_stt.processes.membership import FromProcess, Membership, ToProcess

logger = logging.getLogger(__name__)

HUNG_S = 15.0
"""Seconds without a sign of life after which a process counts as hung: it gives one a second, and connections wait in
its queue meanwhile."""
_SECOND_LOOK_S = 5.0
"""Seconds for a sign of life after that: the supervisor itself may have been stopped, or the machine asleep."""
_FORCE_S = 5.0
"""Seconds beyond its own deadlines after which a process that should end is killed."""
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables of systemd that concern the supervisor alone."""


class SupervisedProcess:
    """A process.

    Attributes:
        instance: Its number.
        row: Its row of the shared counts.
        ready: Set when it serves.
        ended: Set when it is no more.
        ready_at_s: When it was ready, on Trio's clock; infinite before.
    """

    def __init__(self, process: trio.Process, membership: Membership, link: trio.SocketStream) -> None:
        self.instance = membership.instance
        self.row = membership.row
        self.ready, self.ended = trio.Event(), trio.Event()
        self.ready_at_s = math.inf
        self._process = process
        self._link = link
        self._is_useless = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int:
        """Its exit status, once it has ended; negative for a signal."""
        assert self._process.returncode is not None  # noqa: S101 - asked for after `ended`
        return self._process.returncode

    @property
    def is_serving(self) -> bool:
        """Whether it is ready and has not ended."""
        return self.ready.is_set() and not self.ended.is_set()

    async def watch(self) -> None:
        """Follow it until it has ended; a process that hangs is killed."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_link)
                await self._process.wait()
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(self._link)
            self.ended.set()

    async def _follow_link(self) -> None:
        while True:
            received = b""
            with trio.move_on_after(HUNG_S if self.ready.is_set() else math.inf) as waiting:
                received = await self._receive()
            if waiting.cancelled_caught:
                with trio.move_on_after(_SECOND_LOOK_S) as waiting:
                    received = await self._receive()
                if waiting.cancelled_caught:
                    logger.error("process %d gives no sign of life for %g s: it is killed", self.pid, HUNG_S)
                    self.signal(signal.SIGKILL)
                    return
            if not received:
                return  # it ends, or has ended
            if FromProcess.READY.encode() in received:
                self.ready_at_s = trio.current_time()
                self.ready.set()
            if FromProcess.USELESS.encode() in received and not self._is_useless:
                self._is_useless = True
                logger.error("process %d needs a restart: see its log lines", self.pid)
                await self.ask(ToProcess.HAND_OVER)

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._link.receive_some(64))
        except trio.BrokenResourceError:
            return b""

    async def wait_ready(self) -> bool:
        """Wait until it serves; False if it ends before."""
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, self.ready)
            nursery.start_soon(wait, self.ended)
        return self.is_serving

    async def ask(self, message: ToProcess) -> None:
        """Ask it for something; one that does not read, or has ended, is not waited for."""
        with (
            trio.move_on_after(0.1),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError),
        ):
            await self._link.send_all(message.encode())

    async def end(self, within_s: float, message: ToProcess = ToProcess.DRAIN) -> None:
        """Ask it to end, and kill it if it has not after this many seconds and some."""
        await self.ask(message)
        if not self.ready.is_set():  # it may not read yet
            self.signal(signal.SIGTERM)
        with trio.move_on_after(within_s + _FORCE_S):
            await self.ended.wait()
            return
        logger.error("process %d does not end: it is killed", self.pid)
        self.signal(signal.SIGKILL)
        await self.ended.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing once it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


async def start_process(command: Sequence[str], membership: Membership, link: socket.socket) -> SupervisedProcess:
    """Start a process.

    Args:
        command: Its command line.
        membership: What it learns.
        link: The supervisor's end of the link, whose other end is in the membership.
    """
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if name not in _NOT_INHERITED},
        **membership.environment(),
    }
    process = await trio.lowlevel.open_process(
        list(command),
        env=environment,
        pass_fds=membership.descriptors,
        # A terminal sends Ctrl-C to all processes of a group: the supervisor alone decides what it means.
        process_group=0,
    )
    return SupervisedProcess(process, membership, trio.SocketStream(trio.socket.from_stdlib_socket(link)))
