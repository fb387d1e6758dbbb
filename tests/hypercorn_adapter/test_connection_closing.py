"""HTTP connections of the Trio worker over real sockets: when they close, and what they hold until then."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import hosting, serving
from trio_stt.hypercorn_adapter import connection_rules, trio_connection
from trio_stt.hypercorn_adapter.trio_connection import TrioConnection

HOST = b"Host: 127.0.0.1\r\n"
KEEP_ALIVE = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
FINISHED = {
    "close": b"GET /health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "http 1.0": b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n",
    "rejected handshake": b"GET /ws/transcribe HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Origin: http://elsewhere.example\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
    "invalid handshake": b"GET /ws/transcribe HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
    "not http": b"HELLO\r\n\r\n",
}
CHUNKED = b"%s %s HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
TINY_CHUNKS = b"1\r\nx\r\n" * 20_000


@asynccontextmanager
async def connected(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[trio.SocketStream]:
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


async def read_to_end(stream: trio.SocketStream, within_s: float = 5.0) -> bytes:
    received = b""
    with trio.fail_after(within_s):
        while data := await stream.receive_some():
            received += data
    return received


async def flood(stream: trio.SocketStream, data: bytes, most_bytes: int) -> int:
    """Send until the connection is closed; returns how many bytes were accepted."""
    sent = 0
    with trio.fail_after(30):
        try:
            while sent < most_bytes:
                await stream.send_all(data)
                sent += len(data)
        except trio.BrokenResourceError:
            pass
    return sent


@pytest.mark.parametrize("request_", FINISHED.values(), ids=list(FINISHED))
async def test_connection_is_closed_after_its_last_answer(monkeypatch: pytest.MonkeyPatch, request_: bytes) -> None:
    async with connected(monkeypatch) as stream:
        await stream.send_all(request_)
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 ")


async def test_connection_stays_open_for_further_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as stream:
        for _ in range(3):
            await stream.send_all(KEEP_ALIVE)
            received = b""
            with trio.fail_after(5):
                while not received.endswith(b"}"):
                    received += await stream.receive_some()
            assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("header", "body", "body_read_bytes"),
    [
        (b"Content-Length: 100000", b"-" * 100_000, 65_536),
        (b"Transfer-Encoding: chunked", TINY_CHUNKS + b"0\r\n\r\n", 8_192),
    ],
    ids=["length", "chunks"],
)
async def test_larger_reads_are_for_bodies_of_stated_length_only(
    monkeypatch: pytest.MonkeyPatch, header: bytes, body: bytes, body_read_bytes: int
) -> None:
    size_channel, sizes = trio.open_memory_channel[int](100)

    def read_bytes(protocol: object) -> int:
        size = connection_rules.read_bytes(protocol)
        size_channel.send_nowait(size)
        return size

    monkeypatch.setattr(trio_connection, "read_bytes", read_bytes)
    async with connected(monkeypatch) as stream:
        await stream.send_all(b"POST /inference HTTP/1.1\r\n" + HOST + header + b"\r\n\r\n")
        with trio.fail_after(5):
            assert [await sizes.receive(), await sizes.receive()] == [8_192, body_read_bytes], "a head, and a body"
            await stream.send_all(body)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
            while await sizes.receive() != 8_192:  # the next head
                pass


@pytest.mark.parametrize("request_line", [(b"GET", b"/health"), (b"PATCH", b"/nowhere")], ids=["route", "no route"])
async def test_rest_of_a_request_is_discarded_up_to_a_limit_after_an_early_answer(
    monkeypatch: pytest.MonkeyPatch, request_line: tuple[bytes, bytes]
) -> None:
    async with connected(monkeypatch) as stream:
        await stream.send_all(CHUNKED % request_line)
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 "), "the server has closed its side"
        tracemalloc.start()
        sent = await flood(stream, TINY_CHUNKS, 100_000_000)
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sent < 50_000_000, "the buffers of the sockets, and a megabyte"
    assert most_bytes < 8 * 2**20


async def test_silent_rest_of_a_request_is_awaited_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, closing_s=0.2))
    async with connected(monkeypatch) as stream:
        before = trio.lowlevel.current_statistics().tasks_living
        await stream.send_all(CHUNKED % (b"GET", b"/health"))
        await read_to_end(stream)
        with trio.fail_after(5):
            while trio.lowlevel.current_statistics().tasks_living >= before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)


async def test_app_that_answers_without_reading_a_long_body_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app whose queue of body parts is full: no task may wait for a place in it."""
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, closing_s=0.2))

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.testing.wait_all_tasks_blocked(0.1)  # until the queue is full
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with hosting(monkeypatch, app) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        await stream.send_all(CHUNKED % (b"POST", b"/") + TINY_CHUNKS[:6000])
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 413")
        with trio.fail_after(5):
            while trio.lowlevel.current_statistics().tasks_living >= before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)


LARGE_BYTES = 20_000_000


async def _answer_large(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    headers = [(b"content-length", b"%d" % LARGE_BYTES)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(20):
        await send({"type": "http.response.body", "body": bytes(LARGE_BYTES // 20), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize("request_", [FINISHED["close"], CHUNKED % (b"GET", b"/")], ids=["close", "early answer"])
async def test_large_answer_that_is_read_slowly_is_whole(monkeypatch: pytest.MonkeyPatch, request_: bytes) -> None:
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, closing_s=0.2))
    async with hosting(monkeypatch, _answer_large) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request_)
        received = 0
        while data := await stream.receive_some(500_000):
            received += len(data)
            await trio.sleep(0.02)
    assert received > LARGE_BYTES


async def test_connection_that_its_client_closed_is_not_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosting(monkeypatch, _answer_large) as port:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(3):
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(2):  # the keep-alive timeout is 5 s
            while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)


async def test_client_that_does_not_read_is_disconnected_after_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, sending_s=0.2))
    async with hosting(monkeypatch, _answer_large) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        await stream.send_all(KEEP_ALIVE)
        with trio.fail_after(5):
            while trio.lowlevel.current_statistics().tasks_living >= before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)


@pytest.mark.parametrize("request_", [KEEP_ALIVE, KEEP_ALIVE * 300], ids=["one", "pipelined"])
async def test_client_that_does_not_read_does_not_hold_the_shutdown(
    monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    with trio.fail_after(10):
        async with hosting(monkeypatch, _answer_large) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(request_)
            await trio.sleep(0.3)  # until the socket's buffers are full
    await stream.aclose()


async def test_client_that_reads_no_answers_to_its_pings_does_not_hold_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over HTTP/2, where the task that reads is the one that sends."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    pings = (bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)) * 10_000
    with trio.fail_after(20):
        async with hosting(monkeypatch, _answer_large) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(preface)
            with trio.move_on_after(3):
                while True:
                    await stream.send_all(pings)
    await stream.aclose()
