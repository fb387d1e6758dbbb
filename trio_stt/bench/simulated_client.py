"""A simulated client: connects, streams its script in real time, sends pings and records the server's events.

It owns one connection and its timing. It speaks the public protocol and must not compute figures.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.frame_protocol import FrameProtocol

from trio_stt.bench.client_record import ClientRecord, EventRecorder, WorkerResult
from trio_stt.bench.multiplexed_stream import MultiplexedStream, host_and_resource
from trio_stt.bench.pacer import Pacer
from trio_stt.bench.speech_plan import ClientPlan, Clip, Plan, script
from trio_stt.protocol.packets import build_packet

_READY_TIMEOUT_S = 120.0
_DRAIN_S = 15.0
"""If no final arrives for this long after `stop`, the missing ones are given up."""
_ANSWER_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 60.0
_ROOM_RMS = 3.0
"""Level of the noise between clips, in int16 units: a quiet room at a microphone of ordinary gain."""
_ROOM_S = 10.0
_MAX_MESSAGE_BYTES = 2**24
_PING = bytes(FrameProtocol(client=True, extensions=[]).send_data('{"type":"ping"}'))


class FramedAudio:
    """The audio of a plan as packets in masked WebSocket frames, shared by all clients of a process.

    Building frames is most of a client's work, so each frame is built once.
    """

    def __init__(self, plan: Plan) -> None:
        """Read every clip.

        Raises:
            OSError: A clip's file cannot be read.
        """
        self._plan = plan
        noise = np.random.default_rng(0).normal(scale=_ROOM_RMS, size=round(_ROOM_S * plan.rate_hz)).round()
        self._room = noise.astype("<i2")
        self._room_packets = self._packets(self._room)
        self._clips = [self._packets(self._samples(clip)) for clip in plan.clips]

    def _samples(self, clip: Clip) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        samples = np.fromfile(Path(clip.pcm_path), "<i2")
        missing = -samples.size % self._plan.packet_samples
        return np.concatenate((samples, self._room[:missing]))

    def _packets(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[bytes]:
        size = self._plan.packet_samples
        whole = range(0, samples.size - size + 1, size)
        packets = (build_packet(samples[at : at + size].tobytes(), rate_hz=self._plan.rate_hz) for at in whole)
        frames = FrameProtocol(client=True, extensions=[])
        return [bytes(frames.send_data(packet)) for packet in packets]

    def frame(self, clip: int | None, number: int) -> bytes:
        """The frame of a packet of a clip or, if `clip` is None, of endless room noise."""
        if clip is None:
            return self._room_packets[number % len(self._room_packets)]
        return self._clips[clip][number]


async def run_client(plan: Plan, client: ClientPlan, audio: FramedAudio, pacer: Pacer) -> ClientRecord:
    """Run one client to its end. Failures are part of its record."""
    connection = _Client(plan, client, audio, pacer)
    await trio.sleep(max(0.0, plan.begin_s + client.delay_s - time.monotonic()))
    try:
        async with trio.open_nursery() as nursery:
            await connection.run_script(nursery)
            nursery.cancel_scope.cancel()
    except* (
        OSError,
        HandshakeError,
        ConnectionClosed,
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        trio.TooSlowError,
    ) as group:
        for error in group.exceptions if not connection.done else ():
            connection.record.fail(f"connection: {type(error).__name__} {error}".strip())
    await connection.close()
    return connection.record


class _Client:
    def __init__(self, plan: Plan, client: ClientPlan, audio: FramedAudio, pacer: Pacer) -> None:
        self._plan = plan
        self._client_plan = client
        self._audio = audio
        self._pacer = pacer
        self._packet_s = plan.packet_samples / plan.rate_hz
        self._zero_s: float | None = None  # when the stream began, on Trio's clock
        self._stream: MultiplexedStream | None = None
        self.done = False
        self._changed = trio.Event()
        self.record = ClientRecord(number=client.number)
        self._recorder = EventRecorder(record=self.record, packet_s=self._packet_s)

    async def run_script(self, nursery: trio.Nursery) -> None:
        """Connect, stream the script, wait for finals and disconnect. Events are read in `nursery`."""
        connect_started_s = time.monotonic()
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            self._stream = stream = await MultiplexedStream.connect(self._plan.url)
            host, resource = host_and_resource(self._plan.url)
            key = self._plan.api_key
            socket = await wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type]  # its documentation accepts any stream
                host,
                resource,
                extra_headers=[(b"Authorization", b"Bearer " + key.encode())] if key else None,
                max_message_size=_MAX_MESSAGE_BYTES,
            )
            first = await socket.get_message()
        if self._process(first) == "hello":  # otherwise the server rejected the connection
            self.record.hello_s = time.monotonic() - connect_started_s
        nursery.start_soon(self._listen, socket)
        await self._wait_ready()
        nursery.start_soon(self._pacer.run_schedule, stream, self._ping(socket, stream))
        await socket.send_message('{"type":"start"}')
        self.record.begun_s, self._zero_s = time.monotonic(), trio.current_time()
        await self._pacer.run_schedule(stream, self._speak(socket, stream, self._zero_s))
        await self._finish(socket)
        self.done = True  # errors of its tasks on the closed connection are expected from here on
        with trio.move_on_after(_ANSWER_TIMEOUT_S):
            await socket.aclose()

    async def close(self) -> None:
        """Close the connection. The library leaves it open if the server closed the WebSocket first."""
        if self._stream is not None:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    def _now_s(self) -> float:
        return trio.current_time() - self._zero_s if self._zero_s is not None else 0.0

    def _process(self, message: str | bytes) -> str:
        """Record an event and return its type."""
        event = msgspec.json.decode(message)
        self._recorder.add_event(event, self._now_s())
        self._changed.set()
        self._changed = trio.Event()
        return str(event.get("type"))

    async def _listen(self, socket: WebSocketConnection) -> None:
        while True:
            self._process(await socket.get_message())

    async def _wait_ready(self) -> None:
        with trio.fail_after(_READY_TIMEOUT_S):
            while not self._recorder.ready:
                await self._changed.wait()

    def _ping(self, socket: WebSocketConnection, stream: MultiplexedStream) -> Iterator[float]:
        """Send a ping at once and at each time that it yields."""
        while not socket.closed:
            self._recorder.pings_at.append(self._now_s())
            stream.send_soon(_PING)
            yield trio.current_time() + self._plan.ping_every_s

    def _speak(self, socket: WebSocketConnection, stream: MultiplexedStream, zero_s: float) -> Iterator[float]:
        """Send a packet at each time that it yields."""
        for step in script(self._plan, self._client_plan):
            if step.clip is not None:
                self.record.clips.append((step.clip, step.start_packet * self._packet_s))
            for number in range(step.packets):
                # A microphone can send a packet once its last sample is spoken.
                due_s = zero_s + (step.start_packet + number + 1) * self._packet_s
                yield due_s
                if socket.closed:
                    return
                self.record.late_s.append(trio.current_time() - due_s)
                stream.send_soon(self._audio.frame(step.clip, number))
                self.record.audio_s = len(self.record.late_s) * self._packet_s

    async def _finish(self, socket: WebSocketConnection) -> None:
        """Send `stop`, wait for outstanding finals and request the counters."""
        await socket.send_message('{"type":"stop"}')
        await self._wait_finals()
        await socket.send_message('{"type":"metrics"}')
        with trio.move_on_after(_ANSWER_TIMEOUT_S):
            while not self._recorder.counted:
                await self._changed.wait()

    async def _wait_finals(self) -> None:
        finals = 0
        while finals < len(self.record.segments):
            with trio.move_on_after(_DRAIN_S) as waited:
                while finals == self.record.finals:
                    await self._changed.wait()
            if waited.cancelled_caught:
                self.record.fail(f"a final is missing: none arrived for {_DRAIN_S:g} s after stop")
                return
            finals = self.record.finals


async def run_clients(plan: Plan, clients: Sequence[ClientPlan]) -> WorkerResult:
    """Run several clients at once."""
    audio = FramedAudio(plan)
    pacer = Pacer()
    records: list[ClientRecord] = []
    begun_cpu_s = time.process_time()

    async def run_one(client: ClientPlan) -> None:
        records.append(await run_client(plan, client, audio, pacer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pacer.run)
        async with trio.open_nursery() as running:
            for client in clients:
                running.start_soon(run_one, client)
        nursery.cancel_scope.cancel()
    return WorkerResult(records=records, cpu_s=time.process_time() - begun_cpu_s)
