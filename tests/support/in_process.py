"""Apps on real sockets in this process, under a Hypercorn whose sockets are guarded as ours are.

Tests may look at both sides: at a client's, and at the app's, which is the web app with a fake engine, or any other.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_app
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from trio_stt.api.web_app import build_app
from trio_stt.hypercorn_adapter.limited_websocket import WebSocketLimits
from trio_stt.hypercorn_adapter.replacements import (
    REPLACEMENTS,
    HostHooks,
    install_replacements,
    install_websocket_class,
)
from trio_stt.server.server_state import ServerState

Talk = Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
"""What an app does in a WebSocket that it accepted."""


def serving(
    monkeypatch: pytest.MonkeyPatch, server_state: ServerState, config: Config | None = None
) -> AbstractAsyncContextManager[int]:
    """The port of 127.0.0.1 where a house is served until the block ends, as `trio-stt serve` would."""
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)  # of this process, for good
    app = build_app(server_state)
    install_websocket_class(app)
    return _hosting(monkeypatch, app, lambda: WebSocketLimits.of(server_state.settings), config or Config())


def accepting(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> AbstractAsyncContextManager[int]:
    """The port of 127.0.0.1 where an app that accepts each WebSocket is served until the block ends."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await talk(receive, send)

    config = Config()
    config.graceful_timeout = 0.0  # who still talks is not waited for
    return _hosting(monkeypatch, app, lambda: WebSocketLimits(max_message_bytes=2**20, liveness_timeout_s=0.0), config)


@asynccontextmanager
async def _hosting(
    monkeypatch: pytest.MonkeyPatch, app: ASGIFramework, limits: Callable[[], WebSocketLimits], config: Config
) -> AsyncIterator[int]:
    for each in REPLACEMENTS:
        monkeypatch.setattr(each.module, each.name, getattr(each.module, each.name))  # restored after the test
    install_replacements(HostHooks(websocket_limits=limits))
    stop = trio.Event()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve_app, app, config, shutdown_trigger=stop.wait))
        try:
            yield int(address.rpartition(":")[2])
        finally:
            stop.set()
