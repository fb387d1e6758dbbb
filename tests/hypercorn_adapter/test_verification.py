"""The start-up check finds each replacement that is not in force, under both workers, and passes where all are."""

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from hypercorn.asyncio import tcp_server as asyncio_tcp_server
from hypercorn.asyncio import worker_context as asyncio_context
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio import tcp_server, worker_context
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.support.asgi_host import call, run_host
from tests.support.in_process import restore_replacements
from trio_stt.errors import HostError
from trio_stt.hypercorn_adapter import connection, limited_websocket, verification
from trio_stt.hypercorn_adapter.limited_websocket import LimitedWSStream
from trio_stt.hypercorn_adapter.replacements import (
    ASYNCIO_CONNECTION,
    ASYNCIO_CONTEXT,
    H2_PROTOCOL,
    H2_STREAM,
    H11_PROTOCOL,
    H11_STREAM,
    TRIO_CONNECTION,
    TRIO_CONTEXT,
    HostHooks,
    Replacement,
    install_replacements,
)
from trio_stt.hypercorn_adapter.verification import verify_replacements
from trio_stt.hypercorn_adapter.websocket_limits import LimitedMessages, WebSocketLimits

HYPERCORNS_OWN: dict[Replacement, Any] = {
    H11_STREAM: WSStream,
    H2_STREAM: WSStream,
    H11_PROTOCOL: H11Protocol,
    H2_PROTOCOL: H2Protocol,
    TRIO_CONNECTION: tcp_server.TCPServer,
    TRIO_CONTEXT: worker_context.WorkerContext,
    ASYNCIO_CONNECTION: asyncio_tcp_server.TCPServer,
    ASYNCIO_CONTEXT: asyncio_context.WorkerContext,
}
Break = Callable[[pytest.MonkeyPatch], None]


def on_trio() -> None:
    trio.run(verify_replacements)


def on_asyncio() -> None:
    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await verify_replacements()

    run_host(lambda: call(app))


WORKERS = [on_trio, on_asyncio]


broken = pytest.mark.filterwarnings("ignore:.*TCPServer._idle_timeout")
"""A failed check leaves a WebSocket over HTTP/2 open, so Hypercorn cancels its connection. The end of the app makes the
connection idle, and Hypercorn 0.18 starts an idle task in a task group that is shutting down: asyncio refuses it."""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    restore_replacements(monkeypatch)
    install_replacements(
        HostHooks(websocket_limits=lambda: WebSocketLimits(max_message_bytes=2**20, liveness_timeout_s=0))
    )
    monkeypatch.setattr(verification, "_TIMEOUT_S", 0.5)
    yield
    gc.collect()  # so that a leaked task warns in its own test


async def _nothing(*_: object) -> None:
    await trio.lowlevel.checkpoint()


async def _accept_with_compression(stream: LimitedWSStream, message: Any) -> None:
    await WSStream._accept(stream, message)


def _no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedMessages, "announce", lambda *_: None)
    monkeypatch.setattr(LimitedMessages, "add", lambda *_: None)


def _compression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedWSStream, "_accept", _accept_with_compression)


def _no_liveness_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedWSStream, "_watch", _nothing)


def _no_way_to_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_server_beneath", lambda _: None)


def _reset_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_websocket, "reset_function", lambda _: lambda: None)


def _quarts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "install_websocket_class", lambda _: None)


@pytest.mark.parametrize("verify", WORKERS)
def test_installed_replacements_pass_and_hooks_stay(verify: Callable[[], None]) -> None:
    hooks = HostHooks.current
    verify()
    assert HostHooks.current is hooks


@pytest.mark.parametrize("verify", WORKERS)
def test_machine_without_a_loopback_interface_serves_unverified(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, verify: Callable[[], None]
) -> None:
    def no_address(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(verification.socket, "create_server", no_address)
    monkeypatch.setattr(logging.getLogger("trio_stt"), "propagate", True)
    verify()
    assert "could not be verified" in caplog.text


@broken
@pytest.mark.parametrize(
    ("verify", "missing"),
    [
        (on_trio, H11_STREAM),
        (on_trio, H2_STREAM),
        (on_trio, H11_PROTOCOL),
        (on_trio, H2_PROTOCOL),
        (on_trio, TRIO_CONNECTION),
        (on_trio, TRIO_CONTEXT),
        (on_asyncio, H11_STREAM),
        (on_asyncio, H2_STREAM),
        (on_asyncio, H11_PROTOCOL),
        (on_asyncio, H2_PROTOCOL),
        (on_asyncio, ASYNCIO_CONNECTION),
        (on_asyncio, ASYNCIO_CONTEXT),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_replacement_that_hypercorn_no_longer_uses_is_found(
    monkeypatch: pytest.MonkeyPatch, verify: Callable[[], None], missing: Replacement
) -> None:
    monkeypatch.setattr(missing.module, missing.name, HYPERCORNS_OWN[missing])
    with pytest.raises(HostError, match=rf"replaces in it: {missing}\. .*hypercorn 0\.\d+\.\d+ \(tested: "):
        verify()


@broken
@pytest.mark.parametrize("verify", WORKERS)
@pytest.mark.parametrize(
    ("break_it", "name"),
    [
        (_no_limit, str(H11_STREAM)),
        (_compression, str(H11_STREAM)),
        (_no_liveness_check, str(H11_STREAM)),
        (_no_way_to_the_socket, str(H11_STREAM)),
        (_reset_without_effect, str(H11_STREAM)),
        (_quarts_own, "quart_trio.QuartTrio.asgi_websocket_class"),
    ],
)
def test_replacement_that_no_longer_works_is_found(
    monkeypatch: pytest.MonkeyPatch, verify: Callable[[], None], break_it: Break, name: str
) -> None:
    break_it(monkeypatch)
    with pytest.raises(HostError, match=name):
        verify()
