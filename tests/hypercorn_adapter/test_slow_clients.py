"""Slow clients (slowloris) over real sockets: in each phase, the server closes a connection at a deadline."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import h2.config
import h2.connection
import pytest
import trio
import trustme
from hypercorn.config import Config

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import handshake
from trio_stt.api import http, websocket_admission
from trio_stt.hypercorn_adapter import http2
from trio_stt.hypercorn_adapter.trio_connection import TrioConnection

HOST = b"Host: localhost\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
GET_HEADERS = b"\x82\x86\x84\x41\x09localhost"
"""Headers in HPACK: GET, http, / and the authority."""
PING = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)
PHASES = {
    "request line": (b"", b"G"),
    "request head": (b"GET /health HTTP/1.1\r\n" + HOST, b"X-A: b\r\n"),
    "body": (b"PATCH /api/config HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n", b" "),
    "chunked body": (b"PATCH /api/config HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "rest after an early answer": (b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n", b"x"),
    "next request": (b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n", b"G"),
    "protocol error": (b"not http\r\n\r\n", b"x"),
    "http/2 without a request": (PREFACE, PING),
    "http/2 head": (PREFACE + bytes((0, 0, len(GET_HEADERS), 1, 0, 0, 0, 0, 1)) + GET_HEADERS, b""),
}


@asynccontextmanager
async def short_deadlines(
    monkeypatch: pytest.MonkeyPatch, config: Config | None = None, **settings: object
) -> AsyncIterator[int]:
    """The port of a server with short deadlines."""
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, closing_s=0.2))
    monkeypatch.setattr(http, "_BODY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(websocket_admission, "AUTH_TIMEOUT_S", 0.3)
    config = config or Config()
    config.keep_alive_timeout = 0.3
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine(), **settings), config) as port:
        yield port


async def drip_until_closed(stream: trio.abc.Stream, first: bytes, piece: bytes) -> None:
    """Send `piece` again and again, while the server's answers are read."""

    async def drip() -> None:
        try:
            await stream.send_all(first)
            for _ in itertools.count():
                await trio.sleep(0.02)
                await stream.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            closed.set()

    closed = trio.Event()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            await stream.aclose()
            nursery.cancel_scope.cancel()


async def until_tasks(count: int) -> None:
    """Wait until the server has at most this many tasks, because closed connections must be freed, too."""
    with trio.fail_after(10):
        while trio.lowlevel.current_statistics().tasks_living > count:  # noqa: ASYNC110 - no event tells
            await trio.sleep(0.01)


@pytest.mark.parametrize(("first", "piece"), PHASES.values(), ids=list(PHASES))
async def test_connection_has_a_deadline(monkeypatch: pytest.MonkeyPatch, first: bytes, piece: bytes) -> None:
    async with short_deadlines(monkeypatch) as port:
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = trio.lowlevel.current_statistics().tasks_living
        await drip_until_closed(await trio.open_tcp_stream("127.0.0.1", port), first, piece)
        await until_tasks(before)


async def test_key_of_a_socket_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.touch()
    async with short_deadlines(monkeypatch, keys_file=str(keys)) as port:
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = trio.lowlevel.current_statistics().tasks_living
        # The first byte of a text frame; its payload comes slowly.
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await drip_until_closed(stream, handshake(port) + b"\x81\xfe\xff\xff\0\0\0\0", b"{")
        await until_tasks(before)


async def test_answer_over_http2_has_a_deadline_when_the_client_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's flow-control window is closed, so the kernel's buffers never fill."""
    monkeypatch.setattr(http2, "_SENDING_S", 0.3)
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.local_settings.initial_window_size = 0
    client.initiate_connection()
    client.send_headers(
        1,
        [(":method", "GET"), (":scheme", "http"), (":path", "/web/main.js"), (":authority", "localhost")],
        end_stream=True,
    )
    async with short_deadlines(monkeypatch) as port:
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = trio.lowlevel.current_statistics().tasks_living
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await drip_until_closed(stream, client.data_to_send(), PING)
        await until_tasks(before)


@pytest.mark.parametrize("piece", [b"", b"\x16\x03\x01\x02\x00"], ids=["silent", "part of a hello"])
async def test_tls_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, piece: bytes) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    config = Config()
    config.certfile, config.keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    config.ssl_handshake_timeout = 0.3  # type: ignore[assignment]  # Hypercorn declares whole seconds
    async with short_deadlines(monkeypatch, config) as port:
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = trio.lowlevel.current_statistics().tasks_living
        await drip_until_closed(await trio.open_tcp_stream("127.0.0.1", port), piece, b"")
        await until_tasks(before)
