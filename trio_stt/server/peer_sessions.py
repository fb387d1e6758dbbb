"""Sessions of this process whose client is connected to another one, and the reverse.

The id of a session names its process. A client that resumes through another process stays connected there, and its
messages go back and forth between both, because the state of a TLS connection cannot be handed over, nor can data that
was already read from it.
"""

import re
from contextlib import suppress

import msgspec
import trio

from trio_stt.errors import ResumeError
from trio_stt.processes.peers import ANSWER_S, PeerLost, Peers, PeerStream
from trio_stt.processes.shared_table import INSTANCE_DIGITS
from trio_stt.protocol.commands import Resume
from trio_stt.session.connection import CloseReason, Connection, ConnectionClosed, Message
from trio_stt.session.connections import NO_SUCH_SESSION
from trio_stt.session.host import Registry

_CALL = "resume"
_SESSION_ID = re.compile(r"[0-9a-f]{32}")
_STALLED_S = 30.0
"""Seconds in which a client must take a message: more than the session's own limit, which ends it in the usual way."""

_FOUND, _NOT_FOUND, _TEXT, _BINARY, _EVENTS, _CLIENT_LEFT, _CLOSED = "FNTBELC"


class _ResumeCall(msgspec.Struct, frozen=True):
    token: str
    seq: int


class PeerConnection:
    """The connection of a session of this process to its client at another one."""

    def __init__(self, stream: PeerStream) -> None:
        self.closed_cleanly = False
        self._stream = stream

    async def receive(self) -> Message:
        """See `Connection.receive`."""
        try:
            kind, body = await self._stream.receive()
        except PeerLost:
            raise ConnectionClosed from None
        if kind == _BINARY:
            return body
        if kind == _TEXT:
            return body.decode()
        self.closed_cleanly = body == b"1"
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        """See `Connection.send`."""
        try:
            await self._stream.send(_EVENTS, msgspec.json.encode(messages))
        except PeerLost:
            raise ConnectionClosed from None

    def abort(self) -> None:
        """See `Connection.abort`."""
        self._stream.close()


class PeerSession:
    """A session of another process, for the client that this process has accepted."""

    def __init__(self, sessions: "PeerSessions", stream: PeerStream) -> None:
        self._sessions = sessions
        self._stream = stream

    async def serve_connection(self, connection: Connection, resume: Resume | None = None) -> CloseReason | None:  # noqa: ARG002 - the other process has it
        """Pass messages on until one side closes; see `SessionHandle.serve_connection`.

        Where the other process is lost, the connection is reset, as its own connections are.
        """
        reason: CloseReason | None = None
        self._sessions.relayed.add(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_messages, connection)
                try:
                    reason = await self._pass_events(connection)
                except PeerLost:
                    connection.abort()
                except ConnectionClosed:
                    pass
                nursery.cancel_scope.cancel()
        finally:
            self._stream.close()
            self._sessions.forget(self)
        return reason

    def abort(self) -> None:
        """Let the client resume through another process."""
        self._stream.close()

    async def _pass_messages(self, connection: Connection) -> None:
        try:
            while True:
                message = await connection.receive()
                if isinstance(message, bytes):
                    await self._stream.send(_BINARY, message)
                elif isinstance(message, str):
                    await self._stream.send(_TEXT, message.encode())
        except ConnectionClosed:
            try:
                await self._stream.send(_CLIENT_LEFT, b"1" if connection.closed_cleanly else b"")
            except PeerLost:
                return
        except PeerLost:
            return  # `_pass_events` notices it, too

    async def _pass_events(self, connection: Connection) -> CloseReason | None:
        while True:
            kind, body = await self._stream.receive()
            if kind == _CLOSED:
                return CloseReason(body.decode()) if body else None
            with trio.move_on_after(_STALLED_S) as waiting:
                await connection.send(*msgspec.json.decode(body, type=list[str]))
            if waiting.cancelled_caught:
                raise PeerLost


class PeerSessions:
    """Finds sessions in other processes, and serves those of this one to others.

    Args:
        peers: The other processes.
        registry: The sessions of this process.

    Attributes:
        relayed: Sessions of others whose client is connected here.
    """

    def __init__(self, peers: Peers, registry: Registry) -> None:
        self.relayed: set[PeerSession] = set()
        self._peers = peers
        self._registry = registry
        self._none = trio.Event()
        peers.serve_stream(_CALL, self._serve)

    async def find(self, resume: Resume) -> PeerSession:
        """The session that a `resume` names, in another process.

        Raises:
            ResumeError: There is none, or its process does not answer.
        """
        session_id = resume.token.partition(".")[0]
        if not _SESSION_ID.fullmatch(session_id):
            raise ResumeError(NO_SUCH_SESSION)
        call = _ResumeCall(resume.token, resume.seq)
        try:
            stream = await self._peers.open(int(session_id[:INSTANCE_DIGITS], 16), _CALL, msgspec.json.encode(call))
        except PeerLost:
            raise ResumeError(NO_SUCH_SESSION) from None
        found, problem = False, NO_SUCH_SESSION
        try:
            with trio.move_on_after(ANSWER_S), suppress(PeerLost):
                kind, body = await stream.receive()
                found, problem = kind == _FOUND, body.decode()
        finally:
            if not found:
                stream.close()
        if not found:
            raise ResumeError(problem)
        return PeerSession(self, stream)

    def abort_all(self) -> None:
        """Let all clients of other processes' sessions resume through another process: this one is being replaced."""
        for session in self.relayed:
            session.abort()

    async def wait_none(self) -> None:
        """Wait until no client of another process's session is connected here."""
        while self.relayed:
            await self._none.wait()

    def forget(self, session: PeerSession) -> None:
        """Note that the client of a session is no longer connected here."""
        self.relayed.discard(session)
        if not self.relayed:
            self._none.set()
            self._none = trio.Event()

    async def _serve(self, stream: PeerStream, body: bytes) -> None:
        call = msgspec.json.decode(body, type=_ResumeCall)
        resume = Resume(call.token, call.seq)
        try:
            session = self._registry.find_own(resume)
        except ResumeError as error:
            await stream.send(_NOT_FOUND, str(error).encode())
            return
        await stream.send(_FOUND)
        try:
            reason = await session.serve_connection(PeerConnection(stream), resume)
        except Exception:  # noqa: BLE001 - the session logged it
            reason = CloseReason.FAILED
        await stream.send(_CLOSED, reason.encode() if reason else b"")
