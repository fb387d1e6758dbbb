"""Real sockets and real speech: a client killed in the middle of a sentence resumes and sends the rest."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.api.test_transcription import health, hypercorn, until_sessions
from tests.support.client import SocketClient, connected, load_pcm
from tests.support.real import moonshine_asset
from tests.support.server import RunningServer, running_server
from trio_stt.protocol.packets import build_packet

PACKET_S = 0.04


def packets(samples: NDArray[np.int16], rate_hz: int) -> list[bytes]:
    frames = round(rate_hz * PACKET_S)
    pieces = [samples[start : start + frames] for start in range(0, len(samples), frames)]
    return [build_packet(piece.astype("<i2").tobytes(), rate_hz=rate_hz) for piece in pieces]


async def kill(client: SocketClient) -> None:
    """Close the connection as a dead client's kernel does: without a close frame."""
    await client.socket._stream.aclose()
    await client.until_closed()


async def send_resume(client: SocketClient, lost: SocketClient) -> dict[str, object]:
    token, seq = lost.events[0]["resumeToken"], lost.events[-1]["seq"]
    await client.socket.send_message(json.dumps({"type": "resume", "token": token, "seq": seq}))
    return await client.until("resumed")


@asynccontextmanager
async def killed(server: RunningServer, sent: list[bytes]) -> AsyncIterator[SocketClient]:
    async with connected(server) as client:
        await client.until("ready")
        await client.command("start")
        for packet in sent:
            await client.socket.send_message(packet)
        await client.until_state("recording")
        await kill(client)
        yield client


@pytest.mark.contract("2.9")
@pytest.mark.parametrize("worker", [pytest.param("trio", marks=pytest.mark.long), "asyncio"])
async def test_resumed_session_of_a_killed_client_transcribes_without_loss(worker: str) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    sent = packets(samples, rate_hz)
    async with hypercorn(worker) as server:
        async with connected(server) as whole:
            for packet in [b"", *sent]:
                await (whole.socket.send_message(packet) if packet else whole.command("start"))
            await whole.command("stop")
            await whole.until_all_final()
        await until_sessions(server, 0)  # after a close frame there is no grace period
        async with killed(server, sent[:35]) as lost:
            assert (await health(server))["activeSpeakers"] == 1
            async with connected(server) as back:
                resumed_event = await send_resume(back, lost)
                assert resumed_event["sessionId"] == lost.events[0]["sessionId"]
                taken = resumed_event["receivedPackets"]
                assert isinstance(taken, int)
                for packet in sent[taken:]:
                    await back.socket.send_message(packet)
                await back.command("stop")
                await back.until_all_final()
        resumed = back.events.index(resumed_event)
        numbers = [event["seq"] for event in [*lost.events, *back.events[resumed + 1 :]]]
        assert numbers == list(range(1, len(numbers) + 1))
        finals = [(event["segmentId"], event["text"]) for event in [*lost.of("final"), *back.of("final")]]
        assert finals == [(event["segmentId"], event["text"]) for event in whole.of("final")]


async def test_shutdown_records_disconnected_sessions_and_does_not_wait_for_them(tmp_path: Path) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    args = ["-m", "trio_stt", "serve", "--port", "{port}", "--record", str(tmp_path), "--resume-grace-s", "600"]
    async with running_server(args) as server:
        async with killed(server, packets(samples[: round(1.5 * rate_hz)], rate_hz)) as lost:
            assert await server.stop(signal.SIGTERM) == 0
        assert lost.events[0]["resumeToken"] not in server.output
        assert "Traceback" not in server.output
    events, audio = check_record(tmp_path)
    assert [event["text"].lower().startswith("ever") for event in events if event["type"] == "final"] == [True]
    assert 0.5 < len(audio) / 16_000 <= 1.5, "audio that the server had not read when the client was killed is lost"


def check_record(folder: Path) -> tuple[list[dict[str, str]], NDArray[np.int16]]:
    flac, jsonl = sorted(folder.iterdir())
    samples, rate_hz = soundfile.read(flac, dtype="int16")
    assert rate_hz == 16_000
    return [json.loads(line) for line in jsonl.read_text(encoding="utf-8").splitlines()], samples
