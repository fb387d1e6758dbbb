"""Connections of the asyncio worker over real sockets, in one loop: when they close, and what they hold until then."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.hypercorn_adapter.test_connection_closing import CHUNKED, KEEP_ALIVE, TINY_CHUNKS
from tests.support.in_process import restore_replacements
from trio_stt.hypercorn_adapter import replacements
from trio_stt.hypercorn_adapter.asyncio_connection import AsyncioConnection
from trio_stt.hypercorn_adapter.replacements import HostHooks, install_replacements
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TOO_LARGE = b"HTTP/1.1 413 "


async def refuse(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer each request without reading its body, and no handshake."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await receive()
    else:
        await asyncio.sleep(0.05)  # until the queue of the body's parts is full
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def run(monkeypatch: pytest.MonkeyPatch, client: Client, config: Config | None = None) -> list[BaseException]:
    """Serve `refuse` to one client until the server's task for it has ended; returns the errors of connections."""
    errors: list[BaseException] = []
    tasks: list[asyncio.Task[None]] = []
    serve_connection = AsyncioConnection.run

    async def run_noted(connection: AsyncioConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await serve_connection(connection)

    monkeypatch.setattr(AsyncioConnection, "run", run_noted)
    limits = WebSocketLimits(max_message_bytes=2**20, liveness_timeout_s=0)
    restore_replacements(monkeypatch)
    install_replacements(HostHooks(websocket_limits=lambda: limits, on_connection_error=errors.append))
    monkeypatch.setattr(AsyncioConnection, "bounds", replace(AsyncioConnection.bounds, closing_s=0.2))

    async def main() -> None:
        stop, served = asyncio.Event(), config or Config()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            served.bind = [f"fd://{os.dup(listener.fileno())}"]
            served.errorlog = None
            serving = asyncio.create_task(serve(refuse, served, shutdown_trigger=stop.wait))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            with suppress(OSError):
                await client(reader, writer)
                assert await reader.read() == b"", "the server closes the connection"
            if tasks:
                await asyncio.wait(tasks)
            writer.close()
            stop.set()
            await serving

    asyncio.run(asyncio.wait_for(main(), 20))
    return errors


@pytest.mark.parametrize("body", [b"", b"1\r\nx\r\n", TINY_CHUNKS[:60_000]], ids=["silent", "begun", "full queue"])
def test_early_answer_is_read_although_the_body_is_not(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED % (b"POST", b"/") + body)
        received = await reader.readuntil(b"\r\n\r\n")
        assert received.startswith(TOO_LARGE)

    assert run(monkeypatch, client) == []


def test_rest_of_a_request_is_discarded_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsyncioConnection, "bounds", replace(AsyncioConnection.bounds, discarded_bytes=2**16))
    ended = False

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        writer.write(CHUNKED % (b"POST", b"/"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(TOO_LARGE)
        try:
            while True:
                writer.write(TINY_CHUNKS)
                await writer.drain()
        except OSError:
            ended = True

    assert run(monkeypatch, client) == []
    assert ended


def test_connection_stays_open_for_further_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(KEEP_ALIVE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(TOO_LARGE)
        writer.write_eof()

    assert run(monkeypatch, client) == []


def test_frame_before_the_answer_to_a_handshake_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HANDSHAKE + b"\x81\x80\0\0\0\0")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")

    assert run(monkeypatch, client) == []


def test_error_ends_only_its_own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_connection: AsyncioConnection) -> None:
        raise LookupError

    monkeypatch.setattr(AsyncioConnection, "_discard", fail)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HELLO\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

    (group,) = run(monkeypatch, client)
    assert isinstance(group, ExceptionGroup)
    assert group.subgroup(LookupError)


@pytest.mark.parametrize("piece", [b"", b"\x16\x03\x01\x02\x00"], ids=["silent", "part of a hello"])
def test_tls_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, piece: bytes) -> None:
    monkeypatch.setattr(replacements, "TLS_HANDSHAKE_S", 0.3)
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    config = Config()
    config.certfile, config.keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")

    async def client(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(piece)
        await writer.drain()

    run(monkeypatch, client, config)


def test_reading_what_has_arrived_lets_other_tasks_run() -> None:
    async def main() -> None:
        connection = AsyncioConnection.__new__(AsyncioConnection)
        connection.reader, connection.config = asyncio.StreamReader(), Config()
        connection.protocol = SimpleNamespace(protocol=None)  # type: ignore[assignment]  # of no kind that reads more
        connection.reader.feed_data(bytes(100_000))
        for _ in range(3):
            other = asyncio.create_task(asyncio.sleep(0, "done"))
            assert len(await connection._receive()) == 8_192
            await asyncio.sleep(0)
            assert other.done(), "two turns of the loop"

    asyncio.run(main())


def test_client_that_is_gone_is_sent_nothing_more() -> None:
    """Asyncio logs each write to a closed connection, and a client can have a hundred answers on their way."""
    handled: list[Event] = []
    written: list[bytes] = []

    async def handle(event: Event) -> None:
        handled.append(event)

    async def main() -> None:
        connection = AsyncioConnection.__new__(AsyncioConnection)
        connection._answered = asyncio.Event()
        connection.protocol = SimpleNamespace(handle=handle)  # type: ignore[assignment]  # all that is used here
        transport = SimpleNamespace(is_closing=lambda: True)
        connection.writer = SimpleNamespace(transport=transport, write=written.append)  # type: ignore[assignment]
        await connection.protocol_send(RawData(b"an answer"))

    asyncio.run(main())
    assert handled == [Closed()]
    assert not written


def test_worker_that_ends_leaves_no_cancelled_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams of CPython 3.11 log each of them with a traceback, which any client that stays could cause."""
    monkeypatch.setattr(TCPServer, "run", lambda _: asyncio.sleep(600))

    async def main() -> bool:
        connection = AsyncioConnection.__new__(AsyncioConnection)
        transport = SimpleNamespace(set_write_buffer_limits=lambda _: None)
        connection.writer = SimpleNamespace(  # type: ignore[assignment]  # all that is used here
            transport=transport, get_extra_info=lambda _: None
        )
        connection._limits, connection._serving = None, asyncio.timeout(None)
        serving = asyncio.create_task(connection.run())
        await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait([serving])
        return serving.cancelled()

    assert not asyncio.run(main())
