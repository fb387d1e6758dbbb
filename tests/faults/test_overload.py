"""More connections than a server can hold, and clients that send endlessly: the server answers in bounded memory."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio

from tests.support.raw_socket import handshake
from tests.support.server import RunningServer, running_server
from trio_stt.bench.process import process_use

DESCRIPTORS = 128
STALLED = 120
HOST = b"Host: localhost\r\n"
LIMITED = f"import os, sys; os.execvp('sh', ['sh', '-c', 'ulimit -n {DESCRIPTORS} && exec \"$@\"', '-', sys.executable"
LIMITED += ", *sys.argv[1:]])"
SERVERS = {
    "serve": ["-c", LIMITED, "-m", "trio_stt", "serve", "--port", "{port}"],
    "asyncio": ["-c", LIMITED, "-m", "hypercorn", "trio_stt.app:app", "-b", "127.0.0.1:{port}"],
}
STALLS = {
    "nothing": b"",
    "half a head": b"GET /health HTTP/1.1\r\nHost: lo",
    "half a body": b"PATCH /api/config HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n{",
    "half a handshake": handshake(1)[:-2],
}
MARGIN_BYTES = 24 * 2**20
"""Several times the size of the buffers of sockets and TLS."""


def descriptors(server: RunningServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def answers(server: RunningServer) -> bool:
    """Whether a new client gets the answer to a request."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            return (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    return False


async def until_answered(server: RunningServer) -> None:
    while not await answers(server):  # noqa: ASYNC110 - another process cannot set our events
        await trio.sleep(0.05)


@pytest.mark.parametrize(
    "args", [SERVERS["serve"], pytest.param(SERVERS["asyncio"], marks=pytest.mark.long)], ids=list(SERVERS)
)
async def test_server_without_descriptors_for_all_clients_answers(args: list[str]) -> None:
    async with running_server(args) as server:
        await until_answered(server)
        before = descriptors(server)
        for name, sent in STALLS.items():
            with ExitStack() as stalled:
                for _ in range(STALLED):
                    client = stalled.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
                    with suppress(OSError):  # it was closed to make room
                        client.sendall(sent)
                with trio.fail_after(15):  # those with half a body have a request, so they stay for 10 s
                    await until_answered(server)
                assert descriptors(server) < DESCRIPTORS, name
            with trio.fail_after(15):
                while descriptors(server) > before + 2:  # noqa: ASYNC110 - another process cannot set our events
                    await trio.sleep(0.05)
        assert await server.stop() == 0
        assert "Traceback" not in server.output


async def wrong_secrets(server: RunningServer) -> None:
    """Requests with a wrong key, whose body is sent byte by byte without end."""
    before = descriptors(server)
    head = b"POST /api/config HTTP/1.1\r\n" + HOST + b"Authorization: Bearer wrong\r\nContent-Length: 9999999\r\n\r\n"

    async def drip() -> None:
        with suppress(trio.BrokenResourceError):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                await stream.send_all(head)
                while True:
                    await stream.send_all(b"x")
                    await trio.sleep(0.1)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(drip)
        while descriptors(server) > before + 2:  # noqa: ASYNC110 - another process cannot set our events
            await trio.sleep(0.05)


async def send_endlessly(server: RunningServer, first: bytes, piece: bytes, *, reads: bool) -> None:
    """Send until the server closes the connection or stops reading; then go on for a second."""
    with suppress(trio.BrokenResourceError):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(first)
            if reads:
                with trio.move_on_after(5):
                    await stream.receive_some()
            with trio.move_on_after(3):
                while True:
                    await stream.send_all(piece)


CHUNKED = b"GET /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /web/main.js HTTP/1.1\r\n" + HOST + b"\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
FLOODS: dict[str, tuple[bytes, bytes, bool]] = {
    "chunks after an early answer": (CHUNKED, b"1\r\nx\r\n" * 10_000, True),
    "chunks with extensions": (CHUNKED, b"1;" + b"x" * 10_000 + b"\r\nx\r\n", True),
    "pipelined requests": (LIVE * 300, LIVE * 300, False),
    "data before the handshake is answered": (handshake(1)[:-2], b"X-A: " + b"b" * 1000 + b"\r\n", False),
    "one endless header": (b"GET / HTTP/1.1\r\nX: ", b"x" * 10_000, False),
    "data after a rejected handshake": (
        handshake(1, headers={"Origin": "http://elsewhere.example", "Host": "localhost"}),
        bytes(60_000),
        True,
    ),
    "http/2 pings": (PREFACE, (bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)) * 4000, False),
    "http/2 settings": (PREFACE, bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) * 4000, False),
    "http/2 priorities": (
        PREFACE,
        b"".join(bytes((0, 0, 5, 2, 0)) + (2 * n + 1).to_bytes(4) + bytes(5) for n in range(4000)),
        False,
    ),
    "http/2 continuations": (
        PREFACE + bytes((0, 0, 1, 1, 0, 0, 0, 0, 1)) + b"\x82",
        (bytes((0, 0, 100, 9, 0, 0, 0, 0, 1)) + b"\x40\x01a\x5f" + bytes(96)) * 600,
        False,
    ),
}


@pytest.mark.long
async def test_memory_is_bounded_whatever_a_client_sends() -> None:
    async with running_server(["-m", "trio_stt", "serve", "--port", "{port}"]) as server:
        await server.wait_for_output("trio-stt is ready on")
        await send_endlessly(server, *FLOODS["pipelined requests"][:2], reads=False)  # memory that is allocated once
        for name, (first, piece, reads) in FLOODS.items():
            before = process_use(server.process.pid).rss_bytes
            await send_endlessly(server, first, piece, reads=reads)
            grown = process_use(server.process.pid).rss_bytes - before
            assert grown < MARGIN_BYTES, f"{name}: {grown / 2**20:.0f} MiB"
            with trio.fail_after(10):
                await until_answered(server)
        await wrong_secrets(server)
        assert "Traceback" not in server.output
