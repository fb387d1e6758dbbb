"""A WebSocket client that can break the protocol: it sends any bytes, and reads the answers frame by frame."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from tests.support.client import PATH

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_MASK = b"\0\0\0\0"


def handshake(port: int, path: str = PATH, headers: Mapping[str, str] | None = None) -> bytes:
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **(headers or {}),
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, announced: int | None = None) -> bytes:
    """A client's frame; `announced` is the length in its header, which may be wrong."""
    size = len(payload) if announced is None else announced
    head = bytes([fin << 7 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + _MASK + payload


@dataclass
class RawClient:
    """A TCP connection to a server."""

    stream: trio.abc.Stream
    answer: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None
    close_reason: str = ""
    pings: int = 0

    def __post_init__(self) -> None:
        self._frames = Connection(ConnectionType.CLIENT)
        self._text = ""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def flood(self, data: bytes) -> None:
        """Send until the server closes the connection."""
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(data)

    async def open(self, port: int, path: str = PATH, headers: Mapping[str, str] | None = None) -> None:
        """Shake hands; `answer` is the head of the response."""
        await self.send(handshake(port, path, headers))
        head = b""
        while b"\r\n\r\n" not in head:
            received = await self.stream.receive_some()
            if not received:
                break
            head += received
        head, _, rest = head.partition(b"\r\n\r\n")
        self.answer = head.decode()
        self._take(rest)

    async def read_on(self) -> bool:
        """Read the next data of the server; returns whether the connection is still open."""
        try:
            received = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        was_open = self.close_code is None
        self._take(received)
        if was_open and self.close_code is not None:
            # RFC 6455 requires a reply, for which the server waits; another task may be sending.
            with suppress(trio.BrokenResourceError, trio.BusyResourceError):
                await self.send(frame(CLOSE))
        return bool(received)

    async def read_to_the_end(self, within_s: float = 30.0) -> None:
        with trio.fail_after(within_s):
            while await self.read_on():
                pass

    async def until(self, kind: str, within_s: float = 30.0) -> dict[str, Any]:
        with trio.fail_after(within_s):
            while not any(event["type"] == kind for event in self.events):
                assert await self.read_on(), f"closed with {self.close_code} {self.close_reason}: {self.events}"
        return next(event for event in self.events if event["type"] == kind)

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._frames.receive_data(data)
        for event in self._frames.events():
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    self.events.append(json.loads(self._text))
                    self._text = ""
            elif isinstance(event, CloseConnection):
                self.close_code, self.close_reason = event.code, event.reason or ""
            elif isinstance(event, Ping):
                self.pings += 1
            else:
                assert not isinstance(event, BytesMessage), "servers send text only"


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    """A new TCP connection."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        yield RawClient(stream)
