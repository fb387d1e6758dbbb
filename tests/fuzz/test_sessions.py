"""Invariants of sessions under random actions of two clients and random faults of the engine."""

import json
import math
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.conversation import Batch, Client, ServerFixture, levels, server_fixture
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.commands import Command
from trio_stt.protocol.events import Clear, Error, Event, Final, Realtime, Resumed, Timeline
from trio_stt.protocol.packets import build_packet
from trio_stt.session.connection import CloseReason

PACKET_S = 0.04
GRACE_S = 10.0
MAX_HANGS = 2
"""Hangs allowed: with one more the lane would load no further engine."""

FAILURES: dict[str, object] = {
    "none": None,
    "empty": [],
    "silent": [Transcript(text="")],
    "surrogate": [Transcript(text="\udfff")],
    "dots": [Transcript(text="…")],
    "loop": [Transcript(text="again " * 500)],
    "flood": [Transcript(text="x" * 1_000_000)],
}
FAULTS = ["raise", "unfit", "hang", "slow", *FAILURES]


@dataclass
class ScriptedFaults:
    """Faults of the engine at its next batches."""

    waiting: list[str] = field(default_factory=list)
    hangs: int = 0
    now: str = ""

    def inference_s(self, batch: Batch) -> float:  # noqa: ARG002 - as the fixture's
        self.now = self.waiting.pop(0) if self.waiting else ""
        if self.now == "hang" and self.hangs < MAX_HANGS:
            self.hangs += 1
            return math.inf
        return 4.0 if self.now == "slow" else 0.1

    def answer(self, batch: Batch) -> object:
        if self.now == "raise":
            raise ArithmeticError
        if self.now == "unfit":
            raise EngineUnavailable("the card has gone")
        return FAILURES.get(self.now, levels(batch)) if self.now in FAILURES else levels(batch)


@dataclass
class EventChecker:
    """Checks each event of a session against those before it."""

    open: set[int] = field(default_factory=set)
    closed_up_to: int = 0
    ended: set[int] = field(default_factory=set)
    shown: dict[int, int] = field(default_factory=dict)
    newest: int = 0

    def read(self, event: Event) -> None:
        if isinstance(event, Clear):
            assert event.next_segment_id > self.newest
            self.open.clear()
            self.newest = event.next_segment_id - 1
        elif isinstance(event, Realtime):
            assert event.segment_id in self.open
            assert event.segment_id not in self.ended
            assert event.sequence > self.shown.get(event.segment_id, 0)
            self.shown[event.segment_id] = event.sequence
        elif isinstance(event, Final):
            assert event.segment_id in self.open
        elif isinstance(event, Timeline) and isinstance(event.segment_id, int):
            self._step(event.event, event.segment_id)

    def _step(self, step: str, segment: int) -> None:
        if step == "recording_started":
            assert segment == self.newest + 1
            self.newest = segment
            self.open.add(segment)
            return
        assert segment in self.open, f"{step} of segment {segment}, which is closed"
        if step == "recording_ended":
            assert segment not in self.ended
            self.ended.add(segment)
        elif step in ("final_transcript", "segment_closed"):
            assert segment == min(self.open), "finals in the order of speech"
            self.open.remove(segment)


@dataclass
class RandomClient:
    """One client over all its connections and sessions."""

    server: ServerFixture
    client: Client
    seen: list[Event] = field(default_factory=list)
    connected: bool = True

    def events(self) -> list[Event]:
        return self.seen + self.client.session_events

    def check(self) -> EventChecker:
        """Read all events of the session; their numbers have no gap."""
        events = self.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        checker = EventChecker()
        for event in events:
            checker.read(event)
        return checker

    async def renew(self) -> None:
        self.client, self.seen, self.connected = await self.server.connect(), [], True

    async def resume(self, unseen: int) -> None:
        """Resume the session; if it has ended, continue in the new one."""
        self.check()
        lost, kept = self.client, self.events()
        kept = kept[: max(0, len(kept) - unseen)]
        back = await self.server.connect()
        back.resume(lost.token, len(kept))
        with trio.fail_after(1000):
            while not (back.of(Resumed) or [error for error in back.of(Error) if error.where == "resume"]):  # noqa: ASYNC110 - either one
                await trio.sleep(0.01)
        self.connected = True
        if back.of(Resumed):
            back.session, back.token = lost.session, lost.token
            assert back.of(Resumed)[0].missed_events == 0
            self.client, self.seen = back, kept
        else:
            lost.drop()  # the session had not begun, or had ended
            self.client, self.seen = back, []

    async def act(self, kind: str, what: object) -> None:
        match kind:
            case "say" if self.connected:
                assert isinstance(what, tuple)
                level, count = what
                for _ in range(count):
                    self.client.say(level, PACKET_S)
                    await trio.sleep(PACKET_S)
            case "burst" if self.connected:
                assert isinstance(what, int)
                self.client.say(what, 3.0)
                self.client.pause(1.0)
            case "send" if self.connected:
                assert isinstance(what, str | bytes)
                self.client.raw(what)
            case "drop":
                self.client.drop()
                self.connected = False
            case "return":
                assert isinstance(what, int)
                await self.resume(what)
            case "leave" if self.connected:
                self.client.leave()
                await self.renew()


GOOD = build_packet(bytes(640), rate_hz=16_000)
COMMANDS = st.sampled_from([*Command, "flush"]).map(lambda kind: json.dumps({"type": kind}))
BAD_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "null", "[" * 5000, '{"type":NaN}', '{"type":' * 900, f'{{"type":"flush","id":{10**80}}}']),
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), st.lists, max_leaves=6).map(
        lambda value: json.dumps({"type": "flush", "id": value, "seq": value})
    ),
)
BAD_PACKET = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda at, byte: GOOD[: at % len(GOOD)] + bytes([byte]) + GOOD[at % len(GOOD) + 1 :],
        st.integers(0, 90),
        st.integers(0, 255),
    ),
    st.integers(0, len(GOOD)).map(lambda end: GOOD[:end]),
)
LEVELS = st.sampled_from([0, 0, 1111, 2222])
STEP = st.one_of(
    st.tuples(st.just("say"), st.tuples(LEVELS, st.integers(1, 40))),
    st.tuples(st.just("burst"), st.sampled_from([3333, 4444])),
    st.tuples(st.just("send"), COMMANDS | BAD_TEXT | BAD_PACKET),
    st.tuples(st.just("send"), st.just('{"type":"start"}')),
    st.tuples(st.just("drop"), st.none()),
    st.tuples(st.just("return"), st.integers(0, 20)),
    st.tuples(st.just("leave"), st.none()),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.5, 3.0, 6.0, 12.0])),
    st.tuples(st.just("fault"), st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4)),
)


async def run_actions(steps: list[tuple[int, tuple[str, object]]]) -> None:
    faults = ScriptedFaults()
    async with server_fixture(
        inference_s=faults.inference_s, answer=faults.answer, hops=2, job_deadline_s=5.0, resume_grace_s=GRACE_S
    ) as server:
        clients = [RandomClient(server, await server.connect()) for _ in range(2)]
        for each in clients:
            each.client.command("start")
        for index, (kind, what) in steps:
            match what:
                case float() if kind == "sleep":
                    await trio.sleep(what)
                case list() if kind == "fault":
                    faults.waiting += what
                case _:
                    await clients[index].act(kind, what)
        faults.waiting.clear()
        for each in clients:
            if each.connected:
                each.client.command("stop")
        await trio.sleep(400.0)
        for each in clients:
            checker = each.check()
            assert each.client.close_reason is not CloseReason.FAILED
            if each.connected:
                assert not checker.open, "each segment ends"
                await each.client.settled()
                each.client.leave()
        await trio.sleep(2 * GRACE_S)
        report = server.server_state.health()
        assert (report.active_sessions, report.active_speakers) == (0, 0)
        assert report.scheduler.queues["main"].queued == 0
        assert report.ok


@given(st.lists(st.tuples(st.integers(0, 1), STEP), max_size=30))
@settings(max_examples=40)
def test_session_invariants_hold_under_random_actions(steps: list[tuple[int, tuple[str, object]]]) -> None:
    async def main() -> None:
        with trio.fail_after(1e6):
            await run_actions(steps)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
