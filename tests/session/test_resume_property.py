"""Lost connections at random points change neither text nor numbers, and every event arrives once."""

import functools
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.conversation import Client, ServerFixture, server_fixture
from trio_stt.protocol.events import Event, Final, Flushed, Hello, Resumed, Timeline

PACKETS_PER_S = 25
PLAN = [
    ("start", 0),
    *[("say", 1111)] * 20,
    *[("say", 0)] * 20,
    *[("say", 2222)] * 15,
    ("flush", 0),
    *[("say", 3333)] * 12,
    ("stop", 0),
    *[("say", 9999)] * 3,  # refused
    ("start", 0),
    *[("say", 4444)] * 25,
    *[("say", 0)] * 20,
]


@dataclass(frozen=True)
class Cut:
    """A loss of the connection after `after` messages. The last `unread` of them were sent at once.

    The client loses the last `unseen` events of the server. It resumes after `disconnected_s` seconds.
    """

    after: int
    unread: int
    unseen: int
    disconnected_s: float
    half_open: bool


@dataclass
class ResumingClient:
    """A client that follows its plan over any number of connections."""

    server: ServerFixture
    client: Client
    seen: list[Event] = field(default_factory=list)

    def send(self, position: int) -> None:
        kind, level = PLAN[position]
        if kind == "say":
            self.client.say(level, 1 / PACKETS_PER_S)
        else:
            self.client.command(kind)

    async def say_all(self, cuts: list[Cut]) -> None:
        await self.client.until(Hello)
        position = 0
        for cut in sorted(cuts, key=lambda cut: cut.after):
            while position < cut.after:
                self.send(position)
                position += 1
                if position < cut.after - cut.unread:
                    await trio.sleep(1 / PACKETS_PER_S)
            position = await self.lose(cut)
        while position < len(PLAN):
            self.send(position)
            position += 1
            await trio.sleep(1 / PACKETS_PER_S)
        await trio.sleep(5.0)
        await self.client.settled()
        self.seen += self.client.session_events

    async def lose(self, cut: Cut) -> int:
        """Lose the connection and resume it; returns how many messages the server has received."""
        lost = self.client
        if not cut.half_open:
            lost.drop()
        session_events = lost.session_events
        kept = session_events[: max(0, len(session_events) - cut.unseen)]
        self.seen += kept
        last = self.seen[-1].seq if self.seen else 0
        assert isinstance(last, int)
        await trio.sleep(cut.disconnected_s)
        self.client = await self.server.resume(lost, seq=last)
        resumed = self.client.of(Resumed)[-1]
        assert resumed.missed_events == 0
        return resumed.received_packets + resumed.received_commands


@dataclass(frozen=True)
class Outcome:
    """The durable result of a conversation: everything except partials, states and times.

    The order of steps is compared within each utterance only: while one is transcribed, the next one may begin.
    """

    words: list[object]
    """Finals, and answers to `flush`, in order."""
    steps: dict[object, list[str]]
    """The timeline of each segment, in order."""


def outcome(events: list[Event]) -> Outcome:
    words: list[object] = []
    steps: dict[object, list[str]] = {}
    for event in events:
        if isinstance(event, Final):
            words.append((event.segment_id, event.text, event.duration_seconds))
        elif isinstance(event, Flushed):
            words.append("flushed")
        if isinstance(event, Final | Timeline) and getattr(event, "event", "final") != "realtime_transcript":
            steps.setdefault(event.segment_id, []).append(getattr(event, "event", "final"))
    return Outcome(words, steps)


def run_conversation(cuts: list[Cut]) -> list[Event]:
    """All events that the client received, over all its connections."""

    async def main() -> list[Event]:
        with trio.fail_after(1e6):
            # A half-open connection looks like a stalled client; without the timeout it ends no utterance.
            async with server_fixture(inference_s=lambda _: 0.1, stream_stall_timeout_s=0.0) as server:
                client = ResumingClient(server, await server.connect())
                await client.say_all(cuts)
                assert server.server_state.registry.active_sessions == 1
                return client.seen

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@functools.cache
def undisturbed() -> Outcome:
    return outcome(run_conversation([]))


cuts = st.builds(
    Cut,
    after=st.integers(1, len(PLAN)),
    unread=st.integers(0, 12),
    unseen=st.integers(0, 30),
    disconnected_s=st.floats(0, 9.5),
    half_open=st.booleans(),
)


@given(st.lists(cuts, max_size=6))
@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
def test_lost_connections_change_no_durable_event(cuts: list[Cut]) -> None:
    seen = run_conversation(cuts)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert outcome(seen) == undisturbed()


def test_conversation_without_disconnects_is_complete() -> None:
    assert [each[1] for each in undisturbed().words if isinstance(each, tuple)] == ["1111.", "2222.", "3333.", "4444."]
    assert list(undisturbed().steps) == [1, 2, 3, 4]
