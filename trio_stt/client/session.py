"""One session of a client: sends audio, receives events, and resumes after a broken connection.

`connect` opens it. Frames that the server may lack are kept, bounded, and sent again.
"""

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
from msgspec import UNSET

from trio_stt.client.address import ConnectError, trusting
from trio_stt.client.resend_buffer import Frame, ResendBuffer
from trio_stt.client.websocket import ClientWebSocket, SocketLost, open_websocket
from trio_stt.errors import TrioSttError
from trio_stt.protocol.events import Error, Event, Flushed, Hello, Resumed, decode
from trio_stt.protocol.packets import build_packet

_PAUSES_S = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds between attempts to connect again; the last one repeats."""
_RECONNECT_S = 15.0
"""Seconds for which connecting is tried again, if the server keeps the session for less."""
_CLOSING_S = 2.0
_SAMPLE_BYTES = 2


class SessionClosed(TrioSttError):  # noqa: N818 - the name describes a state
    """The server closed the session, or it could not be resumed.

    Attributes:
        code: The WebSocket close code; None if the connection broke.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ClientSession:
    """A session: an async iterator of events, which ends when the server has closed the session cleanly.

    Args:
        open_socket: Connects to the server.
        rate_hz: Sample rate of the audio.
        start: The `start` command.
    """

    def __init__(self, open_socket: Callable[[], Awaitable[ClientWebSocket]], *, rate_hz: int, start: str) -> None:
        self._open_socket = open_socket
        self._rate_hz = rate_hz
        self._start = start
        self._socket: ClientWebSocket | None = None
        self._buffer = ResendBuffer()
        self._seq = 0
        self._token, self._grace_s = "", 0.0
        self._sending = anyio.Lock()  # frames go out in order, also while kept ones are sent again
        self._events_in, self._events_out = anyio.create_memory_object_stream[Event](math.inf)
        self._flush_ids = count(1)
        self._flushes: dict[object, anyio.Event] = {}
        self._failure: SessionClosed | None = None
        self._is_closing = False

    async def send(self, pcm: bytes) -> None:
        """Send audio: 16-bit little-endian PCM, mono, at the session's rate. A lost connection keeps it for later."""
        await self._put(build_packet(pcm, rate_hz=self._rate_hz), len(pcm) / _SAMPLE_BYTES / self._rate_hz)

    async def command(self, command: str) -> None:
        """Send a command as JSON text; see docs/protocol.md, Commands."""
        await self._put(command)

    async def flush(self) -> None:
        """End the running utterance, and wait until the finals of everything sent so far are there.

        Raises:
            SessionClosed: The session ended before.
        """
        number, done = next(self._flush_ids), anyio.Event()
        self._check_open()
        self._flushes[number] = done
        await self.command(_flush_command(number))
        await done.wait()
        self._check_open()

    async def finish(self) -> None:
        """Wait for the finals of everything sent so far, and close; the iteration ends with the events until then.

        Raises:
            SessionClosed: The session ended before.
        """
        await self.flush()
        await self._close_socket()

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
        """Connect, and start the session. `connect` calls it."""
        try:
            self._socket = await self._open_socket()
        except BaseException:
            self._events_in.close()
            self._events_out.close()
            raise
        await self.command(self._start)

    async def run(self) -> None:
        """Receive events until the session is over, resuming it where the connection breaks. `connect` calls it."""
        try:
            while True:
                try:
                    await self._receive_events()
                except SocketLost as lost:
                    if self._is_closing:
                        return
                    if lost.code is not None:
                        if lost.code != 1000:  # noqa: PLR2004 - the code of a clean close
                            self._failure = SessionClosed(f"the server closed the session: {lost}", lost.code)
                        return
                    await self._reconnect()
        except SessionClosed as error:
            self._failure = error
        finally:
            self._events_in.close()
            for waiting in self._flushes.values():
                waiting.set()

    async def close(self) -> None:
        """Close the connection; the server ends the session at once. `connect` calls it."""
        await self._close_socket()
        self._events_out.close()

    async def _close_socket(self) -> None:
        self._is_closing = True
        if self._socket is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await self._socket.close()

    async def _put(self, content: str | bytes, duration_s: float = 0.0) -> None:
        async with self._sending:
            self._check_open()
            await self._send(self._buffer.add(content, duration_s))

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _send(self, frame: Frame) -> None:
        socket = self._socket
        if socket is not None:
            try:
                await socket.send(frame.content)
                frame.sent = True
            except SocketLost:  # `run` notices it, too, and resumes
                self._socket = None
                await socket.abort()

    async def _receive_events(self) -> None:
        socket = self._socket
        if socket is None:
            raise SocketLost
        while True:
            self._deliver(decode(await socket.receive()))

    def _deliver(self, event: Event) -> None:
        if event.seq is not UNSET:
            if event.seq <= self._seq and not isinstance(event, Hello):
                return
            self._seq = event.seq
        if isinstance(event, Hello):
            self._token = "" if event.resume_token is UNSET else event.resume_token
            self._grace_s = event.resume_grace_seconds
        self._buffer.note(event)
        self._events_in.send_nowait(event)
        if isinstance(event, Flushed) and (done := self._flushes.pop(event.id, None)):
            done.set()

    async def _reconnect(self) -> None:
        """Connect again and resume; with a new session, send all that has no final text.

        Raises:
            SessionClosed: The server cannot be reached for longer than it keeps the session.
        """
        if self._socket is not None:
            await self._socket.abort()
        self._socket = None
        reason: Exception = SocketLost()
        with anyio.move_on_after(max(self._grace_s, _RECONNECT_S)):
            for attempt in count():
                try:
                    await self._resume(await self._open_socket())
                except (ConnectError, SocketLost) as error:
                    reason = error
                    await anyio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
                else:
                    return
        raise SessionClosed(f"the connection was lost and could not be resumed: {reason}")

    async def _resume(self, socket: ClientWebSocket) -> None:
        held = [decode(await socket.receive())]
        if not self._token:
            self._adopt(held, commands=0)
            await self._use(socket)
            return
        await socket.send(msgspec.json.encode({"type": "resume", "token": self._token, "seq": self._seq}).decode())
        while True:
            event = decode(await socket.receive())
            if isinstance(event, Resumed):
                self._events_in.send_nowait(event)
                await self._use(socket, event)
                return
            held.append(event)
            if isinstance(event, Error) and event.where == "resume":
                self._adopt(held, commands=1)  # the server counts the `resume` that it rejected
                await self._use(socket)
                return

    async def _use(self, socket: ClientWebSocket, resumed: Resumed | None = None) -> None:
        """Send over a connection from here on, first what the server lacks."""
        async with self._sending:
            if resumed is not None:
                self._buffer.resume(resumed.received_packets, resumed.received_commands)
            self._socket = socket
            for frame in self._buffer.unsent():
                await self._send(frame)

    def _adopt(self, events: list[Event], *, commands: int) -> None:
        """Go on with a new session, which has sent these events and counted so far this number of commands."""
        self._seq = 0
        unanswered = {_flush_command(number) for number in self._flushes}
        self._buffer.renew(self._start, commands, unanswered)
        for event in events:
            self._deliver(event)


def _flush_command(number: object) -> str:
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
