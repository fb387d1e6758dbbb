"""A slow lane with many sessions, whose partials are degraded, on virtual time."""

import math
from dataclasses import dataclass, field

import pytest
import trio

from tests.lanes.fakes import FakeEngine, final, new_lane, partial, virtual_time
from trio_stt.lanes.job import Ticket, TicketState
from trio_stt.lanes.lane import Lane

THRESHOLD_S = 1.0


@dataclass
class PartialSessions:
    """Sessions that request partials of a lane, each one after the other; `pauses_s` has their latest pauses."""

    lane: Lane
    tickets: dict[str, Ticket] = field(default_factory=dict)
    pauses_s: dict[str, float] = field(default_factory=dict)

    def waiting_s(self) -> float:
        waits_s = [trio.current_time() - t.submitted_s for t in self.tickets.values() if t.state is TicketState.QUEUED]
        return max(waits_s, default=0.0)

    async def request_partials(self, session_id: str, pause_s: float = 0.02) -> None:
        while True:
            self.tickets[session_id] = self.lane.submit(partial(session_id))
            result = await self.tickets[session_id].wait()
            now_s, policy = trio.current_time(), self.lane.partial_policy
            policy.record(
                session_id,
                now_s=now_s,
                inference_s=result.inference_s,
                clip_s=1.0,
                whole_s=1.0,
                usual_pause_s=pause_s,
            )
            # `begun_s` lies far back, which switches pacing off, because these sessions must overload the lane.
            following = policy.next_partial(session_id, now_s=now_s, begun_s=-1000.0)
            self.pauses_s[session_id] = max(pause_s, following.at_s - now_s)
            await trio.sleep(self.pauses_s[session_id])

    async def longest_wait_s(self, during_s: float) -> float:
        longest_s = 0.0
        until_s = trio.current_time() + during_s
        while trio.current_time() < until_s:
            longest_s = max(longest_s, self.waiting_s())
            await trio.sleep(0.05)
        return longest_s


async def lane_with_twelve_sessions(
    nursery: trio.Nursery, threshold_s: float
) -> tuple[PartialSessions, trio.CancelScope]:
    """A lane with twelve sessions that request partials; the scope cancels ten of them."""
    lane = new_lane(FakeEngine(), inference_s=lambda _: 0.15, degradation_threshold_s=lambda: threshold_s)
    sessions = PartialSessions(lane)
    await nursery.start(lane.run)
    leaving = trio.CancelScope()

    async def request_until_cancelled() -> None:
        with leaving:
            async with trio.open_nursery() as leaving_sessions:
                for number in range(10):
                    leaving_sessions.start_soon(sessions.request_partials, f"leaves {number}")
        for session_id in [each for each in sessions.pauses_s if each.startswith("leaves")]:
            lane.cancel_session(session_id)
            lane.partial_policy.forget(session_id)
            del sessions.tickets[session_id], sessions.pauses_s[session_id]

    nursery.start_soon(request_until_cancelled)
    for session_id in ("stays 0", "stays 1"):
        nursery.start_soon(sessions.request_partials, session_id)
    return sessions, leaving


@pytest.mark.contract("11/33")
@virtual_time
async def test_slowing_some_sessions_shortens_the_queue_of_a_slow_lane(nursery: trio.Nursery) -> None:
    undegraded, _ = await lane_with_twelve_sessions(nursery, math.inf)
    await trio.sleep(30.0)
    without_s = await undegraded.longest_wait_s(30.0)
    sessions, leaving = await lane_with_twelve_sessions(nursery, THRESHOLD_S)
    await trio.sleep(30.0)
    with_s = await sessions.longest_wait_s(20.0)
    assert without_s > 1.5  # twelve times 0.15 s
    assert with_s < THRESHOLD_S
    fast = [pause_s for pause_s in sessions.pauses_s.values() if pause_s == 0.02]
    assert 0 < len(fast) < 12
    leaving.cancel()
    await trio.sleep(30.0)
    assert sessions.pauses_s == {"stays 0": 0.02, "stays 1": 0.02}


@virtual_time
async def test_lane_that_keeps_up_slows_no_session(nursery: trio.Nursery) -> None:
    sessions, leaving = await lane_with_twelve_sessions(nursery, THRESHOLD_S)
    leaving.cancel()
    await trio.sleep(30.0)
    assert sessions.pauses_s == {"stays 0": 0.02, "stays 1": 0.02}
    assert await sessions.longest_wait_s(10.0) < THRESHOLD_S / 2


@virtual_time
async def test_queue_behind_a_long_call_degrades_partials(nursery: trio.Nursery) -> None:
    lane = new_lane(
        FakeEngine(),
        inference_s=lambda batch: 60.0 if len(batch[0]) == 2 else 0.1,
        degradation_threshold_s=lambda: THRESHOLD_S,
    )
    await nursery.start(lane.run)
    sessions = PartialSessions(lane)
    nursery.start_soon(sessions.request_partials, "a")
    await trio.sleep(5.0)
    lane.submit(final("b", 2))
    await trio.sleep(10.0)
    assert lane.partial_policy.is_degraded("a")
    await trio.sleep(70.0)
    assert not lane.partial_policy.is_degraded("a")
