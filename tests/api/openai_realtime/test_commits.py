"""Without turn detection: items between commits, their deltas, clears, and changes to and from turn detection."""

import pytest
import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, levels
from tests.support.realtime import MANUAL, TRANSCRIPTION, append, realtime
from trio_stt.lanes.engines.base import Transcript

TURNS = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}


@virtual_time
async def test_item_has_all_utterances_since_the_last_commit() -> None:
    async with realtime(updates=[MANUAL]) as client:
        for level in (1111, 2222):
            client.say(level, 0.6)
            client.pause(1.0)
        client.commit()
        client.say(3333, 0.6)
        client.commit()
        await client.settled()
        assert client.transcripts == ["1111. 2222.", "3333."]
        assert client.names.count("committed") == client.names.count("added") == client.names.count("done") == 2
        assert not {"started", "stopped"} & set(client.names)
        first, second = (event["item_id"] for event in client.of("input_audio_buffer.committed"))
        assert (client.live(first), client.live(second)) == ("1111. 2222.", "3333.")
        seconds = [event["usage"]["seconds"] for event in client.of(f"{TRANSCRIPTION}.completed")]
        assert seconds == [pytest.approx(3.2, abs=0.1), pytest.approx(0.6, abs=0.1)]


@virtual_time
async def test_chinese_utterances_have_no_space_between_them() -> None:
    def answer(batch: Batch) -> object:
        return [Transcript(text="你好。") for _ in batch]

    async with realtime(updates=[MANUAL], answer=answer) as client:
        for _ in range(2):
            client.say(1111, 0.6)
            client.pause(1.0)
        client.commit()
        await client.settled()
        assert client.transcripts == ["你好。你好。"]
        (committed,) = client.of("input_audio_buffer.committed")
        assert client.live(committed["item_id"]) == "你好。你好。"


@virtual_time
async def test_deltas_come_before_the_commit() -> None:
    async with realtime(model="gpt-realtime-whisper") as client:
        for level in (1111, 2222, 3333):
            client.say(level, 0.6)
            await trio.sleep(0.6)
        assert client.names == ["delta"] * len(client.names)
        assert client.live(client.events[-1]["item_id"]).startswith("1111")
        client.commit()
        (committed,) = [await client.until("input_audio_buffer.committed")]
        await client.settled()
        assert client.live(committed["item_id"]) == "1111 2222 3333." == client.transcripts[0]


@virtual_time
async def test_commit_is_answered_at_once_and_completed_later() -> None:
    async with realtime(updates=[MANUAL], inference_s=lambda _: 3.0) as client:
        client.say(1111, 0.6)
        client.commit()
        client.say(2222, 0.6)
        client.commit()
        await trio.sleep(0.1)
        assert [name for name in client.names if name != "delta"] == ["committed", "added", "done"] * 2
        await client.settled(20.0)
        assert client.transcripts == ["1111.", "2222."]
        sent = [event["item_id"] for event in client.events if ".input_audio_transcription." in event["type"]]
        assert sent == sorted(sent)


@virtual_time
@pytest.mark.parametrize("seconds", [0.001, 1.0])
async def test_commit_of_silence_is_an_item_without_words(seconds: float) -> None:
    async with realtime(updates=[MANUAL]) as client:
        client.put(append(0, seconds))
        client.commit()
        await client.settled()
        assert client.transcripts == [""]
        assert not client.of("error")


@virtual_time
@pytest.mark.parametrize("updates", [[], [MANUAL]])
async def test_commit_of_nothing_is_an_error(updates: list[dict[str, object]]) -> None:
    async with realtime(updates=updates) as client:
        client.commit(event_id="mine")
        client.put({"type": "input_audio_buffer.append", "audio": ""})
        client.put({"type": "input_audio_buffer.append", "audio": "AA=="})  # half a sample
        client.commit()
        client.put(append(0, 1.0))
        client.clear()
        client.commit()
        client.put(append(0, 1.0))
        client.commit()
        client.commit()
        await client.settled()
        errors = [event["error"] for event in client.of("error")]
        assert {error["code"] for error in errors} == {"input_audio_buffer_commit_empty"}
        assert {error["type"] for error in errors} == {"invalid_request_error"}
        assert [error["event_id"] for error in errors] == ["mine", None, None, None]
        assert client.transcripts == [""]


@virtual_time
async def test_clear_drops_what_is_not_committed() -> None:
    async with realtime(updates=[MANUAL], inference_s=lambda _: 1.0) as client:
        client.say(1111, 0.6)
        client.commit()
        client.say(2222, 0.6)
        client.pause(1.0)
        client.say(3333, 0.6)
        client.clear()
        client.say(4444, 0.6)
        client.commit()
        await client.settled(20.0)
        assert client.transcripts == ["1111.", "4444."]
        assert client.names.count("cleared") == 1


@virtual_time
async def test_deltas_stop_at_a_clear() -> None:
    async with realtime(updates=[MANUAL]) as client:
        for level in (1111, 2222, 3333):
            client.say(level, 0.6)
            await trio.sleep(0.6)
        client.clear()
        await client.until("input_audio_buffer.cleared")
        count = len(client.events)
        client.pause(1.0)
        client.commit()
        await client.settled()
        assert [name for name in client.names if name == "delta"] == ["delta"] * (
            count - client.names.count("cleared") - 3
        )
        assert client.transcripts == [""]


@virtual_time
async def test_failed_utterance_is_left_out_where_other_words_came() -> None:
    def answer(batch: Batch) -> object:
        if any(2222 / 32768 in clip for clip in batch):
            raise ArithmeticError("no")
        return levels(batch)

    async with realtime(updates=[MANUAL], answer=answer) as client:
        client.say(1111, 0.6)
        client.pause(1.0)
        client.say(2222, 0.6)
        client.commit()
        await client.settled(60.0)
        client.say(2222, 0.6)
        client.commit()
        await client.settled(60.0)
        assert client.transcripts == ["1111."]
        (failed,) = client.of(f"{TRANSCRIPTION}.failed")
        assert failed["item_id"] == client.of("input_audio_buffer.committed")[1]["item_id"]


@virtual_time
async def test_final_with_other_words_than_the_deltas_takes_nothing_back() -> None:
    def answer(batch: Batch) -> object:
        return [Transcript(text="something else" if clip[-1] == 0 else levels([clip])[0].text) for clip in batch]

    async with realtime(updates=[MANUAL], answer=answer, early_transcription_on_silence=0) as client:
        for level in (1111, 2222, 3333):
            client.say(level, 0.6)
            await trio.sleep(0.6)
        client.pause(1.0)
        await trio.sleep(1.0)
        client.commit()
        await client.settled()
        (committed,) = client.of("input_audio_buffer.committed")
        assert client.live(committed["item_id"]) in {"1111", "1111 2222", "1111 2222 3333"}
        assert client.transcripts == ["Something else."]


@virtual_time
async def test_audio_before_the_first_update_is_not_lost() -> None:
    async with realtime() as client:
        client.pause(0.4)
        client.update(MANUAL)
        client.say(1111, 0.6)
        client.pause(1.0)
        client.commit()
        await client.settled()
        assert client.transcripts == ["1111."]
        assert "started" not in client.names


@virtual_time
async def test_open_turn_ends_as_one_after_turn_detection_is_switched_off() -> None:
    async with realtime() as client:
        client.say(1111, 0.6)
        await client.until("input_audio_buffer.speech_started")
        client.update(MANUAL)
        client.pause(1.0)
        client.say(2222, 0.6)
        client.pause(1.0)
        client.commit()
        await client.settled()
        assert client.transcripts == ["1111.", "2222."]
        assert client.names.count("started") == client.names.count("stopped") == 1


@virtual_time
async def test_open_turn_that_is_cut_after_turn_detection_is_switched_off_ends_as_one() -> None:
    async with realtime(max_audio_queue_seconds_per_session=2.0) as client:
        client.say(1111, 1.2)
        await client.until("input_audio_buffer.speech_started")
        client.update(MANUAL)
        client.say(2222, 1.2)
        client.say(3333, 1.2)
        client.pause(1.0)
        await client.settled()
        assert client.names.count("stopped") == client.names.count("completed") == 1
        assert {"1111", "2222", "3333"} == set(client.transcripts[0].replace(".", "").split())


@virtual_time
async def test_open_item_ends_with_its_utterance_after_turn_detection_is_switched_on() -> None:
    async with realtime(updates=[MANUAL]) as client:
        client.say(1111, 0.6)
        client.pause(1.0)
        client.say(2222, 0.6)
        await trio.sleep(0.1)
        client.update(TURNS)
        client.pause(1.0)
        client.say(3333, 0.6)
        client.pause(1.0)
        await client.settled()
        assert client.transcripts == ["1111. 2222.", "3333."]
        assert client.names.count("started") == 1


@virtual_time
async def test_refused_audio_fails_the_item() -> None:
    async with realtime(updates=[MANUAL], max_backlog_seconds=1.0, inference_s=lambda _: 30.0) as client:
        for _ in range(4):
            client.say(1111, 0.8)
            client.commit()
        await client.settled(500.0)
        assert client.names.count("completed") + client.names.count("failed") == 4
        messages = [event["error"]["message"] for event in client.of(f"{TRANSCRIPTION}.failed")]
        assert messages
        assert all("wait to be transcribed" in message for message in messages)
