"""Turns by speech detection: the order of events, their times, and the settings of the detection."""

from dataclasses import dataclass

import pytest
import trio

from tests.lanes.fakes import FakeEngine, virtual_time
from tests.support.conversation import Batch, levels
from tests.support.realtime import TRANSCRIPTION, append, realtime

TURN = ["started", "stopped", "committed", "added", "done", "completed"]


def without_deltas(names: list[str]) -> list[str]:
    return [name for name in names if name != "delta"]


@virtual_time
async def test_turn_has_its_events_in_order() -> None:
    async with realtime() as client:
        client.pause(1.0)
        client.say(1111, 1.0)
        client.pause(1.0)
        await client.settled()
        assert without_deltas(client.names) == TURN
        started, stopped = (
            client.of("input_audio_buffer.speech_started")[0],
            client.of("input_audio_buffer.speech_stopped")[0],
        )
        item_id = started["item_id"]
        assert item_id.startswith("item_")
        assert started["audio_start_ms"] == pytest.approx(250, abs=64)  # the pre-roll of 750 ms is part of it
        assert stopped["audio_end_ms"] == pytest.approx(2000, abs=64)
        (completed,) = client.of(f"{TRANSCRIPTION}.completed")
        assert completed | {"event_id": ""} == {
            "type": f"{TRANSCRIPTION}.completed",
            "event_id": "",
            "item_id": item_id,
            "content_index": 0,
            "transcript": "1111.",
            "usage": {"type": "duration", "seconds": pytest.approx(1.75, abs=0.1)},
        }
        assert client.live(item_id) == "1111."
        (added,) = client.of("conversation.item.added")
        assert added["item"] == {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        assert len({event["event_id"] for event in client.events}) == len(client.events)


@virtual_time
async def test_turns_name_the_one_before() -> None:
    async with realtime() as client:
        for level in (1111, 2222, 3333):
            client.say(level, 0.6)
            client.pause(1.0)
        await client.settled()
        committed = client.of("input_audio_buffer.committed")
        ids = [event["item_id"] for event in committed]
        assert len(set(ids)) == 3
        assert [event["previous_item_id"] for event in committed] == [None, *ids[:-1]]
        assert client.transcripts == ["1111.", "2222.", "3333."]


@virtual_time
async def test_beta_clients_get_created_items() -> None:
    async with realtime(beta=True) as client:
        client.say(1111, 0.6)
        client.pause(1.0)
        await client.settled()
        assert without_deltas(client.names) == ["started", "stopped", "committed", "created", "completed"]
        assert client.events[0]["type"] == "transcription_session.created"


@virtual_time
async def test_deltas_of_a_turn_wait_for_the_turn_before() -> None:
    def inference_s(batch: Batch) -> float:
        return 3.0 if 1111 / 32768 in batch[0] and batch[0][-1] == 0 else 0.01  # the final of the first turn is late

    async with realtime(inference_s=inference_s, load_partials=lambda: FakeEngine(levels)) as client:
        for level, seconds in ((1111, 1.0), (2222, 1.0), (0, 0.6), (3333, 1.0), (4444, 0.8)):
            for _ in range(round(seconds / 0.2)):
                client.say(level, 0.2)
                await trio.sleep(0.2)
        first, second = (event["item_id"] for event in client.of("input_audio_buffer.speech_started"))
        assert client.live(first).startswith("1111")
        assert client.live(second) == ""
        client.pause(1.0)
        await client.settled()
        sent = [event["item_id"] for event in client.events if ".input_audio_transcription." in event["type"]]
        assert sent == sorted(sent)
        assert (client.live(first), client.live(second)) == ("1111 2222.", "3333 4444.")


@virtual_time
async def test_commit_ends_a_turn() -> None:
    async with realtime() as client:
        client.say(1111, 1.0)
        client.commit()
        client.say(2222, 1.0)
        client.pause(1.0)
        await client.settled()
        assert client.transcripts == ["1111.", "2222."]
        assert client.names.count("committed") == 2


@virtual_time
async def test_commit_without_speech_is_an_item_without_words() -> None:
    async with realtime() as client:
        client.pause(0.04)
        client.commit()
        await client.settled()
        assert client.names == ["committed", "added", "done", "completed"]
        assert client.transcripts == [""]


@virtual_time
async def test_item_without_words_comes_before_the_turn_behind_it() -> None:
    async with realtime(inference_s=lambda _: 0.5) as client:
        client.say(1111, 0.6)
        client.pause(1.0)
        await client.until("input_audio_buffer.committed")
        client.pause(0.4)
        client.commit()
        client.say(2222, 1.0)
        client.pause(1.0)
        await client.settled()
        assert client.transcripts == ["1111.", "", "2222."]


@virtual_time
async def test_clear_drops_the_running_turn_and_keeps_the_committed_one() -> None:
    async with realtime(inference_s=lambda _: 1.0) as client:
        client.say(1111, 0.6)
        client.pause(0.7)
        client.say(2222, 1.0)
        client.clear()
        client.pause(1.0)
        client.say(3333, 1.0)
        client.pause(1.0)
        await client.settled()
        assert client.names.count("cleared") == 1
        assert client.transcripts == ["1111.", "3333."]
        started = [event["item_id"] for event in client.of("input_audio_buffer.speech_started")]
        completed = [event["item_id"] for event in client.of(f"{TRANSCRIPTION}.completed")]
        assert (len(started), completed) == (3, [started[0], started[2]])


@virtual_time
async def test_clear_of_one_large_append_leaves_nothing() -> None:
    async with realtime() as client:
        client.put(append(1111, 3.0))
        client.clear()
        client.pause(2.0)
        await client.settled()
        assert client.names[-1] == "cleared"
        assert "committed" not in client.names
        assert "completed" not in client.names


@virtual_time
async def test_silence_of_an_update_ends_the_next_turn() -> None:
    def update(**turns: object) -> dict[str, object]:
        return {"audio": {"input": {"turn_detection": {"type": "server_vad", **turns}}}}

    async with realtime(updates=[update(silence_duration_ms=1500, prefix_padding_ms=100)]) as client:
        client.pause(1.0)
        client.say(1111, 0.6)
        client.pause(1.0)
        client.say(2222, 0.6)
        client.update(update(silence_duration_ms=1))
        client.pause(1.0)
        client.say(3333, 0.6)  # in the same turn: its silence is still 1.5 s
        client.pause(2.0)
        client.say(4444, 0.6)
        client.pause(0.24)
        client.say(5555, 0.6)
        client.pause(0.24)
        await client.settled()
        assert client.transcripts == ["1111 2222 3333.", "4444.", "5555."]
        assert client.of("input_audio_buffer.speech_started")[0]["audio_start_ms"] == pytest.approx(900, abs=64)


@virtual_time
@pytest.mark.parametrize(("eagerness", "count"), [("high", 2), ("auto", 1), ("medium", 1), ("low", 1)])
async def test_semantic_detection_waits_by_its_eagerness(eagerness: str, count: int) -> None:
    turns = {"type": "semantic_vad", "eagerness": eagerness}
    async with realtime(updates=[{"audio": {"input": {"turn_detection": turns}}}]) as client:
        client.say(1111, 0.6)
        client.pause(0.6)
        client.say(2222, 0.6)
        client.pause(2.0)
        await client.settled()
        assert len(client.transcripts) == count
        updated = client.of("session.updated")[-1]
        assert updated["session"]["audio"]["input"]["turn_detection"] == turns


@dataclass
class SoundJudge:
    """Gives one probability for every clip that the talker is done."""

    probability_of_end: float

    async def probability(self, _: object, *, patient: bool) -> float:  # noqa: ARG002 - as the server's
        await trio.sleep(0.05)
        return self.probability_of_end


@virtual_time
@pytest.mark.parametrize(
    ("eagerness", "pause_s", "probability", "transcripts"),
    [
        ("low", 1.0, 0.9, ["1111.", "2222."]),  # by silence, a turn ends after 1.5 s
        ("low", 0.6, 0.9, ["1111 2222."]),
        ("high", 0.6, 0.05, ["1111 2222."]),  # by silence, a turn ends after 0.5 s
        ("high", 1.2, 0.05, ["1111.", "2222."]),
    ],
)
async def test_semantic_detection_asks_the_turn_model(
    eagerness: str, pause_s: float, probability: float, transcripts: list[str]
) -> None:
    turns = {"type": "semantic_vad", "eagerness": eagerness}
    judge = SoundJudge(probability)
    async with realtime(updates=[{"audio": {"input": {"turn_detection": turns}}}], turn_judge=judge) as client:
        client.say(1111, 0.6)
        client.pause(pause_s)
        client.say(2222, 0.6)
        client.pause(5.0)
        await client.settled()
        assert client.transcripts == transcripts
        stopped, completed = client.of("input_audio_buffer.speech_stopped"), client.of(f"{TRANSCRIPTION}.completed")
        assert [event["item_id"] for event in stopped] == [event["item_id"] for event in completed]


@virtual_time
async def test_turn_that_fails_is_failed_and_not_completed() -> None:
    def fail(_batch: object) -> object:
        raise ArithmeticError("no")

    async with realtime(answer=fail) as client:
        client.say(1111, 1.0)
        client.pause(1.0)
        await client.settled(30.0)
        assert without_deltas(client.names) == [*TURN[:-1], "failed"]
        (failed,) = client.of(f"{TRANSCRIPTION}.failed")
        assert failed["error"]["type"] == "server_error"
        assert failed["error"]["message"]
        assert not client.of("error")


@virtual_time
async def test_long_turn_is_one_item() -> None:
    async with realtime(max_audio_queue_seconds_per_session=2.0) as client:
        for level in (1111, 2222, 3333, 4444):
            client.say(level, 1.2)
        client.pause(1.0)
        await client.settled()
        assert without_deltas(client.names) == TURN
        assert {"1111", "2222", "3333", "4444"} == set(client.transcripts[0].replace(".", "").split())


@virtual_time
async def test_turn_that_is_cut_in_a_pause_ends_there() -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 3000}
    updates = [{"audio": {"input": {"turn_detection": detection}}}]
    async with realtime(updates=updates, max_audio_queue_seconds_per_session=2.0) as client:
        client.say(1111, 1.6)
        client.pause(3.0)
        client.say(2222, 1.0)
        client.pause(3.5)
        await client.settled(10.0)
        assert client.transcripts == ["1111.", "2222."]
