"""Random faults of engines and cancellations: no job is lost, and each ends exactly once."""

import enum
import math
from collections import Counter
from functools import partial as partial_call

import trio
import trio.testing
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.lanes.fakes import Batch, FakeEngine, final, lengths, new_lane, partial
from trio_stt.errors import EngineError, EngineUnavailable, JobDropped
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.job import Job, JobKind, Ticket, TicketState
from trio_stt.lanes.lane_health import MAX_HUNG_THREADS
from trio_stt.lanes.lane_state import LaneState


class Clip(enum.IntEnum):
    """A clip whose length decides what its engine does: the kind is the length modulo the number of kinds."""

    GOOD = 0
    FAILS_ONCE = 1
    FAILS = 2
    HANGS_ONCE = 3
    HANGS = 4
    HANGS_400_S = 5
    UNAVAILABLE = 6


ALWAYS_BAD = (Clip.FAILS, Clip.HANGS, Clip.HANGS_400_S, Clip.UNAVAILABLE)
HANGS_FOR_S = {Clip.HANGS_ONCE: math.inf, Clip.HANGS: math.inf, Clip.HANGS_400_S: 400.0}
CLIPS = st.sampled_from([Clip.GOOD] * 3 + list(Clip))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("final"), st.sampled_from("abc"), CLIPS),
        st.tuples(st.just("partial"), st.sampled_from("abc"), CLIPS),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
        st.tuples(st.just("leave"), st.sampled_from("abc"), st.none()),
        st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.5, 1.0, 7.0, 40.0, 300.0]), st.none()),
    ),
    min_size=1,
    max_size=30,
)


class FaultyLane:
    """A lane with faulty engines, its jobs, and how often its engines got each clip, keyed by length."""

    def __init__(self, *, workers: int, shared: bool, max_batch: int, bad_loads: set[int]) -> None:
        self.attempts: Counter[int] = Counter()
        self.loads = 0
        self.bad_loads = bad_loads
        self.max_batch = max_batch
        self.workers = workers
        self.tickets: list[Ticket] = []
        self.ends: Counter[Ticket] = Counter()
        self.lane = new_lane(
            self.load,
            inference_s=self.inference_s,
            workers=workers,
            shared=shared,
            batch_size=lambda _: 8,
            job_deadline_s=lambda: 5.0,
            outage_limit_s=lambda: 20.0,
        )

    def load(self) -> FakeEngine:
        self.loads += 1
        if self.loads in self.bad_loads:
            raise EngineUnavailable("no memory left")
        return FakeEngine(self.answer, max_batch=self.max_batch)

    def inference_s(self, batch: Batch) -> float:
        taken_s = 1.0
        for each in batch:
            self.attempts[len(each)] += 1
            kind = Clip(len(each) % len(Clip))
            if kind is not Clip.HANGS_ONCE or self.attempts[len(each)] == 1:
                taken_s = max(taken_s, HANGS_FOR_S.get(kind, 0.0))
        return taken_s

    def answer(self, batch: Batch) -> list[Transcript]:
        for each in batch:
            match Clip(len(each) % len(Clip)):
                case Clip.UNAVAILABLE:
                    raise EngineUnavailable("the device is gone")
                case Clip.FAILS:
                    raise ArithmeticError
                case Clip.FAILS_ONCE if self.attempts[len(each)] == 1:
                    raise ArithmeticError
        return lengths(batch)

    async def submit(self, kind: str, session_id: str, clip: Clip, nursery: trio.Nursery) -> None:
        samples = (len(self.tickets) + 1) * len(Clip) + clip
        job = final(session_id, samples) if kind == "final" else partial(session_id, samples)
        ticket = self.lane.submit(job)
        self.tickets.append(ticket)
        nursery.start_soon(self.watch, ticket)

    async def watch(self, ticket: Ticket) -> None:
        try:
            ended: object = (await ticket.wait()).transcript.text
        except JobDropped as dropped:
            ended = dropped.reason
        except EngineError as error:
            ended = error
        assert may_end(ticket.job, ended)
        self.ends[ticket] += 1


def may_end(job: Job, ended: object) -> bool:
    """Whether a job may end with this text, drop reason or error. A good final only ends with its text or cancelled."""
    clip, is_partial = Clip(job.samples.size % len(Clip)), job.kind is JobKind.PARTIAL
    if isinstance(ended, EngineError):
        no_engine = str(ended).startswith("the main lane has no engine")
        return no_engine or clip in ALWAYS_BAD or (clip is Clip.FAILS_ONCE and is_partial)
    if ended in ("coalesced", "engine lost"):
        return is_partial
    return ended == "cancelled" or ended == str(job.samples.size)


async def play_steps(faulty: FaultyLane, steps: list[tuple[str, object, Clip | None]]) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(faulty.lane.run)
        for action, argument, clip in steps:
            match action:
                case "final" | "partial":
                    assert isinstance(argument, str)
                    assert clip is not None
                    await faulty.submit(action, argument, clip, nursery)
                case "cancel":
                    assert isinstance(argument, int)
                    if faulty.tickets:
                        faulty.tickets[argument % len(faulty.tickets)].cancel()
                case "leave":
                    assert isinstance(argument, str)
                    faulty.lane.cancel_session(argument)
                case "sleep":
                    assert isinstance(argument, float)
                    await trio.sleep(argument)
        await trio.sleep(5_000.0)
        assert [faulty.ends[ticket] for ticket in faulty.tickets] == [1] * len(faulty.tickets)
        assert all(count <= 2 for count in faulty.attempts.values())
        shown = faulty.lane.statistics()
        assert shown.queue.queued == 0
        assert shown.engines.hung_threads <= MAX_HUNG_THREADS - 1 + faulty.workers
        # The lane has recovered, unless too many engines hang.
        if shown.engines.hung_threads < MAX_HUNG_THREADS:
            assert faulty.lane.state is LaneState.READY
            assert shown.engines.serving == faulty.workers
        event(f"{faulty.lane.state.value}, {min(shown.engines.restarts, 3)} restarts")
        if faulty.lane.state is LaneState.READY:
            await faulty.submit("final", "z", Clip.GOOD, nursery)
            await trio.sleep(2.0)
            assert faulty.tickets[-1].state is TicketState.DONE
        nursery.cancel_scope.cancel()


@settings(max_examples=200)
@given(
    steps=STEPS,
    workers=st.integers(1, 3),
    shared=st.booleans(),
    max_batch=st.integers(1, 4),
    bad_loads=st.sets(st.integers(1, 8), max_size=4),
)
def test_every_job_ends_once_whatever_the_engines_do(
    steps: list[tuple[str, object, Clip | None]], workers: int, shared: bool, max_batch: int, bad_loads: set[int]
) -> None:
    faulty = FaultyLane(workers=workers, shared=shared, max_batch=max_batch, bad_loads=bad_loads)
    trio.run(partial_call(play_steps, faulty, steps), clock=trio.testing.MockClock(autojump_threshold=0))
