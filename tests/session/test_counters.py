"""Reports of sessions: what each counter counts, and the running utterance."""

import pytest
import trio

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, levels, server_fixture
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.event_objects import Segment
from trio_stt.protocol.events import Final, Realtime, WarningEvent
from trio_stt.protocol.reports import SessionReport

contract = pytest.mark.contract

QUIET = {
    "dropped_audio_chunks": 0,
    "rejected_audio_chunks": 0,
    "coalesced_realtime": 0,
    "stale_realtime_discarded": 0,
    "cancelled_jobs": 0,
    "realtime_submitted": 0,
    "final_submitted": 0,
    "realtime_completed": 0,
    "final_completed": 0,
    "realtime_rejected": 0,
    "final_rejected": 0,
    "forced_finalizations": 0,
    "dropped_recorded_segments": 0,
    "suppressed_texts": 0,
    "dropped_candidates": 0,
}


def counted(report: SessionReport) -> dict[str, int]:
    """The counters that are not 0."""
    return {name: count for name in QUIET if (count := getattr(report, name))}


async def one_utterance(client: Client) -> None:
    client.command("start")
    client.say(1111, 1.0)
    client.pause(PAUSE_S)
    await client.until(Final)
    await client.settled()


@contract("1.7")
@virtual_time
async def test_new_session_has_zero_counters() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        await client.settled()
        report = client.session.report()
        assert counted(report) == {}
        assert (report.streaming, report.recording, report.state, report.wake_word_enabled) == (
            False,
            False,
            "idle",
            False,
        )
        assert (report.current_segment_id, report.current_segment) == (1, None)
        assert (report.queue_depth, report.recording_seconds) == (0, 0.0)


@contract("1.7", "4.6", "7.4")
@virtual_time
async def test_speculative_final_counts_once() -> None:
    async with server_fixture(inference_s=lambda _: 0.25) as server:
        client = await server.connect(partials=False)
        await one_utterance(client)
        report = client.session.report()
        assert counted(report) == {"final_submitted": 1, "final_completed": 1}
        assert (report.inference_duration.final.count, report.inference_duration.final.max_ms) == (1, 250.0)
        assert report.inference_duration.realtime.count == 0


@contract("1.7")
@virtual_time
async def test_report_of_the_running_utterance_excludes_its_pre_roll() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client(partials=False)
        client.say(900, 1.0)
        client.say(1111, 0.968)
        await client.settled()
        report = client.session.report()
        assert (report.streaming, report.recording, report.state) == (True, True, "recording")
        assert isinstance(report.current_segment, Segment)
        assert report.current_segment.segment_id == report.current_segment_id == 1
        assert 0.96 <= report.recording_seconds <= 1.0
        client.command("stop")
        await client.until(Final)
        report = client.session.report()
        assert (report.current_segment_id, report.current_segment, report.recording_seconds) == (2, None, 0.0)


@contract("1.7", "2.3")
@virtual_time
async def test_refused_packets_and_utterances_count_as_rejected_chunks() -> None:
    async with server_fixture(max_active_speakers=1) as server:
        client, other = await server.connect(partials=False), await server.connect(partials=False)
        client.say(1111, 0.2)  # 5 packets before `start`
        other.command("start")
        other.say(1111, 0.2)
        await other.settled()
        client.command("start")
        client.say(1111, 0.2)
        await client.settled()
        assert counted(client.session.report()) == {"rejected_audio_chunks": 6}
        assert len(client.of(WarningEvent)) == 6


@contract("1.7", "4.9")
@virtual_time
async def test_clear_cancels_queued_and_running_jobs() -> None:
    async with server_fixture(inference_s=lambda _: 5.0, early_transcription_on_silence=0.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(1)
        client.command("clear")
        await client.settled()
        assert counted(client.session.report()) == {"final_submitted": 1, "cancelled_jobs": 1}


@contract("1.7", "5.4", "7.3")
@virtual_time
async def test_stale_and_refused_partials_are_counted_but_not_published() -> None:
    async with server_fixture(
        inference_s=lambda batch: 3.0 if len(batch[0]) > 40_000 else 0.01,
        max_realtime_queue_age_ms=500,
        max_global_inference_queue_depth=1,
        early_transcription_on_silence=0.0,
    ) as server:
        busy, late, refused = [await server.connect() for _ in range(3)]
        for client in (busy, late, refused):
            client.command("start")
        busy.say(1111, 3.0)
        busy.command("stop")
        await trio.sleep(0.5)  # the engine has the final
        await talk(late, 2222, 0.4)
        assert late.session.report().realtime_submitted == 1
        await talk(refused, 3333, 0.4)
        assert refused.session.report().realtime_rejected > 0
        assert refused.session.report().realtime_submitted == 0
        for client in (late, refused):
            assert {name.split()[0] for name in client.event_names} == {"hello", "ready", "status", "timeline"}
        await busy.until(Final)
        await trio.sleep(1)
        assert late.session.report().stale_realtime_discarded == 1


@contract("1.7")
@virtual_time
async def test_suppressed_texts_are_counted() -> None:
    def loops(batch: Batch) -> list[Transcript]:
        return [Transcript(text="and so " * 30) for _ in batch]

    async with server_fixture(answer=loops) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        client.command("stop")
        await client.settled()
        assert counted(client.session.report()) == {"final_submitted": 1, "final_completed": 1, "suppressed_texts": 1}


@contract("4.14", "5.4")
@virtual_time
async def test_first_200_ms_of_an_utterance_show_no_partial_but_feed_the_stabilizer() -> None:
    clip_sizes: list[int] = []

    def answer(batch: Batch) -> object:
        clip_sizes.extend(clip.size for clip in batch)
        return levels(batch)

    async with server_fixture(answer=answer, realtime_min_audio_seconds=0.0) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 0.2)
        assert client.of(Realtime) == []
        await talk(client, 1111, 0.6)
        shown = client.of(Realtime)
        early = len([samples for samples in clip_sizes if samples <= 1920])  # later ones wait until they may be shown
        assert early >= 1
        assert shown[0].sequence == early + 1, "the first observations used up these numbers"
        assert len(shown) == len(clip_sizes) - early


@contract("2.5", "5.4")
@virtual_time
async def test_degradation_at_the_end_of_an_utterance_publishes_no_recording_state() -> None:
    async with server_fixture(inference_s=lambda _: 3.0) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 2.0)
        client.pause(PAUSE_S)
        await trio.sleep(1)
        await talk(client, 2222, 1.0)
        await trio.sleep(1)
        client.command("stop")
        await client.settled()
        assert any("less often" in notice.message for notice in client.of(WarningEvent))
        ended = [i for i, name in enumerate(client.event_names) if name == "timeline recording_ended"]
        assert "status recording" not in client.event_names[ended[-1] :]
