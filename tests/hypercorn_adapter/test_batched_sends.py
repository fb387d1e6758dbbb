"""Messages of which an app says that there are more at once: they go out with the last of them."""

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
"""No opcode (RFC 6455, section 5.2): who sends it is told, and left."""


def message(name: str, *, more: bool) -> WebsocketSendEvent:
    return cast(
        WebsocketSendEvent, {"type": "websocket.send", "bytes": None, "text": f'{{"type":"{name}"}}', MORE: more}
    )


class Hesitant:
    """An app that says one thing, that there is more, and that only when it is told to go on."""

    def __init__(self) -> None:
        self.said = trio.Event()
        self.go_on = trio.Event()

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send(message("first", more=True))
        self.said.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)  # frames are read by who receives
            await self.go_on.wait()
            await send(message("second", more=False))
            await trio.sleep_forever()


@asynccontextmanager
async def listening(monkeypatch: pytest.MonkeyPatch, app: Hesitant) -> AsyncIterator[RawClient]:
    async with accepting(monkeypatch, app) as port, raw_client(port) as client:
        await client.open(port)
        await app.said.wait()
        yield client


async def test_the_first_waits_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Hesitant()
    async with listening(monkeypatch, app) as client:
        with trio.move_on_after(0.3):
            await client.read_on()
        assert client.events == []
        app.go_on.set()
        await client.until("second")
        assert [event["type"] for event in client.events] == ["first", "second"]


async def test_what_the_server_says_itself_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(monkeypatch, Hesitant()) as client:
        await client.send(frame(PING, b"there?"))
        await client.until("first")  # before it, so that frames keep their order


async def test_a_client_that_breaks_a_rule_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(monkeypatch, Hesitant()) as client:
        await client.send(frame(RESERVED))
        await client.read_to_the_end()
        assert [event["type"] for event in client.events] == ["first"]
        assert client.close_code == 1002
