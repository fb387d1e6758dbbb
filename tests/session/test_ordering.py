"""Invariants of the order of events under random actions of a client and random results of the engine.

See docs/protocol.md, Order of events.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import FakeEngine, virtual_time
from tests.support.conversation import WAKE, Batch, Client, LevelWakeWords, levels, server_fixture
from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import (
    Clear,
    Error,
    Event,
    Final,
    Flushed,
    Hello,
    Ready,
    Realtime,
    Status,
    Timeline,
    TurnResumed,
)

WORDS = {"wakeword_backend": "openwakeword", "wake_words": "computer"}
WAKE_WORDS = {"wake": LevelWakeWords(), **WORDS, "wake_word_timeout": 1.5}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"max_audio_queue_seconds_per_session": 3.0},
    "wake words": WAKE_WORDS,
    "follow-up": WAKE_WORDS | {"wake_word_followup_window": 1.0, "wake_word_activation_delay": 1.0},
    "one speaker": {"max_active_speakers": 1},
    "small queues": {"max_final_queue_depth_per_session": 1, "max_global_inference_queue_depth": 1},
    "two lanes": {"load_partials": lambda: FakeEngine(levels)},
}
ACTIONS = [
    "start",
    "start",
    "stop",
    "clear",
    "flush",
    "say",
    "say",
    "talk",
    "talk",
    "wake",
    "pause",
    "pause",
    "rest",
    "rest",
    "short",
    "wait",
]


@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans()), min_size=6, max_size=30),
    inference_s=st.sampled_from([0.0, 0.3, 3.0]),
    failing=st.sampled_from([0, 3, 5]),
    load_s=st.sampled_from([0.0, 2.0]),
)
@settings(max_examples=60)
@pytest.mark.contract("2.8", "2.4", "4.9", "4.11")
def test_events_are_in_protocol_order(
    variant: str, actions: list[tuple[str, bool]], inference_s: float, failing: int, load_s: float
) -> None:
    async def play() -> None:
        options = VARIANTS[variant] | {"answer": faulty_answers(failing), "load_s": load_s}
        async with server_fixture(inference_s=lambda _: inference_s, **options) as server:
            clients = [await server.connect(), await server.connect()]
            flushes = Counter[int]()
            for client in clients:
                client.command("start")
            for number, (action, of_second) in enumerate(actions):
                await act(clients[of_second], action, number)
                flushes[of_second] += action == "flush"
            for number, client in enumerate(clients):
                client.command("stop")
                await client.until(Ready)
                await client.settled()
                check(client, flushes=flushes[number])

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))


@given(
    actions=st.lists(st.sampled_from([*["talk", "rest"] * 4, *ACTIONS]), min_size=6, max_size=30),
    inference_s=st.sampled_from([0.0, 0.1, 3.0]),
    sound=st.sampled_from([None, 0.0, 0.9]),
)
@settings(max_examples=25)
def test_adaptive_events_are_in_protocol_order_but_for_finals_that_were_taken_back(
    actions: list[str], inference_s: float, sound: float | None
) -> None:
    async def play() -> None:
        async with server_fixture(
            inference_s=lambda _: inference_s,
            answer=beginnings_and_sentences,
            turn_judge=FixedTurnJudge(sound),
            endpointing="adaptive",
        ) as server:
            client = await server.streaming_client()
            for number, action in enumerate(["talk", "rest", *actions]):
                await act(client, action, number)
            client.command("stop")
            await client.settled()
            client.events = without_taken_back_finals(client.events)
            check(client, flushes=actions.count("flush"))

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))


@dataclass
class FixedTurnJudge:
    """Gives one probability for every clip."""

    found: float | None

    async def probability(self, _: object, *, patient: bool) -> float | None:  # noqa: ARG002 - as the server's
        await trio.sleep(0.1)
        return self.found


def beginnings_and_sentences(batch: Batch) -> list[Transcript]:
    """Levels; after every third of them, the text is no sentence."""
    return [
        Transcript(
            text=text.text if not text.text else f"So it is {text.text}{' and' * (int(text.text[-1]) % 3 == 0)}."
        )
        for text in levels(batch)
    ]


def without_taken_back_finals(events: list[Event]) -> list[Event]:
    """The events as if each utterance that was resumed had not ended before; its early final must be there."""
    kept: list[Event] = []
    for event in events:
        if not isinstance(event, TurnResumed):
            kept.append(event)
            continue
        ended = [
            earlier
            for earlier in kept
            if getattr(earlier, "segment_id", None) == event.segment_id
            and (
                isinstance(earlier, Final)
                or (isinstance(earlier, Timeline) and not earlier.event.startswith(("recording_started", "realtime")))
            )
        ]
        names = [earlier.event if isinstance(earlier, Timeline) else "final" for earlier in ended]
        assert names == ["recording_ended", "transcription_started", "final", "final_transcript"]
        kept = [earlier for earlier in kept if not any(earlier is each for each in ended)]
    return kept


@virtual_time
@pytest.mark.contract("2.1", "2.8", "7.5")
async def test_startup_errors_follow_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise EngineUnavailable("no such model")

    monkeypatch.setattr(FakeEngine, "__init__", fails)
    async with server_fixture(load_s=2.0) as server:
        early = await server.connect()
        await trio.sleep(5)
        late = await server.connect()
        await late.settled()
        for client in (early, late):
            assert client.event_names == ["hello", "ready", "error"]
            (error,) = client.of(Error)
            assert (error.where, "no such model" in error.message) == ("main_engine", True)
            assert client.of(Ready)[0].ok is False


def faulty_answers(every: int) -> Callable[[Batch], object]:
    """Answers of an engine that fails on every `every`-th level, and returns no words for the level before it."""

    def answer(batch: Batch) -> object:
        transcripts = levels(batch)
        level = max((int(word) for text in transcripts for word in text.text.split()), default=1)
        remainder = level % every if every else 1
        if remainder == 0:
            raise TranscriptionFailed("a scripted fault")
        return [Transcript(text="") for _ in transcripts] if remainder == every - 1 else transcripts

    return answer


async def act(client: Client, action: str, number: int) -> None:
    level = 1000 + number
    match action:
        case "say":
            client.say(level, 1.0)
        case "talk":
            await talk(client, level, 1.0)
        case "wake":
            client.say(WAKE, 0.064)
        case "short":
            client.say(level, 0.05)
        case "pause":
            client.pause(PAUSE_S)
        case "rest":  # long enough for a speculative final, too short to end the utterance
            await talk(client, 0, 0.44)
        case "wait":
            await trio.sleep(1)
        case "flush":
            client.raw(f'{{"type": "flush", "id": {number}}}')
        case command:
            client.command(command)


def check(client: Client, *, flushes: int) -> None:
    begins_with_hello_and_ready(client.events)
    partials_are_within_their_utterance(client.events)
    each_partial_and_final_has_its_timeline_entry(client.events)
    each_segment_has_its_entries_in_order(client.events)
    finals_are_in_order_without_repetition(client)
    no_event_of_an_old_segment_follows_a_clear(client.events)
    assert len(client.of(Flushed)) == flushes, "each flush is answered once"
    assert client.states[-1] is State.IDLE


def begins_with_hello_and_ready(events: list[Event]) -> None:
    kinds = [type(event) for event in events]
    assert kinds[0] is Hello
    assert kinds.count(Ready) == 1


def partials_are_within_their_utterance(events: list[Event]) -> None:
    """Partials come after `recording_started` and `status recording`, and before the end of their utterance.

    The one that withdraws the text of an utterance without words comes after its end, before `segment_closed`.
    """
    recording: int | None = None
    announced = False
    closed: set[int] = set()
    for event in events:
        match event:
            case Timeline(event="recording_started", segment_id=int(number)):
                recording, announced = number, False
            case Status(state=State.RECORDING):
                assert recording is not None
                announced = True
            case Timeline(event="recording_ended") | Clear():
                recording = None
            case Realtime(retracted=True, segment_id=number):
                assert number not in closed
            case Timeline(event="segment_closed", segment_id=int(number)):
                closed.add(number)
            case Realtime(segment_id=number):
                assert announced
                assert number == recording


def each_partial_and_final_has_its_timeline_entry(events: list[Event]) -> None:
    """The timeline entry follows at once; a final is then followed by a status."""
    for first, second, third in zip(events, events[1:], events[2:], strict=False):
        if isinstance(first, Realtime):
            assert isinstance(second, Timeline)
            assert (second.event, second.sequence) == ("realtime_transcript", first.sequence)
        if isinstance(first, Final):
            assert isinstance(second, Timeline)
            assert (second.event, second.segment_id) == ("final_transcript", first.segment_id)
            assert isinstance(third, Status)


def each_segment_has_its_entries_in_order(events: list[Event]) -> None:
    """Each segment has its entries in order; unless it was cleared, it has a final or is closed, exactly once."""
    cleared_below = 1
    entries: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, Clear):
            cleared_below = event.next_segment_id
        elif isinstance(event, Timeline) and not event.event.startswith(("realtime", "wakeword")):
            assert isinstance(event.segment_id, int)
            entries.setdefault(event.segment_id, []).append(event.event)
    whole = ["recording_started", "recording_ended", "transcription_started"]
    for number, passed in entries.items():
        if passed[-1] in ("final_transcript", "segment_closed"):
            # An utterance without speech is not transcribed.
            assert passed[:-1] in ([whole, whole[:2]] if passed[-1] == "segment_closed" else [whole])
        else:
            assert passed == whole[: len(passed)]
            assert number < cleared_below


def finals_are_in_order_without_repetition(client: Client) -> None:
    """Finals have the order of their utterances, and no audio is transcribed twice."""
    started = [event.segment_id for event in client.of(Timeline) if event.event == "recording_started"]
    assert all(earlier < later for earlier, later in pairwise(numbers(started)))
    finals = [number for number, _ in client.finals]
    assert finals == sorted(set(finals))
    texts = [text.rstrip(".").split() for _, text in client.finals]
    spoken = [word for text in texts for word in text if word.isdigit() and word != str(WAKE)]
    cuts = client.session.report().forced_finalizations  # a cut may split the audio of one level
    assert len(spoken) - len(set(spoken)) <= cuts
    assert spoken == sorted(spoken, key=int)
    failed = [event for event in client.of(Timeline) if event.event == "segment_closed" and event.reason == "failed"]
    assert len(failed) == len(client.of(Error))


def no_event_of_an_old_segment_follows_a_clear(events: list[Event]) -> None:
    """After `cleared` comes a status, and nothing about the segments before it."""
    for position, event in enumerate(events):
        if isinstance(event, Clear):
            later_events = [later for later in events[position + 1 :] if not is_about_wake_words(later)]
            assert isinstance(later_events[0], Status)
            for later in events[position:]:
                assert min(numbers([getattr(later, "segment_id", None)]), default=event.next_segment_id) >= (
                    event.next_segment_id
                )


def is_about_wake_words(event: Event) -> bool:
    """Whether an entry of the timeline belongs to no segment."""
    return isinstance(event, Timeline) and event.event.startswith("wakeword")


def numbers(values: list[object]) -> Iterator[int]:
    return (value for value in values if isinstance(value, int))
