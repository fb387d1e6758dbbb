"""The connection of a session, which outlives its WebSockets: a lost one is replaced, and the session resumed.

It sends each frame once, and delivers each event once. What the server may lack is kept, bounded, and sent again.
"""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from itertools import count

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import UNSET

from trio_stt.client.address import ConnectError
from trio_stt.client.resend_buffer import ResendBuffer
from trio_stt.client.websocket import ClientWebSocket, SocketLost
from trio_stt.errors import TrioSttError
from trio_stt.protocol.events import Error, Event, Hello, Resumed, WarningEvent, decode

_PAUSES_S = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds between attempts to connect again; the last one repeats."""
_RECONNECT_S = 15.0
"""Seconds for which connecting is tried again, if the server keeps the session for less."""
_ATTEMPT_S = 5.0
"""Least seconds for an attempt."""
_STEADY_S = 1.0
"""Seconds after which a connection counts as good: when it is lost, the next attempt comes without a pause."""
_CLEAN_CODE = 1000
_RESTART_CODES = frozenset({None, 1001, 1005, 1012, 1013, 1014})
"""Close codes after which another connection may work: it broke, the server restarts or is full, or a proxy cut it."""
_FINAL_STATUSES = frozenset({401, 403})


class SessionClosed(TrioSttError):  # noqa: N818 - the name describes a state
    """The session is over: the server closed it, it could not be resumed, or the client closed it.

    Attributes:
        code: The WebSocket close code; None if the connection broke, or the client closed the session.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ResumableConnection:
    """See the module.

    Args:
        open_socket: Connects to the server.
        start: The command that each new session begins with.
        deliver: Called with each event, in order.
        unanswered: Returns the commands that still wait for an answer.
    """

    def __init__(
        self,
        open_socket: Callable[[], Awaitable[ClientWebSocket]],
        start: str,
        deliver: Callable[[Event], None],
        unanswered: Callable[[], AbstractSet[str]],
    ) -> None:
        self._open_socket = open_socket
        self._start = start
        self._deliver_event = deliver
        self._unanswered = unanswered
        self._socket: ClientWebSocket | None = None
        self._connected = anyio.Event()  # replaced with each loss; set also at the end
        self._sending = anyio.Lock()  # frames go out in order, also while kept ones are sent again
        self._buffer = ResendBuffer()
        self._buffer.add(start)
        self._seq = 0
        self._token, self._grace_s = "", 0.0
        self._is_greeted = False  # whether a session has begun
        self._end: SessionClosed | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectError: The server cannot be reached, or rejects the connection.
        """
        self._use(await self._open_socket())

    async def send(self, content: str | bytes, duration_s: float = 0.0) -> None:
        """Send a frame; while the connection is lost, keep it for later. Waits while too much is kept.

        Raises:
            SessionClosed: The session is over.
        """
        self.check_open()
        self._buffer.add(content, duration_s)
        await self._send_waiting()
        while self._buffer.is_full:
            await self._connected.wait()
            self.check_open()
            await self._send_waiting()

    def check_open(self) -> None:
        """Raise `SessionClosed` if the session is over."""
        if self._end is not None:
            raise self._end

    async def run(self) -> SessionClosed | None:
        """Receive events until the session is over; returns the failure that ended it, if there was one."""
        async with anyio.create_task_group() as tasks:
            end = await self._serve(tasks)
            tasks.cancel_scope.cancel()
        is_failure = self._end is None and end.code != _CLEAN_CODE
        self._set_end(end)
        return end if is_failure else None

    async def close(self) -> None:
        """Close for good; the server ends the session at once."""
        self._set_end(SessionClosed("the session is closed"))
        if self._socket is not None:
            await self._socket.close()

    def _set_end(self, end: SessionClosed) -> None:
        self._end = self._end or end
        self._connected.set()

    async def _serve(self, tasks: TaskGroup) -> SessionClosed:
        """Receive from one WebSocket after another; returns the end of the session."""
        losses = 0  # in a row, of connections that did not last
        try:
            while True:
                tasks.start_soon(self._send_waiting)
                begun_s = anyio.current_time()
                lost = await self._receive()
                if self._end is not None:
                    return self._end
                if lost.code not in _RESTART_CODES or not (lost.code is None or self._is_greeted):
                    return SessionClosed(f"the server closed the session: {lost}", lost.code)
                losses = losses + 1 if anyio.current_time() - begun_s < _STEADY_S else 0
                if losses:
                    await anyio.sleep(_PAUSES_S[min(losses, len(_PAUSES_S)) - 1])
                await self._reconnect(lost)
        except SessionClosed as end:
            return end

    async def _receive(self) -> SocketLost:
        """Deliver events until the WebSocket is lost; returns how."""
        socket = self._socket
        assert socket is not None  # noqa: S101 - `open` was called
        try:
            while True:
                self._deliver(_event(await socket.receive()))
        except SocketLost as lost:
            self._lose(socket)
            await socket.abort()
            return lost

    def _deliver(self, event: Event) -> None:
        if event.seq is not UNSET:
            if event.seq <= self._seq and not isinstance(event, Hello):
                return
            self._seq = event.seq
        if isinstance(event, Hello):
            self._is_greeted = True
            self._token = "" if event.resume_token is UNSET else event.resume_token
            self._grace_s = event.resume_grace_seconds
        self._buffer.note(event)
        self._deliver_event(event)

    async def _send_waiting(self) -> None:
        """Send what waits, while there is a connection."""
        async with self._sending:
            while self._can_send and (socket := self._socket) and (frame := self._buffer.next_frame):
                try:
                    await socket.send(frame.content)
                except SocketLost:
                    self._lose(socket)  # `_receive` closes it, after it has read why
                else:
                    self._buffer.mark_sent()

    @property
    def _can_send(self) -> bool:
        return self._connected.is_set() and self._end is None

    def _use(self, socket: ClientWebSocket) -> None:
        self._socket = socket
        self._connected.set()

    def _lose(self, socket: ClientWebSocket) -> None:
        if socket is self._socket and self._can_send:
            self._connected = anyio.Event()

    async def _reconnect(self, lost: SocketLost) -> None:
        """Connect again and resume; with a new session, send all that has no final text.

        Raises:
            SessionClosed: The server cannot be reached for longer than it keeps the session, or rejects the client.
        """
        reason: ConnectError | SocketLost = lost
        until_s = anyio.current_time() + max(self._grace_s, _RECONNECT_S)
        for attempt in count():
            begun_s = anyio.current_time()
            try:
                # An attempt is never cut short to nothing: the event loop may have been late until now.
                with anyio.move_on_after(max(until_s - begun_s, _ATTEMPT_S)):
                    await self._resume(await self._open_socket())
                    return
            except (ConnectError, SocketLost) as error:
                reason = error
                if _is_final(error):
                    break
            if begun_s >= until_s:
                break
            await anyio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
        code = reason.code if isinstance(reason, SocketLost) else lost.code
        raise SessionClosed(f"the connection was lost and could not be resumed: {reason}", code)

    async def _resume(self, socket: ClientWebSocket) -> None:
        """Resume the session over a new WebSocket, or go on with the new session that it began.

        Raises:
            SocketLost: The WebSocket is lost.
            SessionClosed: The server speaks another protocol.
        """
        events: list[Event] = []
        try:
            while True:
                events.append(event := _event(await socket.receive()))
                match event:
                    case Hello() if self._token:
                        command = {"type": "resume", "token": self._token, "seq": self._seq}
                        await socket.send(msgspec.json.encode(command).decode())
                    case Hello():
                        return await self._renew(socket, events, commands=0)
                    case Error(where="resume"):  # the server counts the `resume` that it rejected
                        return await self._renew(socket, events, commands=1)
                    case Resumed():
                        return await self._go_on(socket, event)
        except BaseException:
            await socket.abort()  # noqa: ASYNC102 - it closes also when cancelled
            raise

    async def _go_on(self, socket: ClientWebSocket, resumed: Resumed) -> None:
        async with self._sending:
            lacking = self._buffer.resume(resumed.received_packets, resumed.received_commands)
            self._use(socket)
        self._deliver_event(resumed)
        if lacking:
            message = f"{lacking} packets of audio are lost: more was on its way than the client keeps."
            self._deliver_event(WarningEvent(session_id=resumed.session_id, message=message))

    async def _renew(self, socket: ClientWebSocket, events: list[Event], *, commands: int) -> None:
        """Go on with a new session, which has sent these events and counted so far this number of commands."""
        async with self._sending:
            self._seq = 0
            self._buffer.renew(self._start, commands, self._unanswered())
            self._use(socket)
        for event in events:
            self._deliver(event)


def _is_final(error: ConnectError | SocketLost) -> bool:
    """Whether no later attempt will succeed, as with a key that was revoked."""
    if isinstance(error, ConnectError):
        return error.status in _FINAL_STATUSES
    return error.code not in _RESTART_CODES


def _event(text: str) -> Event:
    try:
        return decode(text)
    except msgspec.MsgspecError as error:
        raise SessionClosed(f"the server speaks another protocol, or a later version of it: {error}") from None
