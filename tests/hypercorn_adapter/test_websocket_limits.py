"""Limits of frames and bytes, and the liveness check: raw bytes against the app on real sockets."""

import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypercorn.events import Event as HostEvent
from hypercorn.events import RawData

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import BINARY, CONTINUATION, PING, PONG, TEXT, RawClient, frame, raw_client
from trio_stt.access.rejection_log import RejectionLog
from trio_stt.hypercorn_adapter import limited_websocket
from trio_stt.hypercorn_adapter.trio_connection import TrioConnection
from trio_stt.hypercorn_adapter.websocket_limits import MAX_FRAGMENTS
from trio_stt.server.server_state import ServerState
from trio_stt.session.host import SessionHandle

POLICY, TOO_BIG = 1008, 1009
Rig = tuple[ServerState, int]


@asynccontextmanager
async def rig(monkeypatch: pytest.MonkeyPatch, **settings: object) -> AsyncIterator[Rig]:
    # Without a grace period, an ended session is gone at once.
    server_state = composed(monkeypatch, FakeEngine(), resume_grace_s=0, **settings)
    async with serving(monkeypatch, server_state) as port:
        yield server_state, port


async def still_served(port: int) -> None:
    async with raw_client(port) as other:
        await other.open(port)
        await other.until("ready")
        await other.send(frame(TEXT, b'{"type": "ping"}'))
        await other.until("pong")


async def until_empty(server_state: ServerState) -> None:
    with trio.fail_after(30):
        while server_state.registry.active_sessions:  # noqa: ASYNC110 - no event tells
            await trio.sleep(0.01)


async def test_events_emitted_together_are_sent_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    send = TrioConnection.protocol_send

    async def record(connection: TrioConnection, event: HostEvent) -> None:
        if isinstance(event, RawData):
            pieces.append(event.data)
        await send(connection, event)

    monkeypatch.setattr(TrioConnection, "protocol_send", record)
    async with rig(monkeypatch) as (server_state, port), raw_client(port) as client:
        await server_state.lanes.wait_loaded()
        await client.open(port)
        await client.until("ready")
        await client.send(frame(TEXT, b'{"type": "ping"}'))
        await client.until("pong")
    greeting = next(piece for piece in pieces if b'"type":"hello"' in piece)
    assert b'"type":"ready"' in greeting
    assert [event["seq"] for event in client.events] == [1, 2, 3]


async def test_burst_of_connections_lets_other_tasks_run_between_two_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0
    turns_at: list[int] = []
    start = ServerState.start

    def record(server_state: ServerState, session: SessionHandle) -> None:
        turns_at.append(turns)
        start(server_state, session)

    async def connect(port: int) -> None:
        async with raw_client(port) as client:
            await client.open(port)
            await client.until("ready")

    monkeypatch.setattr(ServerState, "start", record)
    async with rig(monkeypatch) as (server_state, port), trio.open_nursery() as nursery:
        await server_state.lanes.wait_loaded()
        for _ in range(20):
            nursery.start_soon(connect, port)
        while len(turns_at) < 20:
            await trio.lowlevel.checkpoint()
            turns += 1
    assert len(set(turns_at)) == 20


async def test_too_large_message_closes_with_1009_before_it_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as (server_state, port):
        async with raw_client(port) as client:
            await client.open(port)
            await client.until("hello")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.flood, frame(BINARY, bytes(2_000_000), announced=2**40))
                await client.read_to_the_end()
                nursery.cancel_scope.cancel()
            assert client.close_code == TOO_BIG
            assert client.close_reason == f"a message is larger than {2 * 524_288 + 65_536} bytes"
        await until_empty(server_state)
        await still_served(port)


async def test_data_after_a_close_for_a_violation_is_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port)
        await client.until("hello")
        tracemalloc.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour, client)
            await client.read_to_the_end()
            nursery.cancel_scope.cancel()
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert client.close_code == TOO_BIG
        assert most_bytes < 8 * 2**20


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_message_that_announces_too_much_is_refused_before_it_arrives(
    monkeypatch: pytest.MonkeyPatch, opcode: int
) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port)
        await client.send(frame(opcode, b" " * 65_536, fin=False) + frame(CONTINUATION, announced=2**21))
        await client.read_to_the_end()
        assert client.close_code == TOO_BIG


async def _pour(client: RawClient) -> None:
    """Send one message of 200 MB as fast as the server reads it."""
    part = frame(CONTINUATION, bytes(100_000), fin=False)
    await client.send(frame(BINARY, fin=False))
    for _ in range(2000):
        await client.flood(part)


async def test_packet_slightly_over_its_limit_gets_an_error_and_stays_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port)
        metadata = b'{"sampleRate": 16000}'
        packet = len(metadata).to_bytes(4, "little") + metadata + bytes(524_290)
        await client.send(frame(BINARY, packet))
        assert (await client.until("error"))["where"] == "audio_packet"
        await client.send(frame(TEXT, b'{"type": "ping"}'))
        await client.until("pong")


@pytest.mark.parametrize("size", [0, 1])
async def test_too_many_fragments_close_with_1008(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    async with rig(monkeypatch) as (server_state, port):
        async with raw_client(port) as client:
            await client.open(port)
            await client.until("hello")
            async with trio.open_nursery() as nursery:
                pieces = frame(TEXT, b" " * size, fin=False) + frame(CONTINUATION, b" " * size, fin=False) * 300_000
                nursery.start_soon(client.flood, pieces)
                await client.read_to_the_end()
                nursery.cancel_scope.cancel()
            assert client.close_code == POLICY
            assert client.close_reason == f"a message has more than {MAX_FRAGMENTS} fragments"
        await until_empty(server_state)
        await still_served(port)


async def test_message_with_the_maximum_of_fragments_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port)
        text = b'{"type":"ping"}'.ljust(MAX_FRAGMENTS)
        for _ in range(2):
            pieces = [
                frame(CONTINUATION if at else TEXT, text[at : at + 1], fin=at == MAX_FRAGMENTS - 1)
                for at in range(MAX_FRAGMENTS)
            ]
            await client.send(b"".join(pieces))
        with trio.fail_after(30):
            while sum(event["type"] == "pong" for event in client.events) < 2:
                assert await client.read_on()


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_flood_of_pings_or_pongs_closes_with_1008(monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.flood, frame(opcode, b"x") * 100_000)
            await client.read_to_the_end()
            nursery.cancel_scope.cancel()
        assert (client.close_code, client.close_reason) == (POLICY, "more than 10 pings and pongs a second")


async def test_violations_leave_one_line_for_many(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limited_websocket, "_violations", RejectionLog(limited_websocket.logger, lambda: 0.0))
    async with rig(monkeypatch) as (_, port):
        for _ in range(10):
            async with raw_client(port) as client:
                await client.open(port)
                await client.send(frame(PING, bytes(126)))
                await client.read_to_the_end()
    assert len([record for record in caplog.records if "closed WebSocket" in record.getMessage()]) == 1


async def test_compression_is_not_negotiated_and_compressed_frames_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as client:
        await client.open(port, headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
        assert "101" in client.answer.splitlines()[0]
        assert "permessage-deflate" not in client.answer.lower()
        bomb = zlib.compress(bytes(10**7), wbits=-15)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.flood, frame(BINARY | 0x40, bomb))  # RSV1: compressed
            await client.read_to_the_end()
            nursery.cancel_scope.cancel()
        assert client.close_code == 1002


async def test_silent_client_is_pinged_and_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch, liveness_timeout_s=0.6) as (server_state, port):  # noqa: SIM117 - the port is known inside
        async with raw_client(port) as dead, raw_client(port) as lives:
            for client in (dead, lives):
                await client.open(port)
                await client.until("hello")
            assert server_state.registry.active_sessions == 2
            with trio.fail_after(30):
                while server_state.registry.active_sessions > 1:
                    await lives.read_on()
                    await lives.send(frame(PONG))
            assert lives.pings >= 3
            await dead.read_to_the_end()
            assert dead.pings >= 1
            await lives.send(frame(TEXT, b'{"type": "ping"}'))
            await lives.until("pong")


async def test_disconnected_websocket_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as (server_state, port):
        await still_served(port)
        await until_empty(server_state)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(10):
            await still_served(port)
        await until_empty(server_state)
        with trio.fail_after(30):
            while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)


async def test_incomplete_handshake_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as (_, port), raw_client(port) as silent, raw_client(port) as slow:
        await slow.send(b"GET /ws/transcribe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upg")
        for client in (silent, slow):
            await client.read_to_the_end(within_s=30)
            assert client.answer == ""
