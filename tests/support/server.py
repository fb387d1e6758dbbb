"""Real servers for tests: a Python process that serves HTTP on a free port of 127.0.0.1.

It owns the process from its start to its last line of output, and does not know what is served.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

import trio
from trio_websocket import WebSocketConnection, open_websocket

ROOT = Path(__file__).parents[2]


class ServerFailed(Exception):  # noqa: N818 - the name describes a state
    """The server ended, or did not answer in time."""


class RunningServer:
    """A server that answers HTTP on `port`; its processes form one process group."""

    def __init__(self, process: trio.Process, port: int, output: IO[bytes]) -> None:
        self.port = port
        self.process = process
        self._output = output
        self._passed_over_bytes = 0

    @property
    def output(self) -> str:
        """The output of the server so far, stdout and stderr."""
        return self._read(self._passed_over_bytes).decode(errors="replace")

    def pass_over_output(self) -> None:
        """Leave the lines written so far out of `output`."""
        self._passed_over_bytes += len(self._read(self._passed_over_bytes))

    def _read(self, start: int) -> bytes:
        size_bytes = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size_bytes - start, start)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the server like a service manager; return its exit status."""
        self.process.send_signal(number)
        return await self.process.wait()

    async def wait_for_output(self, text: str, *, count: int = 1) -> None:
        """Wait until the server has written `text` at least `count` times; the caller sets the deadline.

        Raises:
            ServerFailed: The server ended without it.
        """
        while True:
            ended = self.process.poll() is not None  # before the output, which may end with the text
            if self.output.count(text) >= count:
                return
            if ended:
                raise ServerFailed(f"the server ended with status {self.process.returncode} before it wrote {text!r}")
            await trio.sleep(0.01)

    async def wait_until_ready(self, within_s: float) -> None:
        """Wait until the server answers HTTP."""
        with trio.move_on_after(within_s):
            while not await _answers_http(self.port):
                if self.process.poll() is not None:
                    raise ServerFailed(f"the server ended with status {self.process.returncode}")
                await trio.sleep(0.05)
            return
        raise ServerFailed(f"the server did not answer within {within_s} s")


@asynccontextmanager
async def running_server(
    args: Sequence[str], env: Mapping[str, str] | None = None, *, ready_within_s: float = 60.0
) -> AsyncIterator[RunningServer]:
    """Run `python *args` until the block ends, with `{port}` in `args` replaced by a free port.

    Args:
        args: What follows the interpreter's name, such as `["-m", "hypercorn", "app:app", "-b", "127.0.0.1:{port}"]`.
        env: Variables to add to this process's environment.
        ready_within_s: How long the server may take until it answers an HTTP request.

    Yields:
        The server, ready. When the block ends it gets SIGTERM, and SIGKILL after five seconds.

    Raises:
        ServerFailed: The server was not ready in time.

    Every error that leaves the block carries the server's output as a note.
    """
    with tempfile.TemporaryFile() as output:
        server = await _started(args, env, output)
        try:
            await server.wait_until_ready(ready_within_s)
            yield server
        except BaseException as error:
            error.add_note(f"the server's output:\n{server.output}")
            raise
        finally:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(5):
                    await server.stop()
                await _killed(server)


@contextmanager
def shared_server(args: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """Like `running_server`, for a fixture of a module: the tests run in one event loop each."""
    with tempfile.TemporaryFile() as output:
        server = trio.run(_started, args, env, output)
        try:
            trio.run(server.wait_until_ready, 60.0)
            yield server
        finally:
            trio.run(_ended, server)


@contextmanager
def output_of_one_test(server: RunningServer) -> Iterator[RunningServer]:
    """Print a shared server's output at the end of a test, so that pytest shows it after a failure; then skip it.

    Output between two tests counts for the second one, so that every error is seen.
    """
    try:
        yield server
    finally:
        print(server.output)  # noqa: T201 - pytest captures it
        server.pass_over_output()


async def _started(args: Sequence[str], env: Mapping[str, str] | None, output: IO[bytes]) -> RunningServer:
    port = free_port()
    process = await trio.lowlevel.open_process(
        [sys.executable, *(arg.replace("{port}", str(port)) for arg in args)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        cwd=ROOT,
        start_new_session=True,
    )
    return RunningServer(process, port, output)


async def _ended(server: RunningServer) -> None:
    with trio.move_on_after(5):
        await server.stop()
    await _killed(server)


async def _killed(server: RunningServer) -> None:
    """Kill the remaining processes of the server's process group."""
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    await server.process.wait()


@asynccontextmanager
async def web_socket(server: RunningServer | int, path: str) -> AsyncIterator[WebSocketConnection]:
    """Connect a WebSocket client to the server, or to its port; the end of the block closes it with a close frame."""
    port = server if isinstance(server, int) else server.port
    async with open_websocket("127.0.0.1", port, path, use_ssl=False) as connection:
        try:
            yield connection
        finally:
            await connection.aclose()
            await connection._stream.aclose()  # the library leaves it open if the server closes first


async def _answers_http(port: int) -> bool:
    """Request a status line: Hypercorn opens its listening socket before it loads the app."""
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return await stream.receive_some(5) == b"HTTP/"
    except (OSError, trio.BrokenResourceError):
        return False


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
