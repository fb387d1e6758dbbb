"""Invalid HTTP/2 requests, and bodies that continue after their answer, do not end the connection."""

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from trio_stt.hypercorn_adapter.connection_rules import READ_BYTES

Fields = list[tuple[bytes, bytes]]
LIVE: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/health/live"),
    (b":authority", b"127.0.0.1"),
]


class Http2Client:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        config = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self.connection = H2Connection(config)
        self.connection.initiate_connection()

    async def send(self, stream_id: int, fields: Fields, body: bytes = b"", *, ends: bool = True) -> None:
        self.connection.send_headers(stream_id, fields, end_stream=ends and not body)
        if body:
            self.connection.send_data(stream_id, body, end_stream=ends)
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.connection.data_to_send())

    async def status(self, stream_id: int) -> int:
        """The status of an answer that has ended."""
        status = 0
        with trio.fail_after(5):
            while True:
                data = await self.stream.receive_some()
                assert data, "the connection has ended"
                events: list[Event] = self.connection.receive_data(data)
                await self.flush()
                for event in events:
                    if isinstance(event, ResponseReceived) and event.stream_id == stream_id:
                        status = int(dict(event.headers or [])[b":status"])
                    elif isinstance(event, StreamEnded) and event.stream_id == stream_id:
                        return status
                    elif isinstance(event, DataReceived):
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"CONNECT"), (b":authority", b"127.0.0.1")],
        [*LIVE[:2], (b":path", b"/web/\xff"), LIVE[3]],
        [*LIVE[:2], (b":path", b"/web/%0a"), LIVE[3]],
        [*LIVE[:2], (b":path", b"x"), LIVE[3]],
    ],
    ids=["no path", "not ascii", "control character", "no slash"],
)
async def test_unreadable_request_is_rejected_and_the_next_one_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fields: Fields
) -> None:
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        client = Http2Client(stream)
        await client.send(1, fields)
        assert await client.status(1) == 400
        await client.send(3, LIVE)
        assert await client.status(3) == 200
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "fields",
    [
        [*LIVE[:2], (b":path", b"/ws/transcribe"), LIVE[3]],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), LIVE[1], (b":path", b"/ws/transcribe"), LIVE[3]],
    ],
    ids=["request", "handshake without a version"],
)
async def test_request_for_the_socket_needs_a_handshake_of_the_version(
    monkeypatch: pytest.MonkeyPatch, fields: Fields
) -> None:
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        client = Http2Client(stream)
        await client.send(1, fields)
        assert await client.status(1) == 426


async def test_body_that_goes_on_after_its_answer_is_discarded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        client = Http2Client(stream)
        await client.send(1, [(b":method", b"POST"), *LIVE[1:]], ends=False)
        assert await client.status(1) == 405
        for _ in range(3):
            client.connection.send_data(1, bytes(1000))
            await client.flush()
        await client.send(3, LIVE)
        assert await client.status(3) == 200
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "frame",
    [bytes.fromhex("000000 00 00 00000001"), bytes.fromhex("000005 02 00 00000001 00000000 01")],
    ids=["empty data", "priority"],
)
async def test_small_frames_are_processed_few_at_a_time(monkeypatch: pytest.MonkeyPatch, frame: bytes) -> None:
    largest = 0
    original = H2Connection.receive_data

    def receive_data(self: H2Connection, data: bytes) -> list[Event]:
        nonlocal largest
        largest = max(largest, len(data))
        return original(self, data)

    monkeypatch.setattr(H2Connection, "receive_data", receive_data)
    async with (
        serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        client = Http2Client(stream)
        await client.send(1, [(b":method", b"POST"), *LIVE[1:2], (b":path", b"/v1/listen"), LIVE[3]], ends=False)
        await stream.send_all(frame * 10_000)
        await client.send(3, LIVE)
        assert await client.status(3) == 200
    assert 0 < largest <= READ_BYTES, "other clients wait meanwhile"
