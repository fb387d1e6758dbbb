"""All lanes on virtual time, and one lane on threads on the real clock."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.lanes import fakes
from tests.lanes.fakes import (
    Batch,
    FakeEngine,
    VirtualExecutor,
    clip,
    final,
    lengths,
    limits,
    partial,
    virtual_time,
    wait_until,
)
from trio_stt.errors import EngineUnavailable, JobDropped, TranscriptionFailed
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines.base import Transcript
from trio_stt.lanes.job import JobKind, TicketState
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneName, LaneState
from trio_stt.lanes.scheduler import Lanes


def own_threads() -> list[threading.Thread]:
    """All threads except Trio's own, which come and go."""
    return [thread for thread in threading.enumerate() if not thread.name.startswith("Trio")]


def unavailable() -> FakeEngine:
    raise EngineUnavailable("install the fake package")


def named_lane(name: LaneName, *, load_s: float = 0.0, engine: FakeEngine | None = None) -> Lane:
    """A lane whose engine takes a second for a batch."""
    return fakes.new_lane(engine or FakeEngine(), name=name, load_s=load_s)


@pytest.mark.contract("7.1")
@virtual_time
async def test_finals_and_partials_go_to_their_lanes(nursery: trio.Nursery) -> None:
    lanes = Lanes(main=named_lane("main"), realtime=named_lane("realtime"))
    assert lanes.mode == "balanced-main-plus-realtime"
    await nursery.start(lanes.run)
    a_final, a_partial = final("a", 1), partial("a", 2)
    tickets = [lanes.lane_for(job.kind).submit(job) for job in (a_final, a_partial)]
    assert [(await ticket.wait()).total_s for ticket in tickets] == [1.0, 1.0]  # at the same time
    shown = lanes.statistics()
    assert shown.mode == lanes.mode
    assert [(each.name, each.work.completed_jobs) for each in shown.lanes] == [("main", 1), ("realtime", 1)]


@pytest.mark.contract("7.1", "11/31")
@virtual_time
async def test_one_lane_may_take_both_kinds(nursery: trio.Nursery) -> None:
    only = named_lane("main")
    lanes = Lanes(main=only, realtime=only)
    assert lanes.mode == "low-memory-one-model"
    await nursery.start(lanes.run)
    await lanes.wait_loaded()
    assert lanes.ok
    assert lanes.lane_for(JobKind.FINAL) is lanes.lane_for(JobKind.PARTIAL)
    only.submit(final("a"))
    only.submit(partial("a"))
    assert lanes.cancel_session("a") == 2
    assert [each.name for each in lanes.statistics().lanes] == ["main"]


@pytest.mark.contract("7.5", "2.1")
@virtual_time
async def test_lanes_are_ready_when_the_last_one_is(nursery: trio.Nursery) -> None:
    lanes = Lanes(main=named_lane("main", load_s=5.0), realtime=named_lane("realtime", load_s=2.0))
    await nursery.start(lanes.run)
    await trio.sleep(3.0)
    assert not lanes.ready
    assert not lanes.ok
    await lanes.wait_loaded()
    assert trio.current_time() == 5.0
    assert lanes.ready
    assert lanes.ok
    assert dict(lanes.startup_errors) == {}


@pytest.mark.contract("7.5")
@virtual_time
async def test_failed_lane_is_named_and_the_other_one_works(nursery: trio.Nursery) -> None:
    broken = fakes.new_lane(unavailable, name="realtime")
    lanes = Lanes(main=named_lane("main", load_s=1.0), realtime=broken)
    await nursery.start(lanes.run)
    await lanes.wait_loaded()
    assert lanes.ready
    assert not lanes.ok
    assert dict(lanes.startup_errors) == {"realtime": "install the fake package"}
    assert lanes.lane_for(JobKind.PARTIAL).submit(partial("a")).state is TicketState.FAILED
    assert (await lanes.lane_for(JobKind.FINAL).submit(final("a")).wait()).inference_s == 1.0


@virtual_time
async def test_cancel_session_reaches_every_lane(nursery: trio.Nursery) -> None:
    lanes = Lanes(main=named_lane("main"), realtime=named_lane("realtime"))
    await nursery.start(lanes.run)
    jobs = [final("a"), final("a"), partial("a"), final("b")]
    tickets = [lanes.lane_for(job.kind).submit(job) for job in jobs]
    assert lanes.cancel_session("a") == 3
    assert [ticket.state for ticket in tickets] == [TicketState.DROPPED] * 3 + [TicketState.QUEUED]


@virtual_time
async def test_lanes_close_concurrently(nursery: trio.Nursery) -> None:
    engines = [FakeEngine(), FakeEngine()]
    lanes = Lanes(main=named_lane("main", engine=engines[0]), realtime=named_lane("realtime", engine=engines[1]))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as running:
            await running.start(lanes.run)
            await lanes.wait_loaded()
            nursery.start_soon(lanes.lane_for(JobKind.FINAL).submit(final("a")).wait)
            lanes.lane_for(JobKind.PARTIAL).submit(partial("a"))
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
            scope.cancel()
    assert trio.current_time() == 1.0  # both calls had half a second left
    assert [engine.closed for engine in engines] == [1, 1]
    assert not lanes.ready
    assert not lanes.ok


@pytest.fixture(params=["virtual", "thread"])
def new_lane(request: pytest.FixtureRequest) -> Callable[..., Lane]:
    """Makes a lane on one kind of executor."""

    def make(load: Callable[[], FakeEngine], **options: Any) -> Lane:
        threads = engine_threads("main", load)
        new_executor = (lambda: VirtualExecutor(load)) if request.param == "virtual" else threads
        return Lane("main", new_executor=new_executor, limits=limits(), **options)

    return make


async def test_lane_works_alike_on_either_executor(new_lane: Callable[..., Lane]) -> None:
    before = own_threads()
    engine = FakeEngine(lambda batch: None if len(batch[0]) == 13 else lengths(batch))
    lane = new_lane(lambda: engine, warmup_clips=[clip(100)])
    async with trio.open_nursery() as nursery:
        early = lane.submit(final("a", 1))
        await nursery.start(lane.run)
        assert (await early.wait()).transcript.text == "1"
        with pytest.raises(TranscriptionFailed):
            await lane.submit(final("a", 13)).wait()
        assert (await lane.submit(partial("b", 2)).wait()).transcript.text == "2"
        nursery.cancel_scope.cancel()
    assert engine.clips == [100, 1, 13, 13, 2]
    assert engine.closed == 1
    assert lane.state is LaneState.CLOSED
    assert own_threads() == before


async def test_lane_without_an_engine_works_alike_on_either_executor(
    new_lane: Callable[..., Lane],
) -> None:
    before = own_threads()
    failed = new_lane(unavailable)
    async with trio.open_nursery() as nursery:
        await nursery.start(failed.run)
        with pytest.raises(EngineUnavailable, match="the main lane has no engine: install the fake package"):
            await failed.submit(final("a")).wait()
        nursery.cancel_scope.cancel()
    assert own_threads() == before


async def test_lane_ends_without_its_hung_thread() -> None:
    before = set(own_threads())
    token, begun, release = trio.lowlevel.current_trio_token(), trio.Event(), threading.Event()

    def hang(_: object) -> None:
        token.run_sync_soon(begun.set)
        assert release.wait(30)

    lane = Lane(
        "main",
        new_executor=engine_threads("main", lambda: FakeEngine(hang), shutdown_timeout_s=0.01),
        limits=limits(),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        ticket = lane.submit(final("a"))
        await begun.wait()
        nursery.cancel_scope.cancel()
    with pytest.raises(JobDropped, match="closed"):
        await ticket.wait()
    (left,) = set(own_threads()) - before
    release.set()
    left.join(30)
    assert set(own_threads()) == before


async def test_hung_native_call_costs_a_thread_and_no_final() -> None:
    """A hung call on real threads."""
    before = set(own_threads())
    release = threading.Event()
    engines: list[FakeEngine] = []

    def hang_once(batch: Batch) -> list[Transcript]:
        if len(batch[0]) == 13 and len(engines) == 1:
            assert release.wait(30)
        return lengths(batch)

    def load() -> FakeEngine:
        engines.append(FakeEngine(hang_once))
        return engines[-1]

    lane = Lane(
        "main",
        new_executor=engine_threads("main", load),
        limits=limits(),
        job_deadline_s=lambda: 0.05 if len(engines) == 1 else 30.0,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        unlucky, waiting = lane.submit(final("a", 13)), lane.submit(final("b", 2))
        assert (await unlucky.wait()).transcript.text == "13"
        assert (await waiting.wait()).transcript.text == "2"
        shown = lane.statistics().engines
        assert (shown.restarts, shown.hung_threads, shown.serving) == (1, 1, 1)
        assert [engine.clips for engine in engines] == [[13], [13, 2]]
        release.set()
        await wait_until(lambda: not lane.statistics().engines.hung_threads)
        assert [engine.closed for engine in engines] == [1, 0]
        nursery.cancel_scope.cancel()
    assert [engine.closed for engine in engines] == [1, 1]
    for thread in set(own_threads()) - before:
        thread.join(30)
    assert set(own_threads()) == before


async def test_workers_call_a_shared_engine_at_the_same_time() -> None:
    """Each of two calls waits until the other one has begun."""
    before = own_threads()
    together = threading.Barrier(2, timeout=30)
    engines: list[FakeEngine] = []

    def meet(batch: Batch) -> list[Transcript]:
        together.wait()
        return lengths(batch)

    def load() -> FakeEngine:
        engines.append(FakeEngine(meet))
        return engines[-1]

    lane = Lane("main", new_executor=engine_threads("main", load, shared=True), limits=limits(), workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        tickets = [lane.submit(final("a", samples)) for samples in (1, 2)]
        assert [(await ticket.wait()).transcript.text for ticket in tickets] == ["1", "2"]
        nursery.cancel_scope.cancel()
    assert [engine.closed for engine in engines] == [1]
    assert own_threads() == before
