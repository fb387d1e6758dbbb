"""The ASGI bridge under real Hypercorn workers; `test_host_bridge_edges` and `test_guest_run` script the host."""

import http.client
import signal
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.support.server import (
    RunningServer,
    ServerFailed,
    output_of_one_test,
    running_server,
    shared_server,
    web_socket,
)

HYPERCORN = [
    *("-W", "error::RuntimeWarning", "-W", "error::ResourceWarning"),
    *("-m", "hypercorn", "-b", "127.0.0.1:{port}", "tests.support.host_app:app"),
]
WORKERS = ["asyncio", "trio"]
HANDSHAKE = (
    b"GET /watch HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(scope="module", params=WORKERS)
def shared(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with shared_server([*HYPERCORN, "-k", request.param]) as running:
        yield running


@pytest.fixture
async def server(shared: RunningServer) -> AsyncIterator[RunningServer]:
    with trio.fail_after(60), output_of_one_test(shared):
        yield shared


async def get(server: RunningServer, path: str) -> tuple[int, bytes]:
    def blocking_get() -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return response.status, response.read()

    return await trio.to_thread.run_sync(blocking_get)


async def close_reason(socket: WebSocketConnection) -> tuple[int, str | None]:
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    assert closed.value.reason is not None
    return closed.value.reason.code, closed.value.reason.reason


async def test_request_is_answered_by_trio_code(server: RunningServer) -> None:
    assert await get(server, "/") == (200, b"Trio was here")


async def test_app_error_gives_500_and_the_server_continues(server: RunningServer) -> None:
    status, _ = await get(server, "/error")
    assert status == 500
    assert "ValueError: this route is broken" in server.output
    assert await get(server, "/") == (200, b"Trio was here")


async def test_failed_websocket_is_closed_and_the_server_continues(server: RunningServer) -> None:
    async with web_socket(server, "/broken") as socket:
        await close_reason(socket)
    assert "ValueError: this socket is broken" in server.output
    assert await get(server, "/") == (200, b"Trio was here")


async def test_error_below_the_app_reaches_the_host_and_the_server_continues(server: RunningServer) -> None:
    status, _ = await get(server, "/below")
    assert status == 500
    assert "Error in ASGI Framework" in server.output
    assert "LookupError: raised below Quart" in server.output
    assert await get(server, "/") == (200, b"Trio was here")


async def test_websocket_echoes_text_and_binary_in_order(server: RunningServer) -> None:
    sent = [f"message {i}" if i % 2 else i.to_bytes(4, "big") * (i % 300 + 1) for i in range(1000)]
    received: list[str | bytes] = []
    async with web_socket(server, "/echo") as socket, trio.open_nursery() as nursery:

        async def send_all() -> None:
            for message in sent:
                await socket.send_message(message)

        nursery.start_soon(send_all)
        while len(received) < len(sent):
            received.append(await socket.get_message())
    assert received == sent


async def test_a_close_right_after_accept_shows_the_event_and_the_code(server: RunningServer) -> None:
    async with web_socket(server, "/refuse") as socket:
        assert await socket.get_message() == "full"
        assert await close_reason(socket) == (1013, "server full")


@pytest.mark.parametrize("how_it_ends", ["close frame", "end of stream", "reset"])
async def test_disconnect_cancels_only_its_own_handler(server: RunningServer, how_it_ends: str) -> None:
    async with web_socket(server, "/watch") as stayer:
        assert await stayer.get_message() == "watching"
        if how_it_ends == "close frame":
            async with web_socket(server, "/watch") as leaver:
                await leaver.get_message()
        else:
            await disconnect_abruptly(server, reset=how_it_ends == "reset")
        await server.wait_for_output("<handler cancelled>")
        await stayer.ping()
    await server.wait_for_output("<handler cancelled>", count=2)
    assert "Traceback" not in server.output


async def disconnect_abruptly(server: RunningServer, *, reset: bool) -> None:
    """Open /watch over a bare socket, and disconnect without a close frame."""
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    await stream.send_all(HANDSHAKE)
    received = b""
    while b"watching" not in received:
        received += await stream.receive_some()
    if reset:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


EARLY_FRAME = HANDSHAKE + b"\x81\x80\0\0\0\0"


@pytest.mark.parametrize("shared", ["trio"], indirect=True)
async def test_protocol_error_ends_only_its_own_connection(server: RunningServer) -> None:
    """Hypercorn raises when a frame comes before its answer to the handshake, which would end its Trio worker.

    The error appears in the connection or in the app, depending on timing; enough repetitions meet both cases.
    """
    async with web_socket(server, "/echo") as bystander:
        for _ in range(20):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                await stream.send_all(EARLY_FRAME)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await bystander.send_message("still here")
        assert await bystander.get_message() == "still here"
    assert await get(server, "/") == (200, b"Trio was here")


@pytest.mark.parametrize("worker", WORKERS)
async def test_a_failed_startup_ends_the_server(worker: str) -> None:
    with trio.fail_after(60):
        with pytest.raises(ServerFailed) as failed:
            async with running_server([*HYPERCORN, "-k", worker], {"FAIL_STARTUP": "1"}):
                pass
        assert "no model" in str(failed.value.__notes__)


@pytest.mark.parametrize("worker", WORKERS)
async def test_sigterm_cancels_an_open_websocket_before_the_lifespan_shutdown(worker: str) -> None:
    with trio.fail_after(60):
        async with running_server([*HYPERCORN, "-k", worker]) as server:
            assert await get(server, "/") == (200, b"Trio was here")
            assert "<startup on trio>" in server.output
            async with web_socket(server, "/watch") as socket:
                await socket.get_message()
                assert await server.stop(signal.SIGTERM) == 0
            output = server.output
    assert 0 < output.index("<handler cancelled>") < output.index("<shutdown>")
    assert output.count("<shutdown>") == 1


@pytest.mark.parametrize("worker", [pytest.param("asyncio", marks=pytest.mark.long), "trio"])
async def test_sigterm_without_connections_exits_cleanly(worker: str) -> None:
    with trio.fail_after(60):
        async with running_server([*HYPERCORN, "-k", worker]) as server:
            assert await server.stop(signal.SIGTERM) == 0
            assert server.output.count("<shutdown>") == 1
            assert "Traceback" not in server.output
            assert "Warning" not in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
async def test_signals_stay_with_an_asyncio_host(number: signal.Signals) -> None:
    """With `-w 0` the host's loop handles signals in its own process."""
    with trio.fail_after(60):
        async with running_server([*HYPERCORN, "-k", "asyncio", "-w", "0"]) as server:
            assert await get(server, "/") == (200, b"Trio was here")
            assert await server.stop(number) == 0
            assert server.output.count("<shutdown>") == 1
            assert "Traceback" not in server.output
            assert "Warning" not in server.output
