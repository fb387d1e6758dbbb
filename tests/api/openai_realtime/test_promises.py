"""What clients rely on holds whatever a client does, however slow or faulty the engine is."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.conversation import Batch, levels
from tests.support.realtime import MANUAL, TRANSCRIPTION, RealtimeClient, append, realtime
from trio_stt.lanes.engines.base import Transcript

TURNS: dict[str, Any] = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
ACTIONS = st.one_of(
    st.tuples(st.just("say"), st.floats(0.1, 1.5)),
    st.tuples(st.just("pause"), st.floats(0.1, 1.2)),
    st.tuples(st.just("commit"), st.none()),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("turns"), st.none()),
    st.tuples(st.just("manual"), st.none()),
    st.tuples(st.just("wait"), st.floats(0.05, 3.0)),
)
FAULTS = st.lists(st.sampled_from(["none", "none", "slow", "raise", "other", "silent"]), max_size=12)


@dataclass
class Engine:
    """Names levels; each batch may be slow, fail, have no words, or have others than before."""

    faults: list[str]
    now: str = "none"

    def inference_s(self, _batch: Batch) -> float:
        self.now = self.faults.pop(0) if self.faults else "none"
        return 2.0 if self.now == "slow" else 0.05

    def answer(self, batch: Batch) -> object:
        if self.now == "raise":
            raise ArithmeticError("no")
        if self.now in ("other", "silent"):
            return [Transcript(text="entirely different" if self.now == "other" else "") for _ in batch]
        return levels(batch)


@dataclass
class Promises:
    """Checks the events of one client in order."""

    manual: bool
    committed: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    live: dict[str, str] = field(default_factory=dict)
    current: str = ""

    def read(self, event: dict[str, Any]) -> None:
        kind, item_id = event["type"], event.get("item_id", "")
        if kind == "input_audio_buffer.committed":
            assert item_id not in self.committed
            assert event["previous_item_id"] == (self.committed[-1] if self.committed else None)
            self.committed.append(item_id)
        elif kind == f"{TRANSCRIPTION}.delta":
            assert event["delta"]
            assert item_id not in self.ended
            self._is_first(item_id)
            self.live[item_id] = self.live.get(item_id, "") + event["delta"]
        elif kind in (f"{TRANSCRIPTION}.completed", f"{TRANSCRIPTION}.failed"):
            self._is_first(item_id)
            assert item_id in self.committed
            self.ended[item_id] += 1
            self.current = ""
        elif kind == "input_audio_buffer.cleared" and self.current not in self.committed:
            self.current = ""  # what it dropped never ends

    def _is_first(self, item_id: str) -> None:
        """One item at a time."""
        assert self.current in ("", item_id)
        self.current = item_id

    def at_the_end(self) -> None:
        assert self.ended == dict.fromkeys(self.committed, 1)


async def act(client: RealtimeClient, action: str, value: float | None, number: int) -> None:
    match action:
        case "say" | "pause":
            level = 1111 * (number % 9 + 1) if action == "say" else 0
            client.put(append(level, value or 0.0))
        case "commit":
            client.commit()
        case "clear":
            client.clear()
        case "turns" | "manual":
            client.update(TURNS if action == "turns" else MANUAL)
        case "wait":
            await trio.sleep(value or 0.0)


@settings(max_examples=15)
@given(actions=st.lists(ACTIONS, min_size=1, max_size=14), faults=FAULTS, manual=st.booleans())
def test_every_committed_item_ends_once_and_one_at_a_time(
    actions: list[tuple[str, float | None]], faults: list[str], manual: bool
) -> None:
    engine, promises = Engine(faults), Promises(manual)

    async def main() -> None:
        options: dict[str, Any] = {"inference_s": engine.inference_s, "answer": engine.answer, "max_audio_speed": 0}
        async with realtime(updates=[MANUAL] if manual else [], **options) as client:
            for number, (action, value) in enumerate(actions):
                await act(client, action, value, number)
            await trio.sleep(200.0)
            client.pause(1.0)
            await trio.sleep(200.0)
            for event in client.events:
                promises.read(event)
            promises.at_the_end()
            assert all(event["error"]["code"] == "input_audio_buffer_commit_empty" for event in client.of("error"))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@settings(max_examples=10)
@given(
    spoken=st.lists(st.tuples(st.floats(0.3, 1.2), st.floats(0.0, 1.2), st.booleans()), min_size=1, max_size=6),
    live=st.booleans(),
    manual=st.booleans(),
)
def test_deltas_of_an_item_are_its_words(spoken: list[tuple[float, float, bool]], live: bool, manual: bool) -> None:
    """With an engine that keeps its word: whatever the pace, all words come once, in order, and so do their deltas."""

    async def main() -> None:
        async with realtime(updates=[MANUAL] if manual else [], max_audio_speed=0) as client:
            for number, (seconds, pause_s, commits) in enumerate(spoken, 1):
                client.say(1111 * number, seconds)
                client.pause(pause_s)
                if commits:
                    client.commit()
                if live:
                    await trio.sleep(seconds + pause_s)
            client.pause(1.0)
            await trio.sleep(20.0)
            client.commit()
            await trio.sleep(20.0)
            completed = client.of(f"{TRANSCRIPTION}.completed")
            words = " ".join(client.transcripts).replace(".", "").split()
            assert words == [str(1111 * number) for number in range(1, len(spoken) + 1)]
            for event in completed:
                assert client.live(event["item_id"]).replace(".", "") == event["transcript"].replace(".", "")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
