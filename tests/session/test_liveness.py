"""Heartbeats, stalled streams and idle clients."""

import numpy as np
import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from trio_stt.protocol.events import Final, Heartbeat, Ready, WarningEvent
from trio_stt.protocol.packets import build_packet

PAUSE_S = 0.8


@virtual_time
async def test_heartbeats_come_every_5_s_while_the_client_streams() -> None:
    async with server_fixture(inference_s=lambda _: 0.5) as server:
        client = await server.connect(partials=False)
        await trio.sleep(30)
        assert client.of(Heartbeat) == []
        client.command("start")
        client.say(1111, 3.2)
        client.pause(0.8)
        await trio.sleep(11)
        beats = client.of(Heartbeat)
        assert len(beats) == 2
        assert beats[0].audio_received_seconds == 4.0
        assert beats[0].real_time_factor == 0.5 / 4.0
        assert beats[0].queue_delay_ms == 0.0
        client.command("stop")
        await trio.sleep(30)
        assert len(client.of(Heartbeat)) == 2


@virtual_time
async def test_heartbeat_has_the_latest_queue_delay() -> None:
    async with server_fixture(inference_s=lambda _: 3.0) as server:
        first, second = await server.connect(partials=False), await server.connect(partials=False)
        for client in (first, second):
            client.command("start")
            client.say(1111, 1.0)
            client.command("stop")
            client.command("start")
        for client in (first, second):
            await client.until(Final)
            await client.until(Heartbeat)
        await trio.sleep(5)
        delays_ms = [client.of(Heartbeat)[-1].queue_delay_ms for client in (first, second)]
        assert sorted(delays_ms) == [0.0, 3000.0]


@virtual_time
async def test_stalled_stream_ends_the_utterance() -> None:
    async with server_fixture(stream_stall_timeout_s=5.0) as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)
        await trio.sleep(4.9)
        assert client.finals == []
        await trio.sleep(0.2)
        await client.settled()
        assert client.finals == [(1, "1111.")]
        assert sum("No audio came for 5 s" in notice.message for notice in client.of(WarningEvent)) == 1
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final, 2)
        assert client.finals == [(1, "1111."), (2, "2222.")]


@virtual_time
async def test_stall_outside_an_utterance_or_without_timeout_ends_nothing() -> None:
    async with server_fixture(stream_stall_timeout_s=0.0) as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)
        await trio.sleep(60)
        assert client.of(WarningEvent) == []
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        assert client.finals == [(1, "1111.")]
    async with server_fixture() as server:
        client = await server.streaming_client()
        await trio.sleep(60)
        assert client.of(WarningEvent) == []


@virtual_time
async def test_slow_packets_within_the_timeout_end_nothing() -> None:
    async with server_fixture(stream_stall_timeout_s=5.0) as server:
        client = await server.streaming_client(partials=False)
        for _ in range(5):
            client.say(1111, 0.2)
            await trio.sleep(4.5)
        client.command("stop")
        await client.until(Final)
        assert client.finals == [(1, "1111.")]


@virtual_time
async def test_idle_session_ends_after_pending_finals_despite_pings() -> None:
    async with server_fixture(idle_timeout_s=10.0, inference_s=lambda _: 25.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.command("stop")
        for _ in range(12):
            await trio.sleep(2)
            client.command("ping")
        assert server.server_state.registry.active_sessions == 1
        await trio.sleep(3)
        assert client.finals == [(1, "1111.")]
        assert server.server_state.registry.active_sessions == 0


@virtual_time
async def test_active_session_stays_and_without_idle_timeout_every_one_does() -> None:
    async with server_fixture(idle_timeout_s=10.0) as server:
        client = await server.streaming_client()
        for _ in range(10):
            await trio.sleep(9)
            client.raw(build_packet(np.zeros(640, "<i2").tobytes(), rate_hz=16000))
        assert server.server_state.registry.active_sessions == 1
    async with server_fixture() as server:
        await server.connect()
        await trio.sleep(80_000)
        assert server.server_state.registry.active_sessions == 1


@virtual_time
async def test_client_that_never_sends_anything_is_idle() -> None:
    async with server_fixture(idle_timeout_s=10.0) as server:
        client = await server.connect()
        await client.until(Ready)
        await trio.sleep(9)
        assert server.server_state.registry.active_sessions == 1
        await trio.sleep(2)
        assert server.server_state.registry.active_sessions == 0
