"""The limits of WebSockets in Hypercorn's asyncio worker: raw bytes against a real server."""

import zlib

import trio

from tests.api.test_transcription import hypercorn, until_sessions
from tests.support.client import connected
from tests.support.raw_socket import BINARY, CONTINUATION, PING, TEXT, RawClient, frame, raw_client
from tests.support.server import RunningServer
from trio_stt.hypercorn_adapter.websocket_limits import MAX_FRAGMENTS

PROTOCOL, POLICY, TOO_BIG = 1002, 1008, 1009
FLOODS = {
    "a message without end": (frame(BINARY, bytes(4_000_000), announced=2**40), TOO_BIG, "a message is larger than"),
    "fragments of one byte": (
        frame(TEXT, b" ", fin=False) + frame(CONTINUATION, b" ", fin=False) * 300_000,
        POLICY,
        f"more than {MAX_FRAGMENTS} fragments",
    ),
    "pings": (frame(PING, b"x") * 100_000, POLICY, "pings and pongs"),
    "commands": (frame(TEXT, b'{"type":"ping"}') * 20_000, POLICY, "max_commands_per_second"),
    "a bomb": (frame(BINARY | 0x40, zlib.compress(bytes(10**7), wbits=-15)), PROTOCOL, ""),
    "a frame that is none": (b"\xff" * 1000, PROTOCOL, ""),
}


async def flood(server: RunningServer, sent: bytes) -> RawClient:
    """A client that sends this after the greeting, and reads until the server closes the connection."""
    async with raw_client(server.port) as client:
        await client.open(server.port, headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        assert "permessage-deflate" not in client.answer.lower()
        await client.until("hello")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.flood, sent)
            await client.read_to_the_end()
            nursery.cancel_scope.cancel()
    return client


async def test_hostile_websockets_close_with_their_code_and_leave_nothing() -> None:
    async with hypercorn("asyncio", liveness_timeout_s=2, resume_grace_s=0) as server:
        ended: dict[str, RawClient] = {}

        async def attack(name: str, sent: bytes) -> None:
            ended[name] = await flood(server, sent)

        async with trio.open_nursery() as nursery, raw_client(server.port) as silent:
            for name, (sent, _, _) in FLOODS.items():
                nursery.start_soon(attack, name, sent)
            await silent.open(server.port)
            await silent.until("hello")
            await silent.read_to_the_end()
            assert silent.pings >= 1, "the server pinged"
        for name, (_, code, reason) in FLOODS.items():
            assert (ended[name].close_code, reason in ended[name].close_reason) == (code, True), name
        await until_sessions(server, 0)
        async with connected(server) as other:  # answers pings, so it stays connected on a slow machine, too
            await other.until("ready")
        assert await server.stop() == 0
        assert "Traceback" not in server.output
        assert "never retrieved" not in server.output
