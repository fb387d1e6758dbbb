"""A simulated client against a minimal server of the shared protocol, without this project's additions."""

import json
import ssl
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from tests.support.keyed_server import rig
from trio_stt.bench.client_record import ClientRecord, EventRecorder, RunResult
from trio_stt.bench.figures import figures
from trio_stt.bench.simulated_client import run_clients
from trio_stt.bench.speech_plan import Clip, Plan, plan_clients
from trio_stt.protocol.packets import parse_packet

RATE_HZ = 16_000
LEVEL = 5_000


class PlainServer:
    """Ends an utterance 0.5 s after the last loud packet and transcribes `hello world`."""

    def __init__(self) -> None:
        self.packets = 0
        self.commands: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.path = ""

    async def serve(self, request: WebSocketRequest) -> None:
        self.headers, self.path = request.headers, request.path
        socket = await request.accept()
        await socket.send_message(json.dumps({"type": "hello", "settings": {"post_speech_silence_duration": 0.5}}))
        await socket.send_message('{"type": "ready"}')
        quiet, number = 0, 0
        try:
            while True:
                message = await socket.get_message()
                answers = []
                if isinstance(message, str):
                    kind = json.loads(message)["type"]
                    self.commands.append(kind)
                    if kind == "ping":
                        answers = [{"type": "pong"}]
                    if kind == "metrics":
                        counters = {"droppedAudioChunks": 2, "rejectedAudioChunks": 1}
                        answers = [{"type": "metrics", "metrics": counters}]
                else:
                    self.packets += 1
                    packet = parse_packet(message, max_payload_bytes=2**20)
                    loud = np.abs(np.frombuffer(packet.payload, "<i2")).max() > LEVEL // 2
                    quiet = 0 if loud else quiet + 1
                    if loud and number == 0:
                        number = 1
                        answers = [{"type": "timeline", "event": "recording_started", "segmentId": 1}]
                        answers += [{"type": "realtime", "segmentId": 1, "displayText": "hallo"}]
                    if number == 1 and quiet == 12:
                        answers = [{"type": "timeline", "event": "recording_ended", "segmentId": 1}]
                        answers += [{"type": "final", "segmentId": 1, "text": "Hello, world."}]
                for answer in answers:
                    await socket.send_message(json.dumps(answer))
        except ConnectionClosed:
            return


def plan_for(port: int, folder: Path) -> Plan:
    path = folder / "clip.pcm"
    np.full(RATE_HZ, LEVEL, "<i2").tofile(path)
    return Plan(
        url=f"ws://127.0.0.1:{port}/ws/transcribe",
        rate_hz=RATE_HZ,
        packet_s=0.04,
        begin_s=time.monotonic(),
        duration_s=1.5,
        clips=(Clip(pcm_path=str(path), length_s=1.0, words="hello world", speech=((0.0, 1.0),)),),
        clients=plan_clients(1, talking=[1.0], stagger_s=0.0, clips=1),
    )


async def test_client_needs_the_public_protocol_only(tmp_path: Path) -> None:
    server = PlainServer()
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(serve_websocket, server.serve, "127.0.0.1", 0, None)
        plan = plan_for(listening.port, tmp_path)
        (record,) = (await run_clients(plan, plan.clients)).records
        nursery.cancel_scope.cancel()
    assert record.failures == []
    assert all(name.lower() != b"authorization" for name, _ in server.headers)
    assert set(server.commands) == {"start", "ping", "stop", "metrics"}
    assert server.commands[-1] == "metrics"
    assert record.audio_s == server.packets * 0.04
    result = figures(
        RunResult(plan=plan, steady_from_s=0.0, records=[record], clients_cpu_s=0.0, before=None, after=None)
    )
    assert (result.word_error_rate, result.silence_ms, result.segments, result.final.count) == (0.0, 500.0, 1, 1)
    assert result.final.p50_ms >= 480  # the server above waits for twelve packets of silence
    assert result.first_partial.p50_ms >= 40  # its first packet
    assert round(result.dropped_s, 3) == 0.104
    assert result.revised_words_per_shown_word == round(1 / 3, 4)


async def test_client_sends_its_key_in_the_handshake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        plan = msgspec.structs.replace(plan_for(server.port, tmp_path), duration_s=0.1)
        accepted, rejected = [
            (await run_clients(msgspec.structs.replace(plan, api_key=key), plan.clients)).records[0]
            for key in (server.talk, "wrong")
        ]
    assert (accepted.failures, accepted.audio_s > 0) == ([], True)
    assert (rejected.hello_s, rejected.begun_s) == (None, None)
    assert rejected.failures[0] == "admission: the key is wrong or was revoked"


async def test_client_connects_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority, server = trustme.CA(), PlainServer()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(serve_websocket, server.serve, "127.0.0.1", 0, context)
        plan = plan_for(listening.port, tmp_path)
        url = f"wss://localhost:{listening.port}/ws/transcribe?room=1"
        plan = msgspec.structs.replace(plan, url=url, duration_s=0.1)
        (record,) = (await run_clients(plan, plan.clients)).records
        nursery.cancel_scope.cancel()
    assert record.failures == []
    assert record.audio_s == server.packets * 0.04 > 1.0
    assert server.path == "/ws/transcribe?room=1"


async def one_record(port: int, folder: Path) -> ClientRecord:
    plan = plan_for(port, folder)
    (record,) = (await run_clients(plan, plan.clients)).records
    return record


async def test_connection_refused_is_a_failure(tmp_path: Path) -> None:
    record = await one_record(1, tmp_path)
    assert record.hello_s is None
    assert "connection: " in record.failures[0]


async def test_server_that_rejects_the_connection(tmp_path: Path) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.send_message('{"type": "error", "where": "admission", "message": "the server is full"}')
        await socket.aclose(1013)

    async with trio.open_nursery() as nursery:
        listening = await nursery.start(serve_websocket, refuse, "127.0.0.1", 0, None)
        record = await one_record(listening.port, tmp_path)
        nursery.cancel_scope.cancel()
    assert (record.hello_s, record.begun_s) == (None, None)
    assert record.failures[0] == "admission: the server is full"
    assert "ConnectionClosed" in record.failures[1]


def test_pongs_answer_pings_in_order() -> None:
    recorder = EventRecorder(record=ClientRecord(number=0), packet_s=0.04)
    recorder.pings_at.extend([1.0, 2.0])
    for now_s in (1.5, 2.25, 3.0):
        recorder.add_event({"type": "pong"}, now_s)
    assert recorder.record.pings_s == [0.5, 0.25]
