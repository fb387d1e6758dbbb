"""A client's connection over a pair of sockets; the test decides when the other end reads."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_stt.bench.multiplexed_stream import MultiplexedStream, host_and_resource
from trio_stt.bench.pacer import Pacer

FRAMES = [bytes([number]) * 30_000 for number in range(100)]
"""Three megabytes: more than an unread socket accepts."""
PAST = 0.0


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[MultiplexedStream, trio.SocketStream]]:
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(side)) for side in socket.socketpair())
    async with MultiplexedStream(ours) as stream, theirs:
        yield stream, theirs


async def read(stream: trio.SocketStream, count: int) -> bytes:
    got = bytearray()
    while len(got) < count:
        got += await stream.receive_some()
    return bytes(got)


async def test_frames_and_library_output_never_interleave() -> None:
    async with pair() as (stream, server):
        for frame in FRAMES[:50]:
            stream.send_soon(frame)
        assert stream.has_backlog
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, FRAMES[50])
            await trio.testing.wait_all_tasks_blocked()
            for frame in FRAMES[51:]:
                stream.send_soon(frame)  # while the library waits
            nursery.start_soon(stream.flush)
            got = await read(server, 100 * 30_000)
        assert sorted(got[::30_000]) == list(range(100))
        assert all(got[at : at + 30_000] == bytes([got[at]]) * 30_000 for at in range(0, len(got), 30_000))
        frames = [number for number in got[::30_000] if number != 50]
        assert frames == sorted(frames)
        assert got[::30_000].index(50) >= 50
        assert not stream.has_backlog


async def test_unread_connection_delays_no_other() -> None:
    async with pair() as (unread, unread_server), pair() as (read_stream, server):
        pacer = Pacer()

        def send_all_frames(stream: MultiplexedStream) -> Iterator[float]:
            for frame in FRAMES:
                yield PAST
                stream.send_soon(frame)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pacer.run)
            async with trio.open_nursery() as clients:
                clients.start_soon(pacer.run_schedule, unread, send_all_frames(unread))
                clients.start_soon(pacer.run_schedule, read_stream, send_all_frames(read_stream))
                assert await read(server, 100 * 30_000) == b"".join(FRAMES)
                assert unread.has_backlog
                assert await read(unread_server, 100 * 30_000) == b"".join(FRAMES)
            nursery.cancel_scope.cancel()


async def test_flush_raises_when_the_connection_broke() -> None:
    async with pair() as (stream, server):
        await server.aclose()
        stream.send_soon(b"frame")
        with pytest.raises(trio.BrokenResourceError):
            await stream.flush()


async def test_closed_connection_writes_nowhere() -> None:
    async with pair() as (stream, _):
        await stream.aclose()
        with socket.socket() as other:  # may have the same descriptor
            stream.send_soon(b"frame")
            assert other.fileno() >= 0
        with pytest.raises(trio.ClosedResourceError):
            await stream.flush()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://127.0.0.1:8010/ws/transcribe", ("127.0.0.1:8010", "/ws/transcribe")),
        ("wss://stt.example", ("stt.example", "/")),
        ("wss://stt.example:443/a?b=c&d", ("stt.example", "/a?b=c&d")),
        ("ws://me:secret@stt.example:80/a", ("stt.example", "/a")),
        ("ws://[::1]:8010/a", ("[::1]:8010", "/a")),
    ],
)
def test_host_and_resource_of_a_url(url: str, expected: tuple[str, str]) -> None:
    assert host_and_resource(url) == expected
