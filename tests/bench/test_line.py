"""A talker's line, on a pair of sockets whose other end reads when the test says so."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_stt.bench.multiplexed_stream import MultiplexedStream, host_and_resource
from trio_stt.bench.pacer import Pacer

FRAMES = [bytes([number]) * 30_000 for number in range(100)]
"""Three megabytes: more than a socket takes of which nobody reads."""
PAST = 0.0


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[MultiplexedStream, trio.SocketStream]]:
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(side)) for side in socket.socketpair())
    async with MultiplexedStream(ours) as line, theirs:
        yield line, theirs


async def read(stream: trio.SocketStream, count: int) -> bytes:
    got = bytearray()
    while len(got) < count:
        got += await stream.receive_some()
    return bytes(got)


async def test_frames_stay_whole_and_in_order_with_what_the_library_sends() -> None:
    async with pair() as (line, server):
        for frame in FRAMES[:50]:
            line.put(frame)
        assert line.behind
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.send_all, FRAMES[50])
            await trio.testing.wait_all_tasks_blocked()
            for frame in FRAMES[51:]:
                line.put(frame)  # while the library waits
            nursery.start_soon(line.catch_up)
            got = await read(server, 100 * 30_000)
        assert sorted(got[::30_000]) == list(range(100))
        assert all(got[at : at + 30_000] == bytes([got[at]]) * 30_000 for at in range(0, len(got), 30_000))
        put = [number for number in got[::30_000] if number != 50]
        assert put == sorted(put)
        assert got[::30_000].index(50) >= 50
        assert not line.behind


async def test_one_that_is_not_read_waits_alone() -> None:
    async with pair() as (deaf, deaf_server), pair() as (heard, server):
        pacer = Pacer()

        def say(line: MultiplexedStream) -> Iterator[float]:
            for frame in FRAMES:
                yield PAST
                line.put(frame)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pacer.run)
            async with trio.open_nursery() as talking:
                talking.start_soon(pacer.follow, deaf, say(deaf))
                talking.start_soon(pacer.follow, heard, say(heard))
                assert await read(server, 100 * 30_000) == b"".join(FRAMES)
                assert deaf.behind
                assert await read(deaf_server, 100 * 30_000) == b"".join(FRAMES)
            nursery.cancel_scope.cancel()


async def test_a_line_that_broke_tells_who_catches_up() -> None:
    async with pair() as (line, server):
        await server.aclose()
        line.put(b"frame")
        with pytest.raises(trio.BrokenResourceError):
            await line.catch_up()


async def test_a_closed_line_writes_nowhere() -> None:
    async with pair() as (line, _):
        await line.aclose()
        with socket.socket() as other:  # may have its number
            line.put(b"frame")
            assert other.fileno() >= 0
        with pytest.raises(trio.ClosedResourceError):
            await line.catch_up()


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://127.0.0.1:8010/ws/transcribe", ("127.0.0.1:8010", "/ws/transcribe")),
        ("wss://stt.example", ("stt.example", "/")),
        ("wss://stt.example:443/a?b=c&d", ("stt.example", "/a?b=c&d")),
        ("ws://me:secret@stt.example:80/a", ("stt.example", "/a")),
        ("ws://[::1]:8010/a", ("[::1]:8010", "/a")),
    ],
)
def test_what_a_request_names(url: str, asked: tuple[str, str]) -> None:
    assert host_and_resource(url) == asked
