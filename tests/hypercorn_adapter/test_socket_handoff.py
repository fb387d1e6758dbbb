"""Reading a WebSocket on real sockets, with and without the handoff of the socket to the app."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable

from tests.support.in_process import accepting
from tests.support.raw_socket import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawClient, frame, raw_client
from trio_stt.hypercorn_adapter.connection import SocketHandoff

Message = str | bytes | None
MESSAGES: list[Message] = ["text", b"binary" * 20_000, b"", "in parts", b"\7" * 3900, "the last"]
FRAMES = [
    frame(TEXT, b"text"),
    frame(BINARY, b"binary" * 20_000),
    frame(BINARY),
    frame(TEXT, b"in ", fin=False) + frame(PING, b"between") + frame(CONTINUATION, b"parts"),
    frame(BINARY, b"\7" * 3900),
    frame(TEXT, b"the last"),
]
handoffs = pytest.mark.parametrize("hands_over", [True, False], ids=["handoff", "no handoff"])


class Receiver:
    """An app that receives messages until a disconnect, and records before each how often another task has run."""

    def __init__(self, *, pauses: bool = False) -> None:
        self._pauses = pauses
        self.messages: list[Message] = []
        self.turns = 0
        self.turns_before: list[int] = []
        self.took = trio.Event()
        self.left = trio.Event()

    async def __call__(self, receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_turns)
            while (event := await self._next(receive))["type"] == "websocket.receive":
                self.messages.append(event["text"] if event["bytes"] is None else event["bytes"])
                self.turns_before.append(self.turns)
                self.took.set()
                self.took = trio.Event()
            nursery.cancel_scope.cancel()
        self.left.set()

    async def _next(self, receive: ASGIReceiveCallable) -> ASGIReceiveEvent:
        if self._pauses:
            with trio.CancelScope() as scope:
                scope.cancel()
                return await receive()
        return await receive()

    async def _take_turns(self) -> None:
        while True:
            self.turns += 1
            await trio.lowlevel.checkpoint()

    async def until(self, count: int) -> None:
        with trio.fail_after(30):
            while len(self.messages) < count:
                await self.took.wait()


@asynccontextmanager
async def talking(monkeypatch: pytest.MonkeyPatch, app: Receiver, *, hands_over: bool) -> AsyncIterator[RawClient]:
    """A client with an open WebSocket to the app."""
    if not hands_over:
        monkeypatch.setattr(SocketHandoff, "is_possible", False)
    async with accepting(monkeypatch, app) as port, raw_client(port) as client:
        await client.open(port)
        yield client


@handoffs
@pytest.mark.parametrize("cut", [1, 7, 1000, 10**6])
async def test_messages_arrive_complete_wherever_they_are_cut(
    monkeypatch: pytest.MonkeyPatch, cut: int, hands_over: bool
) -> None:
    app = Receiver()
    async with talking(monkeypatch, app, hands_over=hands_over) as client:
        stream = b"".join(FRAMES)
        ends = len(stream) - 200
        parts = [stream[:200], stream[200:ends], stream[ends:]]
        for part in [parts[0][at : at + cut] for at in range(0, 200, cut)] + [parts[1]]:
            await client.send(part)
            await trio.lowlevel.checkpoint()
        for at in range(0, 200, cut):
            await client.send(parts[2][at : at + cut])
        await app.until(len(MESSAGES))
    assert app.messages == MESSAGES


async def test_app_reads_the_socket_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = []
    read = SocketHandoff.read

    async def record(handoff: SocketHandoff) -> bytes:
        readers.append(trio.lowlevel.current_task().name)
        return await read(handoff)

    monkeypatch.setattr(SocketHandoff, "read", record)
    app = Receiver()
    async with talking(monkeypatch, app, hands_over=True) as client:
        for count in (1, 2, 3):
            await client.send(frame(TEXT, b"x"))
            await app.until(count)
    assert len(readers) >= 2
    assert len(set(readers)) == 1


@handoffs
async def test_other_tasks_run_between_messages_received_together(
    monkeypatch: pytest.MonkeyPatch, hands_over: bool
) -> None:
    app = Receiver()
    async with talking(monkeypatch, app, hands_over=hands_over) as client:
        await client.send(frame(TEXT, b"x"))
        await app.until(1)
        await client.send(frame(BINARY, b"x") * 1000)
        await app.until(1001)
    # In each pass Trio runs the ready tasks in any order. So two messages may come without a turn between, three not.
    assert all(later > earlier for earlier, later in zip(app.turns_before, app.turns_before[2:], strict=False))


@handoffs
async def test_cancelled_receive_loses_nothing(monkeypatch: pytest.MonkeyPatch, hands_over: bool) -> None:
    app = Receiver(pauses=True)
    async with talking(monkeypatch, app, hands_over=hands_over) as client:
        await client.send(b"".join(FRAMES))
        await app.until(len(MESSAGES))
        await client.send(b"".join(FRAMES))
        await app.until(2 * len(MESSAGES))
    assert app.messages == 2 * MESSAGES


async def _close(client: RawClient) -> None:
    await client.send(frame(CLOSE, (1000).to_bytes(2)))


async def _end_stream(client: RawClient) -> None:
    await client.stream.aclose()


async def _reset(client: RawClient) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()


@handoffs
@pytest.mark.parametrize("leave", [_close, _end_stream, _reset], ids=["close frame", "end of stream", "reset"])
async def test_app_is_notified_of_a_disconnect(
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[RawClient], Awaitable[None]],
    hands_over: bool,
) -> None:
    app = Receiver()
    async with talking(monkeypatch, app, hands_over=hands_over) as client:
        await client.send(frame(TEXT, b"x"))
        await app.until(1)
        await leave(client)
        with trio.fail_after(30):
            await app.left.wait()
    assert app.messages == ["x"]
