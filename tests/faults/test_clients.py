"""Misbehaving clients of a real server affect no other client, and leave no resources behind."""

import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.faults.fixtures import ControlledServer, disturbed, frames_of, sentence, shared_controlled_server
from tests.support.raw_socket import BINARY, CONTINUATION, TEXT, frame, handshake, raw_client
from tests.support.server import output_of_one_test
from trio_stt.protocol.packets import build_packet

PROCESSES, SOCKETS = 2, 8
RECONNECTS, RECONNECTS_PER_S = 500, 200
UNREADING_CLIENTS = 3
KILLED_CLIENT = Path(__file__).parents[1] / "support" / "killed_client.py"


async def killed_clients(server: ControlledServer) -> None:
    """Clients that are killed with SIGKILL while they send speech."""
    frames = server.folder / "frames"
    frames.write_bytes(frames_of(sentence()))
    command = [sys.executable, "-I", str(KILLED_CLIENT), str(server.running.port), str(SOCKETS), str(frames)]
    processes = [await trio.lowlevel.open_process(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout is not None
        async with process.stdout as stdout:
            assert await stdout.receive_some() == b"connected\n"
    while (await trio.to_thread.run_sync(server.metrics))["activeSpeakers"] < PROCESSES * SOCKETS / 2:  # noqa: ASYNC110 - another process
        await trio.sleep(0.05)
    for process in processes:
        process.kill()
        await process.wait()


PIECES = {
    "nothing": b"",
    "half a request": handshake(1)[:60],
    "half a header": b"opened" + frame(BINARY, bytes(70_000))[:5],
    "half a packet": b"opened" + frame(BINARY, b"1234", announced=40_000),
    "half a message": b"opened" + frame(TEXT, b'{"type":', fin=False) + frame(CONTINUATION, b'"sta', fin=False),
    "half a character": b"opened" + frame(TEXT, b"\xe2\x82", fin=False),
    "half a command": b"opened" + frame(TEXT, b'{"type":"sta'),
}


async def half_frame(server: ControlledServer) -> None:
    """Clients that send half a request, frame or message."""

    async def write(sent: bytes, *, resets: bool) -> None:
        async with raw_client(server.running.port) as client:
            if sent.startswith(b"opened"):
                await client.open(server.running.port)
                await client.until("hello")
                sent = sent.removeprefix(b"opened")
            if sent:
                await client.send(sent)
            await trio.sleep(0.5)
            if resets:
                assert isinstance(client.stream, trio.SocketStream)
                client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with trio.open_nursery() as nursery:
        for sent in PIECES.values():
            for resets in (False, True):
                nursery.start_soon(lambda sent=sent, resets=resets: write(sent, resets=resets))


async def unread_answers(server: ControlledServer) -> None:
    """Clients that send requests and read no answer until the server disconnects them."""
    ignored = frame(BINARY, build_packet(bytes(64), rate_hz=16_000)) * 100

    async def ask() -> None:
        raw = trio.socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await raw.connect(("127.0.0.1", server.running.port))
        async with trio.SocketStream(raw) as stream:
            await stream.send_all(handshake(server.running.port))
            with trio.fail_after(60), suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(ignored)

    async with trio.open_nursery() as nursery:
        for _ in range(UNREADING_CLIENTS):
            nursery.start_soon(ask)


async def reconnect_repeatedly(server: ControlledServer) -> None:
    """200 connections a second. Each ends within a word, every other one without a close frame."""
    begun_s, greeted = trio.current_time(), 0
    packet = frame(TEXT, b'{"type":"start"}') + frame(BINARY, build_packet(bytes(1280), rate_hz=16_000))

    async def connect_once(number: int) -> None:
        nonlocal greeted
        async with raw_client(server.running.port) as client:
            await client.open(server.running.port)
            while not client.events:
                assert await client.read_on()
            greeted += client.events[0]["type"] in ("hello", "error")
            with suppress(trio.BrokenResourceError):  # the server was full for a moment and closed the connection
                await client.send(packet + (frame(8, b"\3\xe8") if number % 2 else b""))

    async with trio.open_nursery() as nursery:
        for number in range(RECONNECTS):
            await trio.sleep_until(begun_s + number / RECONNECTS_PER_S)
            nursery.start_soon(connect_once, number)
    assert greeted == RECONNECTS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    with shared_controlled_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize("fault", [killed_clients, half_frame, unread_answers, reconnect_repeatedly])
async def test_faulty_clients_do_not_affect_other_clients(
    fault: Callable[[ControlledServer], Awaitable[None]], shared: ControlledServer
) -> None:
    with output_of_one_test(shared.running):
        async with disturbed(shared):
            await fault(shared)
