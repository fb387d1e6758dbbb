"""A process's end of the link to its supervisor: reports that it is ready and alive, and follows requests."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from trio_stt.processes.membership import FromProcess, Membership, ToProcess, socket_path

_INTERVAL_S = 1.0
"""Seconds between two signs of life."""


class SupervisorLink:
    """The link.

    Args:
        membership: Of this process.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._socket = socket.socket(fileno=membership.link)
        self._socket.setblocking(False)

    def report_ready(self) -> None:
        """Report that this process serves."""
        self._send(FromProcess.READY)

    async def report_alive(self, is_useful: Callable[[], bool]) -> None:
        """Give signs of life until cancelled.

        Args:
            is_useful: Called before each. While it returns False, the supervisor is told that only a restart helps.
        """
        while True:
            self._send(FromProcess.ALIVE if is_useful() else FromProcess.USELESS)
            await trio.sleep(_INTERVAL_S)

    async def follow(
        self, hand_over: Callable[[], object], drain: Callable[[], object], end: Callable[[], object]
    ) -> None:
        """Follow the supervisor until it is gone, which is a request to drain.

        Args:
            hand_over: Called when this process is replaced, before `drain`; it accepts no connections any more.
            drain: Called for a request to drain; may be called several times.
            end: Called for a request to end at once.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                received = self._socket.recv(64)
            except BlockingIOError:
                continue
            except OSError:
                received = b""
            if ToProcess.HAND_OVER.encode() in received:
                self._stop_accepting()
                hand_over()
            drain()
            if ToProcess.END.encode() in received:
                end()
            if not received:
                return

    def _send(self, message: FromProcess) -> None:
        with suppress(OSError):  # a supervisor that stands still must not make us wait
            self._socket.send(message.encode())

    def _stop_accepting(self) -> None:
        """Let the tasks that accept connections wait for ever, and leave the queue to our successor.

        Closing the listening sockets would end Hypercorn's task, and with it all connections. So their descriptors get
        another listening socket, to which nothing can connect: its name is gone.
        """
        path = socket_path(self._membership.folder, self._membership.instance) + ".idle"
        with socket.socket(socket.AF_UNIX) as idle:
            idle.setblocking(False)
            idle.bind(path)
            os.unlink(path)  # noqa: PTH108 - a socket, not worth a Path
            idle.listen(1)
            for listener in (*self._membership.listeners, *self._membership.wyoming_listeners):
                os.dup2(idle.fileno(), listener, inheritable=False)
