"""Audio that was lost, distorted or misplaced: defects 14, 15 and 17 to 19 in tests/contract_report.py."""

import numpy as np
import pytest
import trio

from tests.contract.fixtures import PAUSE_S, RecordingAnswer, send, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import WAKE, LevelWakeWords, server_fixture
from trio_stt.protocol.events import Clear, Final, Realtime, Timeline, WarningEvent

contract = pytest.mark.contract

WORDS = {"wakeword_backend": "openwakeword", "wake_words": "computer"}


@contract("4.1", "4.8", "11/14")
@virtual_time
async def test_stop_processes_every_sample_sent_before_it() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording) as server:
        client = await server.connect(partials=False)
        for level in (1111, 2222, 3333):
            client.command("start")
            client.say(level, 0.5003125)  # not a whole number of windows
            client.command("stop")
        await client.until(Final, 3)
        await client.settled()
        assert recording.runs == [[(level, 8005)] for level in (1111, 2222, 3333)]
        assert client.finals == [(1, "1111."), (2, "2222."), (3, "3333.")]


@contract("4.9", "11/14")
@virtual_time
async def test_clear_discards_queued_audio() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 0.5003125)
        client.command("clear")
        client.say(2222, 0.5003125)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        assert [level for clip in recording.runs for level, _ in clip if level == 1111] == []
        assert dict(recording.runs[-1])[2222] == 8005


@contract("4.7", "11/15")
@virtual_time
async def test_cut_at_the_maximum_length_is_announced_and_loses_or_repeats_no_sample() -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording, max_audio_queue_seconds_per_session=2.0) as server:
        client = await server.streaming_client(partials=False)
        ramp = np.arange(22_000, 2_000, -1, dtype=np.int16).repeat(4)  # all differ, and the latest is the quietest
        send(client, ramp)
        client.command("stop")
        await client.until(Final, 3)
        await client.settled()
        assert np.array_equal(np.concatenate(recording.clips), ramp)
        assert [number for number, _ in client.finals] == [1, 2, 3]
        assert all("Maximum per-session audio buffer" in notice.message for notice in client.of(WarningEvent))
        assert client.session.report().forced_finalizations == len(client.of(WarningEvent)) == 2


@contract("2.3", "11/17")
@virtual_time
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
async def test_packets_are_resampled_as_one_stream(rate_hz: int) -> None:
    recording = RecordingAnswer()
    async with server_fixture(answer=recording) as server:
        client = await server.streaming_client(partials=False)
        seconds = np.arange(10 * rate_hz) / rate_hz
        send(client, np.rint(10_000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16), rate_hz=rate_hz)
        client.command("stop")
        await client.until(Final)
        (clip,) = recording.clips
        assert abs(clip.size - 160_000) <= 1
        ideal = 10_000 * np.sin(2 * np.pi * 440 * np.arange(clip.size) / 16_000)
        inner = slice(100, -100)  # the filter rings where the tone is switched on and off
        assert np.abs(clip[inner] - ideal[inner]).max() <= 2


@contract("4.10", "11/18")
@virtual_time
@pytest.mark.parametrize("buffer_s", [0.1, 0.00625])
async def test_wake_word_is_cut_out_exactly(buffer_s: float) -> None:
    recording = RecordingAnswer()
    async with server_fixture(
        answer=recording, wake=LevelWakeWords(), **WORDS, wake_word_buffer_duration=buffer_s
    ) as server:
        client = await server.streaming_client(partials=False)
        client.say(900, 0.96)  # noise that would fill the pre-roll
        client.say(WAKE, 0.032)
        client.pause(0.48)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        (clip,) = recording.runs
        assert clip[:2] == [(0, 7680), (2222, 16_000)], "pre-roll from the detection on, then all speech"


@contract("4.9", "11/19")
@virtual_time
@pytest.mark.parametrize("age_s", [0.1, 1.0])
async def test_clear_aborts_an_utterance_of_any_age(age_s: float) -> None:
    async with server_fixture(min_length_of_recording=2.0) as server:
        client = await server.streaming_client()
        client.say(1111, age_s)
        await trio.sleep(1)
        assert client.session.report().recording
        client.command("clear")
        await client.until(Clear)
        await client.settled()
        assert not client.session.report().recording
        assert server.server_state.active_speakers == 0
        await talk(client, 2222, 3.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(2, "2222.")]
        after = client.events[client.events.index(client.of(Clear)[0]) + 1 :]
        assert all(event.segment_id == 2 for event in after if isinstance(event, Realtime | Timeline))
        assert "1111" not in "".join(event.text for event in after if isinstance(event, Realtime))
