"""A WebSocket client on anyio and wsproto, for one connection. It knows no message of the protocol."""

import ssl
from collections import deque
from contextlib import suppress

import anyio
from anyio.abc import ByteStream
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from trio_stt.client.address import ConnectError, parse_address

_PATH = "/ws/transcribe"
_UNAUTHORIZED = 401
_ANSWER_S = 30.0
"""Seconds for the answer to the handshake."""
_SILENCE_S = 15.0
"""Seconds without a byte after which the server is pinged, and as many again until the connection counts as lost: a
busy server may stall for 10 s, and a network that drops packets reports nothing."""
_CLOSING_S = 2.0
_LOST = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, RemoteProtocolError)


class SocketLost(Exception):  # noqa: N818 - the usual end of a connection, not a fault
    """The connection broke, or was closed: then `code` and `reason` are the server's.

    Attributes:
        code: Close code; None where the connection broke.
        reason: Text of the close frame, possibly empty.
    """

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(reason or ("the connection broke" if code is None else f"close code {code}"))
        self.code = code
        self.reason = reason


class ClientWebSocket:
    """One connection; `open_websocket` opens it.

    Args:
        stream: To the server.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._sending = anyio.Lock()
        self._received: deque[Event] = deque()

    async def handshake(self, request: Request) -> Event:
        """Ask for a WebSocket; returns the answer.

        Raises:
            SocketLost: The server closed the connection, or answers with something else than HTTP.
        """
        await self._send(request)
        while not self._received:
            try:
                self._feed(await self._stream.receive())
            except _LOST as error:
                raise SocketLost from error
        return self._received.popleft()

    async def send(self, message: str | bytes) -> None:
        """Send one message, whole or not at all: a cancellation closes the connection if it may be sent in part.

        Raises:
            SocketLost: The connection is over.
        """
        event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        async with self._sending:
            await self._send(event)

    async def receive(self) -> str:
        """Return the next text message; answers pings meanwhile.

        Raises:
            SocketLost: The connection is over, or the server is silent although it was pinged.
        """
        text = ""
        while True:
            while not self._received:
                await self._read()
            match self._received.popleft():
                case TextMessage(data=part, message_finished=finished):
                    text += part
                    if finished:
                        return text
                case Ping() as ping:
                    async with self._sending:
                        await self._send(ping.response())
                case CloseConnection(code=code, reason=reason):
                    raise SocketLost(code, reason or "")

    async def close(self) -> None:
        """Close for good: the server ends the session."""
        with anyio.move_on_after(_CLOSING_S, shield=True):
            with suppress(SocketLost):
                async with self._sending:  # after a message that is being sent
                    await self._send(CloseConnection(code=1000))
            await self._stream.aclose()
        await self.abort()

    async def abort(self) -> None:
        """Close without a close frame."""
        await anyio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        try:
            with anyio.move_on_after(_SILENCE_S):
                self._feed(await self._stream.receive())
                return
            with anyio.move_on_after(_SILENCE_S):
                if not self._sending.locked():  # a send that waits asks as well
                    async with self._sending:
                        await self._send(Ping())
                self._feed(await self._stream.receive())
                return
        except _LOST as error:
            raise SocketLost from error
        raise SocketLost(reason=f"the server was silent for {2 * _SILENCE_S:g} s")

    def _feed(self, data: bytes) -> None:
        self._connection.receive_data(data)
        self._received += self._connection.events()

    async def _send(self, event: Event) -> None:
        try:
            await self._stream.send(self._connection.send(event))
        except (*_LOST, LocalProtocolError) as error:
            raise SocketLost from error
        except BaseException:  # cancelled: nothing can follow half a frame
            await self.abort()  # noqa: ASYNC102, ASYNC120 - it closes also when cancelled
            raise


async def open_websocket(url: str, *, key: str | None, ssl_context: ssl.SSLContext | None) -> ClientWebSocket:
    """Connect to a server.

    Args:
        url: Of the server, such as `http://localhost:8010`; `https` and `wss` use TLS.
        key: An API key.
        ssl_context: For TLS; None verifies the server's certificate by the system's authorities.

    Raises:
        ConnectError: The URL is wrong, there is no server, or it rejects the connection.
    """
    address = parse_address(url, _PATH)
    headers = [(b"Authorization", f"Bearer {key}".encode())] if key else []
    request = Request(host=address.authority, target=address.path + _PATH, extra_headers=headers)
    socket = ClientWebSocket(await address.connect(ssl_context))
    try:
        await _shake_hands(socket, request, url)
    except BaseException:
        await socket.abort()  # noqa: ASYNC102 - it closes also when cancelled
        raise
    return socket


async def _shake_hands(socket: ClientWebSocket, request: Request, url: str) -> None:
    try:
        with anyio.fail_after(_ANSWER_S):
            answer = await socket.handshake(request)
    except SocketLost as error:
        raise ConnectError(f"{url} does not answer as a server of WebSockets") from error
    except TimeoutError:
        raise ConnectError(f"{url} accepts the connection, but does not answer within {_ANSWER_S:g} s") from None
    if not isinstance(answer, AcceptConnection):
        status = answer.status_code if isinstance(answer, RejectConnection) else None
        hint = ": it needs a valid key" if status == _UNAUTHORIZED else ""
        raise ConnectError(f"{url} rejects the connection with status {status}{hint}", status)
