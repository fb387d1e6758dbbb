"""Transcripts that were lost, doubled or swapped: defects 6 to 13 and 16 in tests/contract_report.py."""

from collections import Counter

import pytest
import trio

from tests.contract.fixtures import PAUSE_S, RecordingAnswer, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, levels, server_fixture
from trio_stt.errors import TranscriptionFailed
from trio_stt.protocol.events import Error, Final, Status, Timeline, WarningEvent
from trio_stt.session.audio_processor import AudioProcessor
from trio_stt.session.inbox import Audio

contract = pytest.mark.contract


def utter(client: Client, *spoken: int) -> None:
    for level in spoken:
        client.say(level, 1.0)
        client.pause(PAUSE_S)


@contract("4.6", "11/6")
@virtual_time
@pytest.mark.parametrize("end", ["stop", "length", "silence"])
async def test_speculative_final_is_not_used_for_a_longer_utterance(end: str) -> None:
    async with server_fixture(inference_s=lambda _: 0.01, max_audio_queue_seconds_per_session=3.0) as server:
        client = await server.streaming_client(partials=False)
        await talk(client, 1111, 1.0)
        await talk(client, 0, 0.45)
        assert client.session.report().final_completed + client.session.report().final_submitted >= 1, "speculated"
        await talk(client, 2222, 1.0 if end != "length" else 3.0)
        if end == "silence":
            client.pause(PAUSE_S)
        elif end == "stop":
            client.command("stop")
        await client.until(Final)
        await client.settled()
        assert client.finals[0] == (1, "1111 2222.")


@contract("4.6", "11/7")
@virtual_time
async def test_slow_engine_keeps_finals_in_order_with_their_own_text() -> None:
    async with server_fixture(inference_s=lambda _: 3.2) as server:
        client = await server.streaming_client()
        for level in (1111, 2222, 3333):
            await talk(client, level, 1.0)
            await talk(client, 0, PAUSE_S)
        await client.until(Final, 3)
        await client.settled()
        assert client.finals == [(1, "1111."), (2, "2222."), (3, "3333.")]


@contract("4.12", "11/8")
@virtual_time
async def test_rejected_utterance_is_never_transcribed_or_published() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording, max_active_speakers=1) as server:
        first, second = await server.connect(partials=False), await server.connect(partials=False)
        for client in (first, second):
            client.command("start")
        first.say(1111, 1.0)
        await first.settled()
        await talk(second, 2222, 1.0)
        await talk(second, 0, PAUSE_S)  # long enough for a speculative final
        first.pause(PAUSE_S)
        await first.until(Final)
        utter(second, 3333)
        await second.until(Final)
        await second.settled()
        assert second.finals == [(1, "3333.")]
        assert [level for clip in recording.runs for level, _ in clip if level] == [1111, 3333]


@contract("4.8", "11/9")
@virtual_time
async def test_stop_in_silence_yields_no_final() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        client.say(900, 1.0)  # noise, well above the reference's bound of 50
        client.command("stop")
        client.command("start")
        utter(client, 1111)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111.")], "the noise before the first stop is not in it, either"
        assert client.event_names.count("timeline recording_started") == 1


@contract("4.5", "4.8", "11/10")
@virtual_time
async def test_stop_ends_a_short_utterance_and_start_begins_a_new_one() -> None:
    async with server_fixture(min_length_of_recording=1.0) as server:
        client = await server.streaming_client()
        client.say(1111, 0.1)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111.")]
        assert (client.states[-1], client.session.report().recording) == ("idle", False)
        client.command("start")
        client.say(2222, 0.5)
        client.command("stop")
        await client.until(Final, 2)
        assert client.finals[1] == (2, "2222."), "no audio from before the pause"


@contract("4.5", "11/11")
@virtual_time
async def test_gap_between_utterances_does_not_block_the_next() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording, min_gap_between_recordings=0.5) as server:
        client = await server.streaming_client(partials=False)
        for level in (1111, 2222, 3333):
            client.say(level, 1.0)
            client.pause(0.608)  # the next begins inside the gap
        client.pause(PAUSE_S)
        await client.until(Final, 3)
        assert [text for _, text in client.finals] == ["1111.", "2222.", "3333."]
        spoken = Counter[int]()
        for clip in recording.runs:
            spoken.update(dict(clip))
        assert [spoken[level] for level in (1111, 2222, 3333)] == [16_000] * 3, "audio in the gap becomes pre-roll"


@contract("7.3", "4.13", "11/12")
@virtual_time
async def test_failed_final_is_retried_and_refused_one_waits() -> None:
    failed: set[str] = set()

    def answer(batch: Batch) -> object:
        (transcript,) = levels(batch)
        if transcript.text not in failed:
            failed.add(transcript.text)
            raise TranscriptionFailed("a bad moment")
        return [transcript]

    async with server_fixture(inference_s=lambda _: 1.0, answer=answer, max_global_inference_queue_depth=1) as server:
        clients = [await server.connect(partials=False) for _ in range(3)]
        for number, client in enumerate(clients):
            client.command("start")
            utter(client, 1111 + number, 2222 + number)
        for number, client in enumerate(clients):
            await client.until(Final, 2)
            assert client.finals == [(1, f"{1111 + number}."), (2, f"{2222 + number}.")]
            assert client.of(Error) == []
            assert client.session.report().final_rejected <= 4, "once as speculative, once as final"
        assert sum(client.session.report().final_rejected for client in clients) > 0
        assert len(failed) == 6


@contract("7.3", "11/12")
@virtual_time
async def test_final_that_fails_for_good_is_reported_and_affects_no_other() -> None:
    def answer(batch: Batch) -> object:
        if any(2222 / 32768 in clip for clip in batch):
            raise TranscriptionFailed("the engine stumbled")
        return levels(batch)

    async with server_fixture(answer=answer) as server:
        client = await server.streaming_client(partials=False)
        utter(client, 1111, 2222, 3333)
        await client.until(Final, 2)
        await client.settled()
        assert client.finals == [(1, "1111."), (3, "3333.")]
        assert [(error.where, error.message) for error in client.of(Error)] == [("recorder", "the engine stumbled")]
        closed = [event for event in client.of(Timeline) if event.event == "segment_closed"]
        assert [(event.segment_id, event.reason) for event in closed] == [(2, "failed")]


@contract("4.1", "11/13")
@virtual_time
async def test_shed_audio_is_counted_and_announced_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = AudioProcessor._process

    async def stall(processor: AudioProcessor, audio: Audio) -> None:
        if 1111 in audio.samples:
            await trio.sleep(30)
        await process(processor, audio)

    async def always_queue(processor: AudioProcessor, audio: Audio) -> int:
        return await processor._inbox.put_audio(audio)

    monkeypatch.setattr(AudioProcessor, "_process", stall)
    monkeypatch.setattr(AudioProcessor, "accept", always_queue)  # a packet processed at once would not stall
    recording = RecordingAnswer()
    async with server_fixture(answer=recording, audio_queue_size=25) as server:  # 20 packets
        client = await server.streaming_client(partials=False)
        client.say(1111, 0.04)
        client.say(2222, 1.2)
        client.say(3333, 0.4)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        missing = 1.64 * 16_000 - sum(clip.size for clip in recording.clips)
        dropped = client.session.report().dropped_audio_chunks
        shed = [notice for notice in client.of(WarningEvent) if "dropped" in notice.message]
        assert shed
        assert 0 <= dropped * 512 - missing < 512 * len(shed)
        assert sum(int(notice.message.split()[0]) for notice in shed) == dropped
        assert client.of(Status)[-1].dropped_chunks == dropped
        assert dict(recording.runs[-1])[3333] == 6400, "the oldest audio is shed"


@contract("4.13", "11/16")
@virtual_time
async def test_no_ended_utterance_is_dropped_however_many_wait() -> None:
    async with server_fixture(inference_s=lambda _: 10.0, max_final_queue_depth_per_session=1) as server:
        client = await server.streaming_client(partials=False)
        utter(client, *range(2001, 2021))
        await client.until(Final, 20)
        await client.settled()
        assert client.finals == [(number, f"{2000 + number}.") for number in range(1, 21)]
        backlog = [
            notice.message for notice in client.of(WarningEvent) if "Final transcription backlog" in notice.message
        ]
        assert len(backlog) == len(client.of(WarningEvent)) == 1
        assert client.session.report().dropped_recorded_segments == 0
