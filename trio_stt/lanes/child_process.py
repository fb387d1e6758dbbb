"""The child process of an engine as its executor sees it: a pipe for requests, one for answers, and its end."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from subprocess import PIPE
from typing import Protocol

import trio

_READ_BYTES = 1 << 16


class Child(Protocol):
    """A started child process and the connection to it."""

    async def send(self, message: bytes) -> None:
        """Send all of it. Raises trio.BrokenResourceError if the child does not read any more."""

    async def receive(self) -> bytes | bytearray:
        """The next bytes; none when the child has ended."""

    async def end_input(self) -> None:
        """Tell the child that no more requests come."""

    def kill(self) -> None:
        """End the child at once. Does nothing if it has ended."""

    async def wait(self) -> str:
        """Wait for its end, and describe it."""


class ChildProcess:
    """`engine_child` in a process of its own. Implements `Child`."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - for the type checker: `start` asks for both
        assert process.stdout is not None  # noqa: S101 - as above
        self._process, self._requests, self._answers = process, process.stdin, process.stdout

    @classmethod
    async def start(cls, command: Sequence[str]) -> "ChildProcess":
        """Start it.

        Raises:
            OSError: The system cannot.
        """
        # The child imports what this process would import. A session of its own keeps a terminal's Ctrl-C away from it.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = await trio.lowlevel.open_process(
            command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
        )
        return cls(process)

    async def send(self, message: bytes) -> None:
        """See `Child.send`."""
        await self._requests.send_all(message)

    async def receive(self) -> bytes | bytearray:
        """See `Child.receive`."""
        return await self._answers.receive_some(_READ_BYTES)

    async def end_input(self) -> None:
        """See `Child.end_input`."""
        await self._requests.aclose()

    def kill(self) -> None:
        """See `Child.kill`."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> str:
        """See `Child.wait`."""
        status = await self._process.wait()
        await self._requests.aclose()
        await self._answers.aclose()
        if status >= 0:
            return f"ended with status {status}"
        with suppress(ValueError):  # a real-time signal has no name
            return f"was ended by {signal.Signals(-status).name}"
        return f"was ended by signal {-status}"
