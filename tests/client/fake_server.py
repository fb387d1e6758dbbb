"""A server that speaks the protocol without transcribing: it notes what arrives, and gets into the trouble of a test.

It runs under Trio and asyncio, in the loop of the client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketStream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request, TextMessage

from tests.protocol.event_messages import EVENTS
from trio_stt.protocol.event_objects import Where
from trio_stt.protocol.events import Error, Flushed, Hello, Resumed, encode
from trio_stt.protocol.events import Event as ServerEvent
from trio_stt.protocol.packets import parse_packet

RESUME_WITH = "hello-again"


class Gone(Exception):  # noqa: N818 - the usual end of a connection
    """The client has closed the connection."""


@dataclass(eq=False)
class FakeSession:
    """What one session got."""

    packets: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    seq: int = 0

    @property
    def audio(self) -> bytes:
        return b"".join(self.packets)


class Peer:
    """One connection of a client."""

    def __init__(self, stream: SocketStream, server: "FakeServer") -> None:
        self.stream = stream
        self.server = server
        self.packets = 0  # of this connection
        self._packet = b""
        self._connection = WSConnection(ConnectionType.SERVER)
        self._events = self._connection.events()

    async def next_event(self) -> Event:
        """What the client sends next, apart from pings, which are answered."""
        while True:
            for event in self._events:
                if not isinstance(event, Ping):
                    return event
                await self.stream.send(self._connection.send(event.response()))
            try:
                self._connection.receive_data(await self.stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise Gone from None
            self._events = self._connection.events()

    async def accept(self) -> None:
        assert isinstance(await self.next_event(), Request)
        await self.stream.send(self._connection.send(AcceptConnection()))

    async def send(self, event: ServerEvent | str) -> None:
        if not isinstance(event, str):
            self.server.session.seq += 1
            event = encode(msgspec.structs.replace(event, seq=self.server.session.seq))
        await self.stream.send(self._connection.send(TextMessage(data=event)))

    async def close(self, code: int, reason: str = "") -> None:
        await self.stream.send(self._connection.send(CloseConnection(code=code, reason=reason)))
        await self.stream.send_eof()

    async def greet(self) -> None:
        """Accept the connection, and begin a session."""
        await self.accept()
        self.server.newest = self  # whose frames count
        self.server.lost, self.server.session = self.server.session, self.server.new_session()
        hello = EVENTS["hello"]
        assert isinstance(hello, Hello)
        await self.send(msgspec.structs.replace(hello, resume_token=RESUME_WITH, resume_grace_seconds=0.0))

    async def serve(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Take frames, until something holds after one of them, or the client leaves."""
        while not until():
            event = await self.next_event()
            if self.server.newest is not self:
                raise Gone
            await self._take(event)

    async def _take(self, event: Event) -> None:
        session = self.server.session
        match event:
            case BytesMessage(data=data, message_finished=finished):
                self._packet += data
                if finished:
                    self.packets += 1
                    session.packets.append(bytes(parse_packet(self._packet, max_payload_bytes=1 << 20).payload))
                    self._packet = b""
            case TextMessage(data=text):
                command = msgspec.json.decode(text)
                if command["type"] == "resume":
                    await self._resume(command["token"])
                    return
                session.commands.append(text)
                if command["type"] == "flush":
                    await self.send(Flushed(session_id="s", id=command["id"]))
            case CloseConnection():
                raise Gone

    async def _resume(self, token: str) -> None:
        lost, self.server.lost = self.server.lost, None
        if lost is None or lost not in self.server.sessions or token != RESUME_WITH:
            self.server.session.commands.append("resume")
            await self.send(Error(message="no such session", where=Where.RESUME))
            return
        self.server.sessions.remove(self.server.session)
        self.server.session = lost
        resumed = Resumed(
            session_id="s",
            received_packets=len(lost.packets),
            received_commands=len(lost.commands),
            streaming=True,
            missed_events=0,
            seq=lost.seq,
        )
        await self.send(encode(resumed))


Conduct = Callable[[Peer], Awaitable[None]]
"""What the server does with one connection; then the connection is cut."""


async def behave(peer: Peer) -> None:
    """Serve until the client leaves."""
    await peer.greet()
    await peer.serve()


class FakeServer:
    """The server; `serving` runs it.

    Args:
        conducts: For one connection after the other; the last one for all that follow.
    """

    def __init__(self, *conducts: Conduct) -> None:
        self._conducts = list(conducts)
        self.sessions: list[FakeSession] = []
        self.session = FakeSession()
        self.lost: FakeSession | None = None  # may be resumed
        self.connections = self.open = 0
        self.url = ""
        self.newest: Peer | None = None
        self.ends = anyio.Event()  # the test is over
        self._changed = anyio.Event()

    def new_session(self) -> FakeSession:
        self.sessions.append(FakeSession())
        return self.sessions[-1]

    def forget(self) -> None:
        """Lose the session, as a restart does."""
        self.session = FakeSession()

    async def wait_connections(self, number: int) -> None:
        """Wait for this number of connections since the beginning."""
        while self.connections < number:
            await self._changed.wait()

    async def wait_left(self) -> None:
        """Wait until no client is connected."""
        while self.open:
            await self._changed.wait()

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        self.open += 1
        self._notify()
        conduct = self._conducts.pop(0) if len(self._conducts) > 1 else self._conducts[0]
        try:
            async with stream:
                await conduct(Peer(stream, self))
        except (Gone, anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        finally:
            self.open -= 1
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def serving(*conducts: Conduct) -> AsyncIterator[FakeServer]:
    """Serve within a block; fails if a client is still connected 10 s after it."""
    server = FakeServer(*conducts)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        server.url = f"http://127.0.0.1:{port}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.handle)  # noqa: ASYNC113 - the socket listens already
            yield server
            server.ends.set()
            with anyio.fail_after(10):
                await server.wait_left()
            tasks.cancel_scope.cancel()
