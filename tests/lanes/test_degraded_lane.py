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
class Room:
    """Sessions that ask a lane for partials, each for one at a time."""

    lane: Lane
    tickets: dict[str, Ticket] = field(default_factory=dict)
    pauses_s: dict[str, float] = field(default_factory=dict)

    def waiting_s(self) -> float:
        waits_s = [trio.current_time() - t.submitted_s for t in self.tickets.values() if t.state is TicketState.QUEUED]
        return max(waits_s, default=0.0)

    async def talk(self, session_id: str, pause_s: float = 0.02) -> None:
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
            # `begun_s` lies far back, so that pacing has no effect: these sessions are to overload the lane.
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


async def crowded(nursery: trio.Nursery, threshold_s: float) -> tuple[Room, trio.CancelScope]:
    """A lane with twelve sessions; the scope cancels ten of them."""
    lane = new_lane(FakeEngine(), inference_s=lambda _: 0.15, degradation_threshold_s=lambda: threshold_s)
    room = Room(lane)
    await nursery.start(lane.run)
    leaving = trio.CancelScope()

    async def talk_and_leave() -> None:
        with leaving:
            async with trio.open_nursery() as talkers:
                for number in range(10):
                    talkers.start_soon(room.talk, f"leaves {number}")
        for session_id in [each for each in room.pauses_s if each.startswith("leaves")]:
            lane.cancel_session(session_id)
            lane.partial_policy.forget(session_id)
            del room.tickets[session_id], room.pauses_s[session_id]

    nursery.start_soon(talk_and_leave)
    for session_id in ("stays 0", "stays 1"):
        nursery.start_soon(room.talk, session_id)
    return room, leaving


@pytest.mark.contract("11/33")
@virtual_time
async def test_slowing_some_sessions_shortens_the_queue_of_a_slow_lane(nursery: trio.Nursery) -> None:
    free, _ = await crowded(nursery, math.inf)
    await trio.sleep(30.0)
    without_s = await free.longest_wait_s(30.0)
    room, leaving = await crowded(nursery, THRESHOLD_S)
    await trio.sleep(30.0)
    with_s = await room.longest_wait_s(20.0)
    assert without_s > 1.5  # twelve times 0.15 s
    assert with_s < THRESHOLD_S
    fast = [pause_s for pause_s in room.pauses_s.values() if pause_s == 0.02]
    assert 0 < len(fast) < 12
    leaving.cancel()
    await trio.sleep(30.0)
    assert room.pauses_s == {"stays 0": 0.02, "stays 1": 0.02}


@virtual_time
async def test_lane_that_keeps_up_slows_no_session(nursery: trio.Nursery) -> None:
    room, leaving = await crowded(nursery, THRESHOLD_S)
    leaving.cancel()
    await trio.sleep(30.0)
    assert room.pauses_s == {"stays 0": 0.02, "stays 1": 0.02}
    assert await room.longest_wait_s(10.0) < THRESHOLD_S / 2


@virtual_time
async def test_queue_behind_a_long_call_degrades_partials(nursery: trio.Nursery) -> None:
    lane = new_lane(
        FakeEngine(),
        inference_s=lambda batch: 60.0 if len(batch[0]) == 2 else 0.1,
        degradation_threshold_s=lambda: THRESHOLD_S,
    )
    await nursery.start(lane.run)
    room = Room(lane)
    nursery.start_soon(room.talk, "a")
    await trio.sleep(5.0)
    lane.submit(final("b", 2))
    await trio.sleep(10.0)
    assert lane.partial_policy.is_degraded("a")
    await trio.sleep(70.0)
    assert not lane.partial_policy.is_degraded("a")
