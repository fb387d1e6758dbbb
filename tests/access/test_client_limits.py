"""Limits of a single client, over real sockets."""

from pathlib import Path

import pytest
import trio

from tests.support.keyed_server import handshake_result, rig
from tests.support.raw_socket import BINARY, TEXT, frame, raw_client
from trio_stt.protocol.packets import build_packet

POLICY, TRY_AGAIN_LATER = 1008, 1013
NETWORK = "203.0.113.9"


async def test_connections_are_limited_per_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"max_connections_per_address": 2, "trusted_proxies": "127.0.0.1"}
    async with (
        rig(monkeypatch, tmp_path, keyed=False, **settings) as server,
        raw_client(server.port) as first,
        raw_client(server.port) as second,
        raw_client(server.port) as third,
    ):
        for client in (first, second):
            await client.open(server.port, headers={"X-Forwarded-For": NETWORK})
            await client.until("hello")
        await third.open(server.port, headers={"X-Forwarded-For": f"9.9.9.9, {NETWORK}"})
        await third.read_to_the_end()
        assert [event["type"] for event in third.events] == ["error"]
        assert "max_connections_per_address is 2" in third.events[0]["message"]
        assert third.close_code == TRY_AGAIN_LATER
        assert server.server_state.health().rejected_sessions == 1
        assert await handshake_result(server, x_forwarded_for="198.51.100.7") == "hello"


async def test_too_many_commands_close_with_1008_and_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path, keyed=False, max_commands_per_second=10) as server:
        async with raw_client(server.port) as client:
            await client.open(server.port)
            await client.send(frame(TEXT, b'{"type":"ping"}') * 40)
            with trio.fail_after(30):
                while sum(event["type"] == "pong" for event in client.events) < 40:
                    assert await client.read_on()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.flood, frame(TEXT, b'{"type":"ping"}') * 5000)
                await client.read_to_the_end()
            assert client.close_code == POLICY
            assert "max_commands_per_second is 10" in client.close_reason
            assert client.events[-1]["type"] == "error"
        with trio.fail_after(30):
            while server.server_state.registry.active_sessions:  # noqa: ASYNC110 - no event reports it
                await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "packet"),
    [
        ({"max_packets_per_second": 100, "max_audio_speed": 0}, build_packet(b"", rate_hz=16_000)),
        ({"max_audio_speed": 50}, build_packet(bytes(32_000), rate_hz=16_000)),
    ],
    ids=["packets", "audio"],
)
async def test_audio_above_the_packet_rate_is_delayed_and_not_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, object], packet: bytes
) -> None:
    async with rig(monkeypatch, tmp_path, keyed=False, **settings) as server, raw_client(server.port) as client:
        await client.open(server.port)
        await client.until("ready")
        begun_s = trio.current_time()
        await client.send(frame(TEXT, b'{"type":"start"}'))
        async with trio.open_nursery() as nursery:
            # 550 packets: 5.5 s where 5 are free, or 550 s of sound at 50 times its speed: 11 s where 10 are free.
            nursery.start_soon(client.send, frame(BINARY, packet) * 550 + frame(TEXT, b'{"type":"metrics"}'))
            report = (await client.until("metrics"))["metrics"]
        passed_s = trio.current_time() - begun_s
        assert passed_s >= {"max_packets_per_second": 0.5, "max_audio_speed": 1.0}[next(iter(settings))]
        assert (report["rejectedAudioChunks"], report["droppedAudioChunks"]) == (0, 0)
