"""Apps on real sockets in this process, under Hypercorn's Trio worker with the replacements that the server installs.

Tests can observe both sides: the client, and the app, which is the web app with a fake engine or any other app.
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
from trio_stt.hypercorn_adapter.replacements import (
    REPLACEMENTS,
    HostHooks,
    install_replacements,
    install_websocket_class,
)
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits
from trio_stt.server.server_state import ServerState

SocketApp = Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
"""What an app does with a WebSocket that it has accepted."""


def restore_replacements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore Hypercorn's names after the test."""
    for each in REPLACEMENTS:
        monkeypatch.setattr(each.module, each.name, getattr(each.module, each.name))
    monkeypatch.setattr(Config, "ssl_handshake_timeout", Config.ssl_handshake_timeout)


def serving(
    monkeypatch: pytest.MonkeyPatch, server_state: ServerState, config: Config | None = None
) -> AbstractAsyncContextManager[int]:
    """Serve a server as `trio-stt serve` would, until the block ends; the port of 127.0.0.1."""
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)  # it would affect the whole process
    app = build_app(server_state)
    install_websocket_class(app)
    return _hosting(monkeypatch, app, lambda: WebSocketLimits.of(server_state.settings), config or Config())


def accepting(monkeypatch: pytest.MonkeyPatch, app: SocketApp) -> AbstractAsyncContextManager[int]:
    """Serve an app that accepts each WebSocket, until the block ends; the port of 127.0.0.1."""

    async def accept(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await app(receive, send)

    return hosting(monkeypatch, accept)


def hosting(
    monkeypatch: pytest.MonkeyPatch, app: ASGIFramework, config: Config | None = None
) -> AbstractAsyncContextManager[int]:
    """Serve an app for requests and WebSockets, until the block ends; the port of 127.0.0.1."""

    async def with_lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    config = config or Config()
    config.graceful_timeout = 0.0  # do not wait for open connections
    limits = WebSocketLimits(max_message_bytes=2**20, liveness_timeout_s=0.0)
    return _hosting(monkeypatch, with_lifespan, lambda: limits, config)


@asynccontextmanager
async def _hosting(
    monkeypatch: pytest.MonkeyPatch, app: ASGIFramework, limits: Callable[[], WebSocketLimits], config: Config
) -> AsyncIterator[int]:
    restore_replacements(monkeypatch)
    install_replacements(HostHooks(websocket_limits=limits))
    stop = trio.Event()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve_app, app, config, shutdown_trigger=stop.wait))
        try:
            yield int(address.rpartition(":")[2])
        finally:
            stop.set()
