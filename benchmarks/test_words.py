"""Cost of what happens to every partial, event and job, beside the plain way in Python."""

import json
import queue
from collections import deque
from itertools import takewhile

import msgspec
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from trio_stt.cli.reference_speech import READINGS
from trio_stt.lanes.fair_queue import FairQueue, QueueLimits
from trio_stt.lanes.job import Job, JobKind
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import Status, encode
from trio_stt.speech.stabilizer import Stabilizer

WORDS = READINGS["two_cities.wav"].split()
HYPOTHESES = [" ".join(WORDS[:count] + ["um"] * (count % 2)) for count in range(1, len(WORDS))]
"""Hypotheses of a reading that grows word by word, every other one with a wrong last word."""
STEP_SAMPLES = 5_000

SESSIONS = [f"{number:032x}" for number in range(50)]
CLIP = np.zeros(16_000, np.float32)
JOBS = [Job(session_id=name, kind=kind, samples=CLIP) for kind in JobKind for name in SESSIONS]

STATUS = Status(
    session_id=SESSIONS[0],
    state=State.LISTENING,
    timestamp=1_900_000_000.25,
    timestamp_iso="2030-03-17T17:46:40.250Z",
    active_client_id=SESSIONS[0],
    queue_depth=1,
    dropped_chunks=0,
    coalesced_realtime=0,
    stale_realtime_discarded=0,
    active_sessions=50,
    active_speakers=10,
)


@pytest.mark.benchmark(group=f"stable text of {len(HYPOTHESES)} growing partials")
class TestStableText:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        def follow() -> str:
            stabilizer = Stabilizer()
            stable = ""
            for number, text in enumerate(HYPOTHESES, 1):
                stable = stabilizer.observe(text, audio_end_sample=number * STEP_SAMPLES).stable
            return stable

        assert benchmark(follow).startswith("It was the best")

    def test_common_prefix_of_the_last_five(self, benchmark: BenchmarkFixture) -> None:
        def follow() -> str:
            recent: deque[list[str]] = deque(maxlen=5)
            stable: list[str] = []
            for text in HYPOTHESES:
                recent.append(text.casefold().split())
                agreed = takewhile(lambda column: len(set(column)) == 1, zip(*recent, strict=False))
                stable = max(stable, [column[0] for column in agreed], key=len)
            return " ".join(stable)

        assert benchmark(follow).startswith("it was the best")


@pytest.mark.benchmark(group="one status event to JSON")
class TestEncoding:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        benchmark(encode, STATUS)

    def test_json_dumps(self, benchmark: BenchmarkFixture) -> None:
        fields = json.loads(msgspec.json.encode(STATUS))
        benchmark(lambda: json.dumps(fields))


@pytest.mark.benchmark(group="100 jobs of 50 sessions in and out")
class TestQueue:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        limits = QueueLimits(max_finals_per_session=8, max_jobs=1_000)

        def pass_through() -> None:
            waiting = FairQueue("main", lambda: limits)
            for job in JOBS:
                waiting.enqueue(job)
            while waiting.dequeue(0.0).job is not None:
                pass

        benchmark(pass_through)

    def test_queue_queue(self, benchmark: BenchmarkFixture) -> None:
        def pass_through() -> None:
            waiting: queue.Queue[Job] = queue.Queue()
            for job in JOBS:
                waiting.put(job)
            while not waiting.empty():
                waiting.get()

        benchmark(pass_through)
