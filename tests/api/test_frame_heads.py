"""The head of a frame that announces too much is refused on every WebSocket path, before any of the body comes."""

import pytest
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import BINARY, CLOSE, TEXT, frame, handshake, raw_client

PATHS = (
    "/ws/transcribe",
    "/v1/realtime?intent=transcription",
    "/v1/listen?encoding=linear16&sample_rate=16000",
    "/v1/listen",
    "/",
)
TOO_BIG = 1009


async def refused_at_once(port: int, path: str, opcode: int) -> None:
    async with raw_client(port) as client:
        await client.send(handshake(port, path))
        received = b""
        with trio.fail_after(30):
            while b"\r\n\r\n" not in received:
                received += await client.stream.receive_some()
            await client.send(frame(opcode, announced=2**40))
            while TOO_BIG.to_bytes(2, "big") not in received:
                part = await client.stream.receive_some()
                assert part, path
                received += part
    assert bytes([0x80 | CLOSE]) in received, path


async def test_announced_length_above_the_limit_closes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine(), resume_grace_s=0)
    async with serving(monkeypatch, server_state) as port:
        async with trio.open_nursery() as nursery:
            for number, path in enumerate(PATHS):
                nursery.start_soon(refused_at_once, port, path, (TEXT, BINARY)[number % 2])
        with trio.fail_after(30):
            while server_state.registry.active_sessions:  # noqa: ASYNC110 - of other tasks
                await trio.sleep(0.01)
