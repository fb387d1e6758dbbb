"""Messages marked with `MORE` are sent together with the next one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketSendEvent

from tests.support.in_process import accepting
from tests.support.raw_socket import PING, RawClient, frame, raw_client
from trio_stt.hypercorn_adapter.direct_websocket import MORE

RESERVED = 3
"""Not an opcode (RFC 6455, section 5.2): a client that sends it is closed."""


def message(name: str, *, more: bool) -> WebsocketSendEvent:
    return cast(
        WebsocketSendEvent, {"type": "websocket.send", "bytes": None, "text": f'{{"type":"{name}"}}', MORE: more}
    )


class HeldBack:
    """An app that sends a message marked with `MORE`, and the next one only after `send_last`."""

    def __init__(self) -> None:
        self.sent = trio.Event()
        self.send_last = trio.Event()

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send(message("first", more=True))
        self.sent.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)  # the receiving task reads frames
            await self.send_last.wait()
            await send(message("second", more=False))
            await trio.sleep_forever()


@asynccontextmanager
async def listening(monkeypatch: pytest.MonkeyPatch, app: HeldBack) -> AsyncIterator[RawClient]:
    async with accepting(monkeypatch, app) as port, raw_client(port) as client:
        await client.open(port)
        await app.sent.wait()
        yield client


async def test_first_message_is_held_until_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    app = HeldBack()
    async with listening(monkeypatch, app) as client:
        with trio.move_on_after(0.3):
            await client.read_on()
        assert client.events == []
        app.send_last.set()
        await client.until("second")
        assert [event["type"] for event in client.events] == ["first", "second"]


async def test_control_frame_of_the_server_flushes_held_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(monkeypatch, HeldBack()) as client:
        await client.send(frame(PING, b"there?"))
        await client.until("first")  # before it, so that frames keep their order


async def test_close_for_a_violation_flushes_held_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(monkeypatch, HeldBack()) as client:
        await client.send(frame(RESERVED))
        await client.read_to_the_end()
        assert [event["type"] for event in client.events] == ["first"]
        assert client.close_code == 1002
