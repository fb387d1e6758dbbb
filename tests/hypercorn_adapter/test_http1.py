"""HTTP/1.1 over real sockets in both workers: half-closed requests, versions, lengths and handshakes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import hosting, serving
from tests.support.server import shared_server
from trio_stt.hypercorn_adapter.trio_connection import TrioConnection

HOST = b"Host: localhost\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
CASES = {
    "unknown version": (b"GET /health/live HTTP/9.9\r\n" + HOST + b"\r\n", 505),
    "version 2.0 without its preface": (b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "version 0.9": (b"GET /health/live HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "two lengths": (
        b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths, the other way round": (
        b"POST /x HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks in HTTP/1.0": (b"POST /x HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "different lengths": (b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "space before the colon": (b"GET /health HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", 400),
    "not http": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "large head": (b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + bytes(30_000).replace(b"\0", b"x"), 431),
}
CONNECTION = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HANDSHAKES = {
    "no handshake": (b"", 426),
    "old version": (CONNECTION + KEY + b"Sec-WebSocket-Version: 8\r\n", 426),
    "no version": (CONNECTION + KEY, 426),
    "no key": (CONNECTION + VERSION, 400),
    "short key": (CONNECTION + VERSION + b"Sec-WebSocket-Key: AAAA\r\n", 400),
    "key that is not base64": (CONNECTION + VERSION + b"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n", 400),
    "long key": (CONNECTION + VERSION + b"Sec-WebSocket-Key: " + b"A" * 40 + b"\r\n", 400),
    "two keys": (CONNECTION + VERSION + KEY + KEY, 400),
    "subprotocol that is not ASCII": (CONNECTION + VERSION + KEY + b"Sec-WebSocket-Protocol: \xff\r\n", 400),
    "extension that is not ASCII": (CONNECTION + VERSION + KEY + b"Sec-WebSocket-Extensions: \xff\r\n", 400),
    "connection that is not ASCII": (CONNECTION + VERSION + KEY + b"Connection: Upgrade, \xff\r\n", 400),
    "body": (CONNECTION + VERSION + KEY + b"Content-Length: 2\r\n", 400),
    "body in chunks": (CONNECTION + VERSION + KEY + b"Transfer-Encoding: chunked\r\n", 400),
    "valid": (CONNECTION + VERSION + KEY, 101),
}


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        yield stream


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Everything that the server sends; a reset of the connection is an error."""
    received = b""
    with trio.fail_after(10):
        while data := await stream.receive_some():
            received += data
    return received


@pytest.fixture(scope="module")
def on_asyncio() -> Iterator[int]:
    """The port of a server under plain `hypercorn`."""
    args = ["-m", "hypercorn", "trio_stt.app:app", "-b", "127.0.0.1:{port}"]
    with shared_server(args) as server:
        yield server.port


async def check_answers(port: int) -> None:
    for name, (request, status) in CASES.items():
        async with connected(port) as stream:
            await stream.send_all(request)
            answer = await read_to_end(stream)
            assert answer.startswith(b"HTTP/1.1 %d " % status), name
            assert answer.count(b"HTTP/1.1 ") == 1, "nothing of a body is a second request"


async def test_invalid_requests_get_their_status_and_a_clean_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        await check_answers(port)


async def test_invalid_requests_get_their_status_on_asyncio(on_asyncio: int) -> None:
    await check_answers(on_asyncio)


async def test_invalid_handshakes_get_their_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        for name, (fields, status) in HANDSHAKES.items():
            async with connected(port) as stream:
                await stream.send_all(b"GET /ws/transcribe HTTP/1.1\r\n" + HOST + fields + b"\r\n")
                with trio.fail_after(10):
                    head = bytes(await stream.receive_some())
            assert head.startswith(b"HTTP/1.1 %d " % status), name
            assert (b"\r\nsec-websocket-version: 13\r\n" in head) is (status == 426), name


async def test_frame_before_the_answer_to_a_handshake_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever the app is with its own answer, there is one answer, and no error."""
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        for path, passes in product((b"/ws/transcribe", b"/v1/realtime", b"/unknown"), range(0, 40, 3)):
            async with connected(port) as stream:
                await stream.send_all(b"GET " + path + b" HTTP/1.1\r\n" + HOST + CONNECTION + VERSION + KEY + b"\r\n")
                for _ in range(passes):
                    await trio.lowlevel.checkpoint()
                await stream.send_all(b"\x81\x85\0\0\0\0hello")
                with trio.fail_after(10):
                    answer = bytes(await stream.receive_some())
                    if not answer.startswith(b"HTTP/1.1 101 "):
                        answer += await read_to_end(stream)
            assert answer.count(b"HTTP/1.1 ") == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def answer_slowly(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    while (await receive()).get("more_body"):
        pass
    await trio.sleep(0.05)  # the end of the client's side has arrived
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first, ", "more_body": True})
    await trio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"second", "more_body": False})


@pytest.mark.parametrize("settings", [b"", b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"], ids=["bare", "with settings"])
async def test_upgrade_to_http2_is_ignored(monkeypatch: pytest.MonkeyPatch, settings: bytes) -> None:
    """Through a proxy that forwards the header it would be a tunnel past the proxy."""
    upgrade = b"Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port, connected(port) as stream:
        await stream.send_all(b"GET /health/live HTTP/1.1\r\n" + HOST + upgrade + b"\r\n")
        answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"}")


async def test_empty_lines_before_a_request_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    request = b"GET /health/live HTTP/1.1\r\n" + HOST
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port, connected(port) as stream:
        for piece in (b"\r\n", b"\r\n" + request + b"\r\n", b"\r\n\r\n" + request + b"Connection: close\r\n\r\n"):
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await read_to_end(stream)).count(b"HTTP/1.1 200") == 2


async def test_405_names_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port, connected(port) as stream:
        await stream.send_all(b"POST /health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert b"\r\nallow: " in await read_to_end(stream)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbody",
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["keep alive", "close", "http 1.0", "body", "two requests"],
)
async def test_client_that_closes_its_side_after_the_request_gets_the_answer(
    monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    async with hosting(monkeypatch, answer_slowly) as port, connected(port) as stream:
        await stream.send_all(request_)
        await stream.send_eof()
        answer = await read_to_end(stream)
    assert answer.count(b"second") == request_.count(b"HTTP/")


async def test_half_closed_requests_are_answered_on_asyncio(on_asyncio: int) -> None:
    async with connected(on_asyncio) as stream:
        await stream.send_all(b"GET /web/main.js HTTP/1.1\r\n" + HOST + b"\r\n")
        await stream.send_eof()
        head, _, body = (await read_to_end(stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert f"content-length: {len(body)}".encode() in head


async def test_request_that_ends_early_is_a_disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    types: list[str] = []

    async def app(_scope: Scope, receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        while types[-1:] != ["http.disconnect"]:
            types.append((await receive())["type"])

    async with hosting(monkeypatch, app) as port, connected(port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbo")
        await stream.send_eof()
        assert await read_to_end(stream) == b""
    assert types == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("is_gone", [True, False])
async def test_long_work_goes_on_for_a_client_that_is_still_there(
    monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    monkeypatch.setattr(TrioConnection, "bounds", replace(TrioConnection.bounds, probe_s=0.02))
    ended, types = trio.Event(), list[str]()

    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        with trio.move_on_after(1.0 if not is_gone else 10.0):
            types.append((await receive())["type"])
        if not is_gone:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"second", "more_body": False})
        ended.set()

    async with hosting(monkeypatch, app) as port, connected(port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        if is_gone:
            await stream.aclose()
        else:
            await stream.send_eof()
            answer = await read_to_end(stream)
            assert b"\r\n\r\nHTTP/1.1 200" in answer, "after an interim answer"
            assert b"second" in answer
        with trio.fail_after(5):
            await ended.wait()
    assert types == (["http.disconnect"] if is_gone else [])


async def test_client_that_leaves_while_it_is_answered_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await trio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with hosting(monkeypatch, app) as port:
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = trio.lowlevel.current_statistics().tasks_living
        async with connected(port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        with trio.fail_after(10):
            while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)
