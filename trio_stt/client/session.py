"""One session of a client: sends audio, and receives events. `connect` opens it."""

import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import anyio
import msgspec

from trio_stt.client.address import trusting
from trio_stt.client.resumable_connection import ResumableConnection, SessionClosed
from trio_stt.client.websocket import ClientWebSocket, open_websocket
from trio_stt.protocol.events import Event, Flushed
from trio_stt.protocol.packets import build_packet

_SAMPLE_BYTES = 2


class ClientSession:
    """A session: an async iterator of events, which ends when the session has ended cleanly.

    Args:
        open_socket: Connects to the server.
        rate_hz: Sample rate of the audio.
        start: The `start` command.
    """

    def __init__(self, open_socket: Callable[[], Awaitable[ClientWebSocket]], *, rate_hz: int, start: str) -> None:
        self._rate_hz = rate_hz
        self._connection = ResumableConnection(open_socket, start, self._deliver, self._unanswered)
        self._events_in, self._events_out = anyio.create_memory_object_stream[Event](math.inf)
        self._flush_ids = count(1)
        self._flushes: dict[int, anyio.Event] = {}  # that wait for their answer
        self._failure: SessionClosed | None = None

    async def send(self, pcm: bytes) -> None:
        """Send audio: 16-bit little-endian PCM, mono, at the session's rate.

        A lost connection keeps it for later, and waits while more than 16 MB are kept.

        Raises:
            SessionClosed: The session is over.
        """
        seconds = len(pcm) / _SAMPLE_BYTES / self._rate_hz
        await self._connection.send(build_packet(pcm, rate_hz=self._rate_hz), seconds)

    async def command(self, command: str) -> None:
        """Send a command as JSON text; see docs/protocol.md, Commands.

        Raises:
            SessionClosed: The session is over.
        """
        await self._connection.send(command)

    async def flush(self) -> None:
        """End the running utterance, and wait until the finals of everything sent so far are there.

        Raises:
            SessionClosed: The session ended before.
        """
        number, answered = next(self._flush_ids), anyio.Event()
        self._flushes[number] = answered
        try:
            await self.command(_flush_command(number))
            await answered.wait()
            if number in self._flushes:  # the session ended instead
                self._connection.check_open()
        finally:
            self._flushes.pop(number, None)

    async def finish(self) -> None:
        """Wait for the finals of everything sent so far, and close; the iteration ends with the events until then.

        Raises:
            SessionClosed: The session ended before.
        """
        await self.flush()
        await self._connection.close()

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            SessionClosed: The server closed the session with an error, or it was lost.
        """
        try:
            return await self._events_out.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self._failure is not None:
                raise self._failure from None
            raise StopAsyncIteration from None

    async def open(self) -> None:
        """Connect. `connect` calls it."""
        try:
            await self._connection.open()
        except BaseException:
            self._events_in.close()
            self._events_out.close()
            raise

    async def run(self) -> None:
        """Receive events until the session is over. `connect` calls it."""
        try:
            self._failure = await self._connection.run()
        finally:
            self._events_in.close()
            for waiting in self._flushes.values():
                waiting.set()

    async def close(self) -> None:
        """Close the connection; the server ends the session at once. `connect` calls it."""
        try:
            await self._connection.close()
        finally:
            self._events_in.close()
            self._events_out.close()

    def _deliver(self, event: Event) -> None:
        self._events_in.send_nowait(event)
        if isinstance(event, Flushed) and isinstance(event.id, int) and (answered := self._flushes.pop(event.id, None)):
            answered.set()

    def _unanswered(self) -> set[str]:
        return {_flush_command(number) for number in self._flushes}


def _flush_command(number: int) -> str:
    return msgspec.json.encode({"type": "flush", "id": number}).decode()


@asynccontextmanager
async def connect(
    url: str = "http://127.0.0.1:8010",
    *,
    key: str | None = None,
    rate_hz: int = 16_000,
    language: str | None = None,
    prompt: str | None = None,
    interim: bool | None = None,
    ca_file: str | Path | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[ClientSession]:
    """Open a session for the time of an `async with` block; at its end, the session is closed at once.

    Args:
        url: Of the server; `https` uses TLS.
        key: An API key, where the server has keys.
        rate_hz: Sample rate of the audio.
        language: Of the speech; None for the server's setting.
        prompt: Primes the models; None for the server's setting.
        interim: Whether partials are made; None for the server's setting.
        ca_file: For TLS: a PEM file with the authorities to trust; None for the system's.
        ssl_context: For TLS, instead of `ca_file`.

    Raises:
        ConnectError: The server cannot be reached, or rejects the connection.
    """
    given = {"type": "start", "language": language, "prompt": prompt, "interim": interim}
    start = msgspec.json.encode({name: value for name, value in given.items() if value is not None}).decode()
    open_socket = partial(open_websocket, url, key=key, ssl_context=ssl_context or trusting(ca_file))
    session = ClientSession(open_socket, rate_hz=rate_hz, start=start)
    await session.open()
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run)  # noqa: ASYNC113 - what it would receive waits in the socket
        try:
            yield session
        except Exception as error:  # noqa: BLE001 - raised below, as it is: the task group would wrap it
            failure = error
        finally:
            await session.close()  # noqa: ASYNC102 - it is shielded, with a limit
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
