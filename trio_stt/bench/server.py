"""A server of one's own to measure: `trio-stt serve` as another process, from its start to its end.

It owns the process. It must not know how a server works inside: it runs the command that a user would.
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
"""A measurement finds the limit of the machine, not of a setting; flags win over the environment."""
_END_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServer:
    """A server that runs.

    Attributes:
        url: Its WebSocket.
        pid: Its process.
    """

    url: str
    pid: int


@asynccontextmanager
async def own_server(flags: Sequence[str], *, command: Sequence[str] = _SERVE) -> AsyncIterator[OwnServer]:
    """Run a server on a free port until the block ends.

    Args:
        flags: Of `trio-stt serve`.
        command: That takes them and says when it is ready, as `trio-stt serve` does.

    Raises:
        TrioSttError: It did not start; the message is what it wrote.
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
        with trio.move_on_after(_END_WITHIN_S, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    """Nobody reads what it writes from now on, and a full pipe would stop it."""
    async for _ in stream:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
