"""Events of the wrong utterance, and false events: defects 20 to 28 in tests/contract_report.py."""

from itertools import pairwise

import msgspec
import pytest
import trio

from tests.contract.fixtures import PAUSE_S, RecordingAnswer, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import WAKE, Batch, Client, LevelWakeWords, server_fixture
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.event_objects import PreRecordingBuffer, Segment, State
from trio_stt.protocol.events import Final, Realtime, Status, Timeline, WarningEvent

contract = pytest.mark.contract

SENTENCE = "Don't, said ß — pay ½ of number 5, please: it's the o\ufb03ce-fee! And so on"
WORDS = {"wakeword_backend": "openwakeword", "wake_words": "computer"}


def entries(client: Client, event: str) -> list[Timeline]:
    return [entry for entry in client.of(Timeline) if entry.event == event]


@contract("4.11", "2.6", "11/20")
@virtual_time
async def test_overlapping_utterances_have_their_own_ids_and_times() -> None:
    async with server_fixture(inference_s=lambda _: 3.2) as server:
        client = await server.streaming_client()
        for level in (1111, 2222, 3333):
            await talk(client, level, 1.0)
            await talk(client, 0, PAUSE_S)
        await client.until(Final, 3)
        await client.settled()
        names = client.event_names
        assert names.index("final") > names.index("timeline recording_started") + 2, "they overlap"
        segments = {
            entry.segment_id: entry.segment
            for entry in entries(client, "recording_started")
            if isinstance(entry.segment, Segment)
        }
        assert list(segments) == [1, 2, 3]
        assert [entry.segment_id for entry in entries(client, "recording_ended")] == [1, 2, 3]
        for final in client.of(Final):
            assert final.recording_started_at == segments[final.segment_id].recording_started_at
        starts = [segment.recording_started_at for segment in segments.values()]
        assert len(set(starts)) == 3


@contract("2.5", "11/21")
@virtual_time
async def test_voice_and_silence_are_published_for_accepted_speech_only() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        await trio.sleep(1)
        client.command("start")
        for level in (1111, 2222):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
            await client.settled()
        client.command("stop")
        client.command("start")
        client.pause(5.0)
        client.command("stop")
        await client.settled()
        events = [name for name in client.event_names if "realtime" not in name]
        assert events.count("status voice") == events.count("status silence") == 2
        for name, following in pairwise(events):
            assert (name == "status voice") == (following == "timeline recording_started")
            assert (name == "status silence") == (following == "timeline recording_ended")
        assert events[-3:] == ["status idle", "status listening", "status idle"]


@contract("2.5", "11/22")
@virtual_time
async def test_status_after_a_final_is_that_of_the_next_utterance() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        client.say(2222, 0.5)
        await client.until(Final)
        await client.settled()
        after = client.event_names[client.event_names.index("timeline final_transcript") + 1]
        assert after == "status recording"
        assert client.states[-1] == "recording"


@contract("2.6", "4.3", "11/23")
@virtual_time
@pytest.mark.parametrize(("before_s", "included_s"), [(0.0, 0.0), (0.32, 0.32), (3.2, 0.75)])
async def test_pre_roll_is_reported_with_its_real_length(before_s: float, included_s: float) -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording) as server:
        client = await server.streaming_client(partials=False)
        client.say(900, before_s)
        client.say(1111, 1.0)
        client.command("stop")
        final = await client.until(Final)
        preroll = final.pre_recording_buffer
        assert isinstance(preroll, PreRecordingBuffer)
        assert (preroll.configured_seconds, preroll.exact) == (0.75, True)
        assert preroll.included_seconds == included_s
        assert preroll.end_timestamp == final.recording_started_at
        assert abs(preroll.end_timestamp - preroll.start_timestamp - included_s) < 1e-5
        assert final.duration_seconds == 1.0, "without the pre-roll"
        levels = dict(recording.runs[0])
        assert levels.get(900, 0) == included_s * 16_000
        assert levels[1111] == 16_000


@contract("4.12", "2.5", "11/24")
@virtual_time
async def test_utterance_beyond_the_speaker_limit_yields_a_warning_only() -> None:
    async with server_fixture(max_active_speakers=1) as server:
        first, second = await server.connect(), await server.connect()
        for client in (first, second):
            client.command("start")
        first.say(1111, 1.0)
        await first.settled()
        await talk(second, 2222, 1.0)
        await talk(second, 0, PAUSE_S)
        await second.settled()
        assert second.event_names == ["hello", "ready", "status listening", "warning"]
        assert "active speaker limit" in second.of(WarningEvent)[0].message
        report = second.session.report()
        assert (report.rejected_audio_chunks, report.current_segment_id, report.recording) == (1, 1, False)
        first.pause(PAUSE_S)
        await first.until(Final)
        second.say(3333, 1.0)
        second.pause(PAUSE_S)
        await second.until(Final)
        assert (first.finals, second.finals) == ([(1, "1111.")], [(1, "3333.")])


@contract("5.4", "2.8", "11/25")
@virtual_time
async def test_late_partial_is_not_shown_under_the_next_utterance() -> None:
    recording = RecordingAnswer()
    async with server_fixture(
        inference_s=lambda _: 0.9, answer=recording, early_transcription_on_silence=0.0
    ) as server:
        client = await server.streaming_client()
        for level in (1111, 2222, 3333):
            await talk(client, level, 2.0)
            await talk(client, 0, 0.6)
        await client.until(Final, 3)
        await client.settled()
        number_of = {"1111": 1, "2222": 2, "3333": 3}
        shown = [(event.segment_id, event.recording_id, event.raw_text) for event in client.of(Realtime)]
        assert {number for number, _, _ in shown} == {1, 2, 3}
        for number, recording_id, text in shown:
            assert (number_of[text], number_of[text]) == (number, recording_id)
        assert len(recording.clips) - 3 > len(shown), "some partials were late"


@contract("2.5", "6.5", "11/26")
@virtual_time
async def test_stable_text_keeps_spaces_punctuation_and_folding_characters() -> None:
    words = SENTENCE.split()

    def answer(batch: Batch) -> list[Transcript]:
        return [Transcript(text=" ".join(words[: max(1, round(clip.size / 16_000 * 2))])) for clip in batch]

    async with server_fixture(inference_s=lambda _: 0.1, answer=answer, realtime_processing_pause=0.1) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 12.0)
        client.pause(PAUSE_S)
        final = await client.until(Final)
        stable = [event.stable_text for event in client.of(Realtime)]
        assert all(" ".join(words).startswith(text) for text in stable)
        assert len(stable[-1].split()) >= len(words) - 3
        assert "".join(event.stable_delta for event in client.of(Realtime)) == stable[-1]
        assert final.stable_text_agreed


@contract("4.10", "2.5", "11/27")
@virtual_time
async def test_every_wake_word_timeout_is_followed_by_a_wait() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS, wake_word_timeout=2.0) as server:
        client = await server.streaming_client()
        for cycle in range(2):
            client.say(WAKE, 0.032)
            if cycle == 0:
                client.pause(0.512)
                client.say(2222, 1.0)
                client.pause(PAUSE_S)
                client.say(WAKE, 0.032)
            client.pause(2.5)
        await client.settled()
        timeouts = [i for i, name in enumerate(client.event_names) if name == "timeline wakeword_timeout"]
        assert len(timeouts) == 2
        for i in timeouts:
            assert client.event_names[i : i + 4] == [
                "timeline wakeword_timeout",
                "status wakeword_timeout",
                "timeline wakeword_wait_started",
                "status wakeword_wait",
            ]
        waits = entries(client, "wakeword_wait_started")
        assert len(waits) == 4, "the first, after the utterance, and after each timeout"
        assert all(wait.wake_word is not msgspec.UNSET for wait in waits)
        assert [event.state for event in client.of(Status)][-1] is State.WAKEWORD_WAIT
