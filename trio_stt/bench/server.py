"""A server for the duration of a measurement: runs `trio-stt serve` in another process.

It owns the process. It must not know how a server works inside: it runs the command that a user would run.
"""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from trio_stt.errors import TrioSttError

_SERVE = (sys.executable, "-m", "trio_stt", "serve")
_READY = "trio-stt is ready on"
_ENVIRONMENT = {
    "TRIO_STT_MAX_SESSIONS": "1000",
    "TRIO_STT_MAX_ACTIVE_SPEAKERS": "1000",
    "TRIO_STT_MAX_CONNECTIONS_PER_ADDRESS": "1000",
    "TRIO_STT_LOG_LEVEL": "WARNING",
}
"""High limits, so that a measurement finds the limit of the machine and not of a setting. Flags override them."""
_END_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServer:
    """A running server.

    Attributes:
        url: The URL of its WebSocket.
        pid: Its process id.
    """

    url: str
    pid: int


@asynccontextmanager
async def own_server(flags: Sequence[str], *, command: Sequence[str] = _SERVE) -> AsyncIterator[OwnServer]:
    """Run a server on a free port until the block ends.

    Args:
        flags: Flags of `trio-stt serve`.
        command: A command that accepts them and reports when it is ready, like `trio-stt serve`.

    Raises:
        TrioSttError: It did not start; the message contains its output.
    """
    port = _free_port()
    process = await trio.lowlevel.open_process(
        [*command, "--port", str(port), *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None,
        env={**_ENVIRONMENT, **os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        written = b""
        while _READY.encode() not in written:
            more = await process.stdout.receive_some()
            if not more:
                raise TrioSttError(f"the server did not start: {written.decode(errors='replace').strip()}")
            written += more
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, process.stdout)
            yield OwnServer(url=f"ws://127.0.0.1:{port}/ws/transcribe", pid=process.pid)
            nursery.cancel_scope.cancel()
    finally:
        process.terminate()
        with trio.move_on_after(_END_TIMEOUT_S, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    """Read and discard the server's output, because a full pipe would block the server."""
    async for _ in stream:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
