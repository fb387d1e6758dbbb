"""A server under load on virtual time: real sessions, queue and pacing; detector and engine follow a script.

The clients follow a plan of `trio-stt bench`, and the figures are computed as there. What is not simulated is the event
loop's own work: the caller accounts for it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import trio
import trio.testing
from numpy.typing import NDArray

from trio_stt.bench.client_record import ClientRecord, EventRecorder, RunResult
from trio_stt.bench.figures import Figures, figures
from trio_stt.bench.speech_plan import ClientPlan, Plan, script
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.detector import VadResult
from trio_stt.lanes.engines.base import EngineInfo, Request, Transcript
from trio_stt.lanes.executor import OnLost, ignore_loss
from trio_stt.lanes.scheduler import Lanes
from trio_stt.protocol.commands import Command, Start
from trio_stt.protocol.packets import build_packet
from trio_stt.server.build import new_lane
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed, Message
from trio_stt.session.session import Session
from trio_stt.settings import Settings

_SPEECH = VadResult(rms=1000.0, probability=0.99)
_SILENCE = VadResult(rms=20.0, probability=0.0)
_WORDS_PER_S = 2.5
"""Rate of the simulated words; that of usual speech."""
_LONGEST_S = 1e6


def simulate(
    settings: Settings, plan: Plan, *, engine: EngineInfo, service: Callable[[float], float], workers: int
) -> Figures:
    """Carry out a plan on virtual time.

    Args:
        settings: Of the server.
        plan: Of the clients; its rate must be 16 kHz.
        engine: What each worker runs.
        service: Seconds for a call, by the seconds of audio in it.
        workers: Workers of the lane.
    """

    async def run() -> Figures:
        with trio.fail_after(_LONGEST_S):  # if all tasks wait for ever, virtual time jumps here
            return await _simulate(settings, plan, engine=engine, service=service, workers=workers)

    return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


async def _simulate(
    settings: Settings, plan: Plan, *, engine: EngineInfo, service: Callable[[float], float], workers: int
) -> Figures:
    detectors: list[_ScriptedDetector] = []
    lane = new_lane(
        "main", settings, lambda: _Executor(engine, service), workers=workers, current=lambda: server_state.settings
    )
    server_state = ServerState(
        settings=settings, lanes=Lanes(main=lane, realtime=lane), new_detector=lambda _: detectors.pop()
    )
    clips = [np.fromfile(Path(clip.pcm_path), "<i2") for clip in plan.clips]
    records: list[ClientRecord] = []

    async def run_client(client: ClientPlan) -> None:
        await trio.sleep(client.delay_s)
        connection = _Client(plan, client, clips)
        detectors.append(_ScriptedDetector(_speech(plan, client)))
        session = Session(session_id=server_state.reserve(), host=server_state, settings=settings)
        connection.session = session
        server_state.start(session)
        await session.serve_connection(connection)
        records.append(connection.record)

    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.run)
        await lane.wait_loaded()
        plan = msgspec.structs.replace(plan, begin_s=trio.current_time())
        async with trio.open_nursery() as clients:
            for client in plan.clients:
                clients.start_soon(run_client, client)
        nursery.cancel_scope.cancel()
    steady_from_s = max(client.delay_s for client in plan.clients)
    return figures(
        RunResult(plan=plan, steady_from_s=steady_from_s, records=records, clients_cpu_s=0.0, before=None, after=None)
    )


def _speech(plan: Plan, client: ClientPlan) -> list[tuple[float, float]]:
    """When a client speaks, in seconds of its stream."""
    packet_s = plan.packet_samples / plan.rate_hz
    return [
        (step.start_packet * packet_s + start_s, step.start_packet * packet_s + end_s)
        for step in script(plan, client)
        if step.clip is not None
        for start_s, end_s in plan.clips[step.clip].speech
    ]


class _ScriptedDetector:
    """Detects speech where the script has it."""

    def __init__(self, speech: Sequence[tuple[float, float]]) -> None:
        self._left = list(reversed(speech))
        self._position_s = 0.0

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:  # noqa: ARG002 - of the protocol
        """See `Detector.detect`."""
        middle_s = self._position_s + WINDOW_SAMPLES / 2 / SAMPLE_RATE_HZ
        self._position_s += WINDOW_SAMPLES / SAMPLE_RATE_HZ
        while self._left and self._left[-1][1] <= middle_s:
            self._left.pop()
        return _SPEECH if self._left and self._left[-1][0] <= middle_s else _SILENCE

    def reset(self) -> None:
        """Nothing to reset."""


class _Client:
    """A client of the plan, as a session's connection."""

    closed_cleanly = True

    def __init__(self, plan: Plan, client: ClientPlan, clips: Sequence[NDArray[np.int16]]) -> None:
        self.record = ClientRecord(number=client.number, hello_s=0.0)
        self.session: Session
        self._plan = plan
        self._client = client
        self._clips = clips
        self._begun_s = trio.current_time()
        self._recorder = EventRecorder(record=self.record, packet_s=plan.packet_samples / plan.rate_hz)
        self._messages = self._script()

    def _script(self) -> Iterator[tuple[float, Message]]:
        """Each message and when it is due, in seconds of the client's stream."""
        size, rate_hz = self._plan.packet_samples, self._plan.rate_hz
        room = np.zeros(size, "<i2")
        yield 0.0, Start()
        for step in script(self._plan, self._client):
            if step.clip is not None:
                self.record.clips.append((step.clip, step.start_packet * size / rate_hz))
            for number in range(step.packets):
                samples = room if step.clip is None else self._clips[step.clip][number * size : (number + 1) * size]
                samples = np.pad(samples, (0, size - samples.size))
                self.record.audio_s += size / rate_hz
                due_s = (step.start_packet + number + 1) * size / rate_hz
                yield due_s, build_packet(samples.tobytes(), rate_hz=rate_hz)
        yield (step.start_packet + step.packets) * size / rate_hz, Command.STOP

    async def receive(self) -> Message:
        """See `Connection.receive`."""
        with suppress(StopIteration):
            due_s, message = next(self._messages)
            await trio.sleep_until(self._begun_s + due_s)
            self.record.begun_s = self._begun_s
            return message
        await self.session.wait_drained()
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        """See `Connection.send`."""
        await trio.lowlevel.checkpoint()
        for message in messages:
            self._recorder.add_event(msgspec.json.decode(message), trio.current_time() - self._begun_s)

    def abort(self) -> None:
        """See `Connection.abort`."""


class _Executor:
    """An executor whose engine takes the measured time. Implements `EngineExecutor`."""

    def __init__(self, engine: EngineInfo, service: Callable[[float], float]) -> None:
        self._engine = engine
        self._service = service

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:  # noqa: ARG002 - it is never lost
        """See `EngineExecutor.start`."""
        await trio.lowlevel.checkpoint()
        return self._engine

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """See `EngineExecutor.transcribe`."""
        lengths_s = [request.samples.size / SAMPLE_RATE_HZ for request in batch]
        await trio.sleep(self._service(sum(lengths_s)))
        return [Transcript(text=" ".join(f"w{n}" for n in range(1 + int(_WORDS_PER_S * s)))) for s in lengths_s]

    async def aclose(self, *, discard: bool = False) -> None:
        """See `EngineExecutor.aclose`."""

    def abandon(self, on_return: Callable[[], None]) -> None:
        """See `EngineExecutor.abandon`."""
        on_return()
