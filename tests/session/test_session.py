"""Sessions on virtual time: the events of one conversation, and their order."""

from itertools import pairwise

import numpy as np
import pytest
import trio
from msgspec import UNSET

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, server_fixture
from trio_stt.dsp.g711 import Law, decode
from trio_stt.lanes.engines.base import TimedText, Transcript
from trio_stt.protocol.event_objects import Piece, Segment
from trio_stt.protocol.events import Clear, Error, Final, Metrics, Pong, Realtime, Timeline, WarningEvent
from trio_stt.protocol.packets import SampleFormat, build_packet


@pytest.mark.contract("2.5", "2.8")
@virtual_time
async def test_events_of_one_utterance_are_in_protocol_order() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        client.command("stop")
        await client.settled()
        event_names = [name for name in client.event_names if name not in ("realtime", "timeline realtime_transcript")]
        assert event_names == [
            "hello",
            "ready",
            "status listening",
            "status voice",
            "timeline recording_started",
            "status recording",
            "status silence",
            "timeline recording_ended",
            "status listening",
            "timeline transcription_started",
            "status transcribing",
            "final",
            "timeline final_transcript",
            "status listening",
            "status idle",
        ]
        assert client.finals == [(1, "1111.")]


@pytest.mark.contract("2.5", "2.8")
@virtual_time
async def test_partials_have_timeline_entries_and_stop_at_the_end() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        for _ in range(50):  # in real time: the engine transcribes between packets
            client.say(1111, 0.04)
            await trio.sleep(0.04)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        partials = client.of(Realtime)
        assert len(partials) > 10
        assert [partial.sequence for partial in partials] == sorted({partial.sequence for partial in partials})
        for event, following in pairwise(client.events):
            if isinstance(event, Realtime):
                assert isinstance(following, Timeline)
                assert (following.event, following.sequence) == ("realtime_transcript", event.sequence)
        last = max(i for i, event in enumerate(client.events) if isinstance(event, Realtime))
        ended = client.event_names.index("timeline recording_ended")
        assert last < ended


@pytest.mark.contract("2.3", "1.7")
@virtual_time
async def test_audio_before_start_is_ignored_with_a_warning_per_packet() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        client.say(1111, 0.08)
        client.raw(build_packet(b"", rate_hz=16000))
        await client.settled()
        assert ["start command" in notice.message for notice in client.of(WarningEvent)] == [True, True]
        assert client.session.report().rejected_audio_chunks == 2
        assert client.of(Timeline) == []


@pytest.mark.contract("2.2")
@virtual_time
async def test_commands_are_answered_and_unknown_ones_refused_by_name() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        client.command("ping")
        client.command("metrics")
        client.command("dance")
        client.raw(b"\1\2")
        client.raw("[")
        await client.settled()
        assert len(client.of(Pong)) == 1
        assert client.of(Metrics)[0].metrics.session_id == client.session.session_id
        assert [error.where for error in client.of(Error)] == ["command", "audio_packet", "command"]
        assert "dance" in client.of(Error)[0].message


@pytest.mark.contract("2.2")
@virtual_time
async def test_repeated_start_and_stop_only_publish_the_status() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        for command in ("stop", "start", "start", "stop", "stop"):
            client.command(command)
        await client.settled()
        assert client.states == ["idle", "listening", "listening", "idle", "idle"]


@pytest.mark.contract("4.6")
@virtual_time
async def test_speculative_final_is_the_only_job_and_ready_when_the_utterance_ends() -> None:
    async with server_fixture(inference_s=lambda _: 0.1) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        for _ in range(15):
            client.pause(0.04)
            await trio.sleep(0.04)
        await client.until(Final)
        report = client.session.report()
        assert (report.final_submitted, report.final_completed) == (1, 1)
        assert client.finals == [(1, "1111.")]


@pytest.mark.contract("4.11", "2.5")
@virtual_time
async def test_empty_text_closes_the_segment_without_a_final() -> None:
    async with server_fixture(answer=lambda batch: [Transcript(text=" ") for _ in batch]) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.settled()
        assert client.finals == []
        closed = [event for event in client.of(Timeline) if event.event == "segment_closed"]
        assert [(event.segment_id, event.reason) for event in closed] == [(1, "empty")]
        assert client.states[-1] == "listening"


@pytest.mark.contract("2.2", "4.9", "4.11")
@virtual_time
async def test_clear_when_idle_takes_a_segment_id_and_publishes_the_state() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        client.command("clear")
        await client.settled()
        assert client.of(Clear)[0].next_segment_id == 2
        assert client.states[-1] == "idle"


@pytest.mark.contract("2.3", "4.1")
@virtual_time
async def test_sample_rate_change_loses_no_audio() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.say(1111, 1.0, rate_hz=48000)
        client.say(1111, 1.0, rate_hz=8000)
        client.command("stop")
        final = await client.until(Final)
        assert isinstance(final.duration_seconds, float)
        assert abs(final.duration_seconds - 3.0) < 0.001


@virtual_time
async def test_speech_in_opposite_channels_has_a_final() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client(partials=False)
        packet = np.tile(np.array([1111, -1111], "<i2"), 640).tobytes()
        for _ in range(25):
            client.raw(build_packet(packet, rate_hz=16_000, channels=2))
        client.pause(PAUSE_S)
        final = await client.until(Final)
        await client.settled()
        assert final.text.endswith(" 1111."), "the channel fades in"


@pytest.mark.parametrize(("coding", "law"), [(SampleFormat.MULAW, "mulaw"), (SampleFormat.ALAW, "alaw")])
@virtual_time
async def test_g711_is_transcribed_at_its_level(coding: SampleFormat, law: Law) -> None:
    code = bytes([0x2A])  # in both laws a level that counts as loud, and not the same
    level = int(decode(code, law)[0])
    async with server_fixture() as server:
        client = await server.streaming_client(partials=False)
        for _ in range(25):
            client.raw(build_packet(code * 2 * 640, rate_hz=16_000, channels=2, coding=coding))
        client.pause(PAUSE_S)
        final = await client.until(Final)
        await client.settled()
        assert final.text == f"{level}."


@pytest.mark.contract("2.6")
@virtual_time
async def test_segment_times_are_consistent_at_any_speed() -> None:
    async with server_fixture(max_audio_queue_seconds_per_session=2.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 5.0)
        client.command("stop")
        await client.until(Final, 3)
        for final in client.of(Final):
            assert isinstance(final.recording_ended_at, float)
            assert isinstance(final.recording_started_at, float)
            assert isinstance(final.duration_seconds, float)
            assert final.duration_seconds > 0
            assert abs(final.recording_ended_at - final.recording_started_at - final.duration_seconds) < 1e-5
        # Each but the last was cut, and says so.
        segments = [final.segment for final in client.of(Final)]
        assert [isinstance(segment, Segment) and segment.cut for segment in segments] == [True, True, UNSET]


@virtual_time
async def test_partials_say_up_to_where_their_audio_reaches() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        client.pause(0.32)
        await talk(client, 1111, 3.0)
        client.command("stop")
        await client.until(Final)
        ends = [partial.audio_end_seconds for partial in client.of(Realtime)]
        assert ends
        assert all(isinstance(end_s, float) and 0.32 < end_s <= 3.32 for end_s in ends)
        assert ends == sorted(ends)  # type: ignore[type-var] # all are numbers, as above


@pytest.mark.contract("4.7")
@virtual_time
async def test_events_of_a_cut_utterance_are_in_protocol_order() -> None:
    async with server_fixture(max_audio_queue_seconds_per_session=2.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 2.5)
        await client.settled()
        cut = client.event_names.index("timeline recording_ended")
        assert client.event_names[cut : cut + 6] == [
            "timeline recording_ended",
            "status listening",
            "warning",
            "status voice",
            "timeline recording_started",
            "status recording",
        ]


@virtual_time
async def test_final_has_timed_pieces_with_confidence() -> None:
    def timed(batch: Batch) -> list[Transcript]:
        pieces = (
            TimedText(text="so", start_s=0.25, end_s=0.5, confidence=0.87654),
            TimedText(text="it goes", start_s=0.5, end_s=1.0),
        )
        return [Transcript(text="so it goes", segments=pieces) for _ in batch]

    async with server_fixture(answer=timed, pre_recording_buffer_duration=0.0) as server:
        client = await server.streaming_client()
        client.pause(2.048)  # whole windows
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        final = await client.until(Final)
        assert isinstance(final.segment, Segment)
        begun_s = 2.048
        assert final.segment.audio_start_seconds == begun_s
        assert final.pieces == (
            Piece(text="so", start_seconds=begun_s + 0.25, end_seconds=begun_s + 0.5, confidence=0.877),
            Piece(text="it goes", start_seconds=begun_s + 0.5, end_seconds=begun_s + 1.0),
        )
