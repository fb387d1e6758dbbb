"""Threads, descriptors, log handlers, memory and wake-ups: defects 35 to 40 in tests/contract_report.py."""

import gc
import logging
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import trio

from tests.contract.fixtures import PAUSE_S, send, served, speech, talk
from tests.lanes.fakes import lengths, virtual_time
from tests.support.conversation import Client, ServerFixture, server_fixture
from trio_stt import metrics
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.lanes.lane import DELAY_CHECK_INTERVAL_S
from trio_stt.protocol.event_objects import Segment
from trio_stt.protocol.events import Final
from trio_stt.session.outbox import SEND_TIMEOUT_S
from trio_stt.session.session import HEARTBEAT_S

contract = pytest.mark.contract


def threads() -> int:
    """Number of threads of the process, including those of native libraries."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def handlers() -> dict[str, int]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return {each.name: len(each.handlers) for each in loggers if isinstance(each, logging.Logger) and each.handlers}


async def speak(server: ServerFixture, spoken: np.ndarray) -> Client:
    client = await server.streaming_client()
    send(client, spoken)
    client.command("flush")
    await client.until(Final)
    return client


async def unchanged_by_sessions(monkeypatch: pytest.MonkeyPatch, state: Callable[[], object]) -> None:
    """Check that twenty speaking sessions do not change `state`, neither while they are connected nor afterwards."""
    async with served(monkeypatch, early_transcription_on_silence=0.1) as server:
        spoken = speech(3.0)
        (await speak(server, spoken)).leave()
        before = state()
        clients = [await speak(server, spoken) for _ in range(20)]
        assert server.server_state.registry.active_sessions >= 20
        assert state() == before
        for client in clients:
            client.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert state() == before


@contract("11/35")
async def test_sessions_have_no_threads_and_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    await unchanged_by_sessions(monkeypatch, lambda: (threads(), descriptors()))


@contract("11/36")
async def test_sessions_add_no_log_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    await unchanged_by_sessions(monkeypatch, handlers)


@contract("11/37")
@virtual_time
async def test_old_utterances_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RECENT_SAMPLES", 16)  # durations that the statistics keep: full sooner than with 256
    # No grace period: the events kept for a resume are bounded by other tests, and would hide a leak here.
    changes = {"realtime_processing_pause": 0.1, "resume_grace_s": 0.0}
    async with server_fixture(inference_s=lambda _: 0.05, answer=lengths, **changes) as server:
        client = await server.streaming_client()

        async def utter(count: int) -> tuple[Counter[str], int]:
            """Live objects of our classes after `count` further utterances, and bytes allocated by our code."""
            for _ in range(count):
                await talk(client, 1111, 0.4)
                client.pause(PAUSE_S)
                await client.settled()
            client.events.clear()
            gc.collect()
            kinds = (type(each) for each in gc.get_objects())
            ours = Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("trio_stt."))
            held = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/trio_stt/*")])
            return ours, sum(trace.size for trace in held.traces)

        tracemalloc.start()
        try:
            objects, memory = await utter(24)
            later_objects, later_memory = await utter(40)
        finally:
            tracemalloc.stop()
        assert objects == later_objects
        # Bounded stores of recent texts and times still fill up: 180 to 310 bytes for each utterance. Its audio alone
        # would be 12,800.
        assert later_memory - memory < 40 * 400
        assert client.session.report().final_completed >= 60


@contract("11/37")
@virtual_time
async def test_long_utterance_is_stored_once_and_not_copied_further() -> None:
    async with server_fixture(early_transcription_on_silence=0.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await client.settled()
        tracemalloc.start()
        try:
            for _ in range(25):
                client.say(1111, 1.0)
                await client.settled()
            client.command("stop")
            await client.until(Final)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        samples = 26 * 16_000
        # The buffer has two bytes a sample and up to twice the capacity; the clip has four, and four while it is built.
        assert peak < samples * (2 * 2 + 4 + 4)


@contract("5.3", "11/38")
def test_boundary_detector_runs_no_python_per_frame_or_sample() -> None:
    spoken = speech(8.0)

    def calls(samples: np.ndarray) -> int:
        count = 0

        def note(frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG001 - as Python calls it
            nonlocal count
            count += event in ("call", "c_call")

        detector = BoundaryDetector(0.0)
        sys.setprofile(note)
        try:
            found = detector.push(samples)
        finally:
            sys.setprofile(None)
        return count - 10 * len(found)

    BoundaryDetector(0.0).push(spoken[:1600])  # compiles
    assert calls(spoken) <= calls(spoken[:16_000]) + 10


@contract("5.3", "11/38")
def test_boundary_detector_detects_low_voices_and_uses_its_sensitivity() -> None:
    seconds = np.arange(16_000) / 16_000
    loudness = np.where(seconds % 0.3 < 0.22, 0.28, 0.02)
    low = sum(np.sin(2 * np.pi * 82 * each * seconds) / each for each in range(1, 30))
    voice = (low / np.abs(low).max() * loudness * 32767).astype(np.int16)
    assert len(BoundaryDetector(0.6).push(voice)) >= 3
    spoken = speech(12.0)
    found = [len(BoundaryDetector(sensitivity).push(spoken)) for sensitivity in (0.0, 0.6, 1.0)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 1.2 * found[0]


class Wakeups(trio.abc.Instrument):
    """Counts the steps of all tasks."""

    def __init__(self) -> None:
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - as trio calls it
        self.steps += 1


@contract("11/39")
@virtual_time
@pytest.mark.parametrize("speaking", [False, True])
async def test_waiting_tasks_do_not_poll(speaking: bool) -> None:
    minutes_s = 600.0
    async with server_fixture(inference_s=lambda _: 10_000.0, stream_stall_timeout_s=0.0) as server:
        clients = [await server.connect() for _ in range(4)]
        for client in clients:
            client.command("start")
            if speaking:
                client.say(1111, 1.0)  # enough for a partial, which waits in the queue
        await trio.sleep(1)
        for client in clients:
            assert (client.session.report().realtime_submitted > 0) == speaking
        counted = Wakeups()
        trio.lowlevel.add_instrument(counted)
        await trio.sleep(minutes_s)
        trio.lowlevel.remove_instrument(counted)
        heartbeats = minutes_s / HEARTBEAT_S
        stall_checks = minutes_s / (SEND_TIMEOUT_S / 4)  # of `Delivery.watch`
        # The lane, not each session, checks its delay while jobs are queued.
        lane_checks = minutes_s / DELAY_CHECK_INTERVAL_S if speaking else 0.0
        assert counted.steps <= len(clients) * (4 * heartbeats + 2 * stall_checks) + lane_checks


@contract("4.4", "11/40")
@virtual_time
async def test_segments_do_not_depend_on_arrival_times() -> None:
    random = np.random.default_rng(3)
    levels = [0, 1111, 0, 2222, 0, 3333, 0]
    spoken = np.concatenate(
        [
            np.full(round(s * 16_000), level, np.int16)
            for level, s in zip(levels, (1, 3, 0.9, 2, 0.4, 2, 1.5), strict=True)
        ]
    )
    packets = np.split(spoken, np.sort(random.choice(spoken.size, 300, replace=False)))

    def at_once(_: int) -> float:
        return 0.0

    def fifty_times(samples: int) -> float:
        return samples / 16_000 / 50

    def jitter(samples: int) -> float:
        return samples / 16_000 + (float(random.uniform(0.5, 3.0)) if random.random() < 0.1 else 0.0)

    results = []
    for delay_after in (at_once, fifty_times, jitter):
        async with server_fixture() as server:
            client = await server.streaming_client(partials=False)
            for packet in packets:
                if packet.size:
                    send(client, packet)
                    await trio.sleep(delay_after(packet.size))
            await client.until(Final, 2)
            await client.settled()
            results.append([
                (final.text, final.duration_seconds, segment.audio_start_seconds, segment.audio_end_seconds)
                for final in client.of(Final)
                if isinstance(segment := final.segment, Segment)
            ])  # fmt: skip
    assert results[0] == results[1] == results[2]
    assert [text for text, *_ in results[0]] == ["1111.", "2222 3333."], "silence ends the utterances at any speed"
