"""A WebSocket client on anyio and wsproto, for one connection. It knows no message of the protocol."""

import ssl

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
_LOST = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, RemoteProtocolError)


class SocketLost(Exception):  # noqa: N818 - the usual end of a connection, not a fault
    """The connection broke, or was closed: then `code` and `reason` are the server's.

    Attributes:
        code: Close code; None where the connection broke.
        reason: Text of the close frame, possibly empty.
    """

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(reason or "the connection broke")
        self.code = code
        self.reason = reason


class ClientWebSocket:
    """One open connection; `open_websocket` opens it."""

    def __init__(self, stream: ByteStream, connection: WSConnection) -> None:
        self._stream = stream
        self._connection = connection
        self._sending = anyio.Lock()
        self._received: list[Event] = []

    async def send(self, message: str | bytes) -> None:
        """Send one message.

        Raises:
            SocketLost: The connection is over.
        """
        event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        async with self._sending:
            try:
                await self._stream.send(self._connection.send(event))
            except (*_LOST, LocalProtocolError) as error:
                raise SocketLost from error

    async def receive(self) -> str:
        """Return the next text message; answers pings meanwhile.

        Raises:
            SocketLost: The connection is over.
        """
        text = ""
        while True:
            for event in self._take():
                match event:
                    case TextMessage(data=part, message_finished=finished):
                        text += part
                        if finished:
                            return text
                    case Ping():
                        async with self._sending:
                            await self._send_raw(self._connection.send(event.response()))
                    case CloseConnection(code=code, reason=reason):
                        raise SocketLost(code, reason or "")
            await self._read()

    async def close(self) -> None:
        """Close for good: the server ends the session."""
        try:
            await self._stream.send(self._connection.send(CloseConnection(code=1000)))
        except (*_LOST, LocalProtocolError):
            pass
        await self._stream.aclose()

    async def abort(self) -> None:
        """Close without a close frame."""
        await anyio.aclose_forcefully(self._stream)

    def _take(self) -> "list[Event]":
        return [self._received.pop(0)] if self._received else []

    async def _read(self) -> None:
        if self._received:
            return
        try:
            self._connection.receive_data(await self._stream.receive())
            self._received += self._connection.events()
        except _LOST as error:
            raise SocketLost from error

    async def _send_raw(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except _LOST as error:
            raise SocketLost from error


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
    stream = await address.connect(ssl_context)
    connection = WSConnection(ConnectionType.CLIENT)
    headers = [(b"Authorization", f"Bearer {key}".encode())] if key else []
    socket = ClientWebSocket(stream, connection)
    try:
        request = Request(host=address.authority, target=address.path + _PATH, extra_headers=headers)
        await stream.send(connection.send(request))
        while not socket._received:  # noqa: SLF001 - its own module
            await socket._read()  # noqa: SLF001 - likewise
    except (SocketLost, *_LOST) as error:
        await socket.abort()  # noqa: ASYNC120 - a cancellation counts more
        raise ConnectError(f"{url} does not answer as a server of WebSockets") from error
    answer = socket._received.pop(0)  # noqa: SLF001 - likewise
    if not isinstance(answer, AcceptConnection):
        status = answer.status_code if isinstance(answer, RejectConnection) else None
        await socket.abort()
        hint = ": it needs a valid key" if status == _UNAUTHORIZED else ""
        raise ConnectError(f"{url} rejects the connection with status {status}{hint}")
    return socket
