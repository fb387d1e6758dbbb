"""A session on virtual time: order, identity and completeness of what a client is told."""

from itertools import pairwise

import numpy as np
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, LoudnessDetector, household, levels
from trio_stt.dsp.detector import Verdict
from trio_stt.errors import TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.events import Clear, Error, Final, Metrics, Notice, Pong, Realtime, Segment, Status, Timeline
from trio_stt.protocol.packets import build_packet

PAUSE_S = 0.8  # ends an utterance with default settings


@virtual_time
async def test_one_utterance_tells_its_story_in_the_contract_s_order() -> None:
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        client.command("stop")
        await client.settled()
        story = [name for name in client.story if name not in ("realtime", "timeline realtime_transcript")]
        assert story == [
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


@virtual_time
async def test_partials_come_while_speaking_each_with_its_timeline_entry_and_none_after_the_end() -> None:
    async with household() as home:
        client = await home.connect()
        client.command("start")
        for _ in range(50):  # live: the engine has time between packets
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
        ended = client.story.index("timeline recording_ended")
        assert last < ended


@virtual_time
async def test_a_client_without_start_is_warned_for_each_packet_and_nothing_is_heard() -> None:
    async with household() as home:
        client = await home.connect()
        client.say(1111, 0.08)
        client.raw(build_packet(b"", rate_hz=16000))
        await client.settled()
        assert ["start command" in notice.message for notice in client.of(Notice)] == [True, True]
        assert client.session.report().rejected_audio_chunks == 2
        assert client.of(Timeline) == []


@virtual_time
async def test_commands_are_answered_and_what_is_no_command_is_refused_by_name() -> None:
    async with household() as home:
        client = await home.connect()
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


@virtual_time
async def test_start_while_started_and_stop_while_stopped_only_say_the_status_again() -> None:
    async with household() as home:
        client = await home.connect()
        for command in ("stop", "start", "start", "stop", "stop"):
            client.command(command)
        await client.settled()
        assert client.states == ["idle", "listening", "listening", "idle", "idle"]


@virtual_time
async def test_pause_then_more_speech_then_stop_yields_all_of_it() -> None:
    """11.2/6: what was computed ahead in a pause is not the final of what was said after it."""
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 1.0)
        client.pause(0.4)
        client.say(2222, 1.0)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111 2222.")]


@virtual_time
async def test_a_slow_engine_keeps_finals_in_order_and_with_their_own_segments() -> None:
    """11.2/7 and 11.3/20: finals of a slow engine belong to their utterances."""
    async with household(inference_s=lambda _: 3.2) as home:
        client = await home.connect()
        client.command("start")
        for level in (1111, 2222, 3333):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Final, 3)
        await client.settled()
        assert client.finals == [(1, "1111."), (2, "2222."), (3, "3333.")]
        starts = [event.segment for event in client.of(Timeline) if event.event == "recording_started"]
        assert [s.segment_id for s in starts if isinstance(s, Segment)] == [1, 2, 3]
        finals = client.of(Final)
        assert [f.recording_started_at for f in finals] == [
            s.recording_started_at for s in starts if isinstance(s, Segment)
        ]


@virtual_time
async def test_after_a_final_the_status_is_that_of_the_next_recording() -> None:
    """11.3/22."""
    async with household(inference_s=lambda _: 2.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        client.say(2222, 0.5)
        await client.until(Final)
        await client.settled()
        assert client.states[-1] == "recording"


@virtual_time
async def test_the_final_computed_ahead_is_the_only_job_and_is_there_when_the_silence_ends() -> None:
    async with household(inference_s=lambda _: 0.1) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        for _ in range(15):
            client.pause(0.04)
            await trio.sleep(0.04)
        await client.until(Final)
        report = client.session.report()
        assert (report.final_submitted, report.final_completed) == (1, 1)
        assert client.finals == [(1, "1111.")]


@virtual_time
async def test_stop_on_a_young_recording_finalises_it() -> None:
    """11.2/10."""
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 0.1)
        client.command("stop")
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111.")]
        assert client.states[-1] == "idle"
        assert not client.session.report().recording


@virtual_time
async def test_stop_while_nothing_is_said_yields_nothing_and_doubles_nothing() -> None:
    """11.2/9: noise in the pre-roll is no utterance."""
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(900, 1.0)
        client.command("stop")
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111.")], "the noise before the stop is not in it either"


@virtual_time
async def test_a_pause_of_the_stream_is_not_glued_over() -> None:
    """11.2/10 and 14: audio from before a stop is not in what follows the next start."""
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 0.5)
        client.command("stop")
        client.command("start")
        client.say(2222, 0.5)
        client.command("stop")
        await client.until(Final, 2)
        assert client.finals == [(1, "1111."), (2, "2222.")]


@virtual_time
async def test_clear_during_a_pending_final_discards_it_and_the_session_goes_on() -> None:
    """11.1/1: the reference freezes here."""
    async with household(inference_s=lambda _: 5.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(1)
        client.command("clear")
        cleared = await client.until(Clear)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(2, "2222.")]
        assert cleared.next_segment_id == 2
        after = client.story[client.story.index("clear") + 1 :]
        assert after[0] == "status listening"


@virtual_time
async def test_clear_in_the_middle_of_a_word_aborts_it_and_hears_the_rest_anew() -> None:
    """11.2/19."""
    async with household() as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 1.0)
        await trio.sleep(1)
        client.command("clear")
        await trio.sleep(1)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(2, "2222.")]
        after = client.events[client.events.index(client.of(Clear)[0]) + 1 :]
        assert all(event.segment_id == 2 for event in after if isinstance(event, Realtime | Timeline))
        assert home.house.active_speakers == 0


@virtual_time
async def test_clear_when_idle_takes_a_number_and_says_the_waiting_state() -> None:
    async with household() as home:
        client = await home.connect()
        client.command("clear")
        await client.settled()
        assert client.of(Clear)[0].next_segment_id == 2
        assert client.states[-1] == "idle"


@virtual_time
async def test_an_engine_that_raises_costs_its_utterance_an_error_and_nothing_else() -> None:
    def answer(batch: Batch) -> object:
        if any(2222 / 32768 in clip for clip in batch):
            raise TranscriptionFailed("the engine stumbled")
        return levels(batch)

    async with household(answer=answer) as home:
        client = await home.connect(partials=False)
        client.command("start")
        for level in (1111, 2222, 3333):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Final, 2)
        await client.settled()
        assert client.finals == [(1, "1111."), (3, "3333.")]
        assert [(error.where, error.message) for error in client.of(Error)] == [("recorder", "the engine stumbled")]
        closed = [event for event in client.of(Timeline) if event.event == "segment_closed"]
        assert [(event.segment_id, event.reason) for event in closed] == [(2, "failed")]


@virtual_time
async def test_an_empty_final_closes_its_segment_without_a_final() -> None:
    async with household(answer=lambda batch: [Transcript(text=" ") for _ in batch]) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.settled()
        assert client.finals == []
        closed = [event for event in client.of(Timeline) if event.event == "segment_closed"]
        assert [(event.segment_id, event.reason) for event in closed] == [(1, "empty")]
        assert client.states[-1] == "listening"


@virtual_time
async def test_an_utterance_beyond_the_speaker_limit_leaves_a_warning_and_no_trace() -> None:
    """11.2/8 and 11.3/24."""
    async with household(max_active_speakers=1) as home:
        first, second = await home.connect(), await home.connect()
        for client in (first, second):
            client.command("start")
        first.say(1111, 1.0)
        await first.settled()
        second.say(2222, 1.0)
        second.pause(PAUSE_S)
        await second.settled()
        assert second.story == ["hello", "ready", "status listening", "warning"]
        assert "active speaker limit" in second.of(Notice)[0].message
        first.pause(PAUSE_S)
        await first.until(Final)
        second.say(3333, 1.0)
        second.pause(PAUSE_S)
        await second.until(Final)
        assert (first.finals, second.finals) == ([(1, "1111.")], [(1, "3333.")])


@virtual_time
async def test_a_gap_between_recordings_does_not_make_the_session_deaf() -> None:
    """11.2/11."""
    async with household(min_gap_between_recordings=0.5) as home:
        client = await home.connect()
        client.command("start")
        for level in (1111, 2222, 3333):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Final, 3)
        assert [text for _, text in client.finals] == ["1111.", "2222.", "3333."]


@virtual_time
async def test_a_cut_at_the_maximum_length_is_told_and_loses_no_sample() -> None:
    """11.2/15."""
    heard: list[int] = []

    def answer(batch: Batch) -> object:
        heard.extend(clip.size for clip in batch)
        return levels(batch)

    async with household(answer=answer, max_audio_queue_seconds_per_session=2.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 5.0)
        client.command("stop")
        await client.until(Final, 3)
        await client.settled()
        assert sum(heard) == 5 * 16000
        assert [number for number, _ in client.finals] == [1, 2, 3]
        assert all("Maximum per-session audio buffer" in notice.message for notice in client.of(Notice))
        assert client.session.report().forced_finalizations == 2


@virtual_time
async def test_finals_that_the_lane_refuses_wait_in_their_session() -> None:
    async with household(inference_s=lambda _: 1.0, max_global_inference_queue_depth=1) as home:
        clients = [await home.connect(partials=False) for _ in range(4)]
        for client in clients:
            client.command("start")
            for level in (1111, 2222):
                client.say(level, 1.0)
                client.pause(PAUSE_S)
        for client in clients:
            await client.until(Final, 2)
            assert client.finals == [(1, "1111."), (2, "2222.")]
            assert client.of(Error) == []
            assert client.session.report().final_rejected <= 4, "a final counts once, and once when computed ahead"


@virtual_time
async def test_audio_is_refused_while_too_much_speech_waits_and_taken_again_afterwards() -> None:
    async with household(inference_s=lambda _: 60.0, max_backlog_seconds=3.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        for _ in range(6):
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
            await trio.sleep(2)
        refused = client.of(Error)
        assert refused
        assert {(error.where, "3 s of speech" in error.message) for error in refused} == {("audio", True)}
        assert client.session.report().rejected_audio_chunks == len(refused)
        await trio.sleep(600)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(600)
        assert client.finals[-1][1] == "2222."


@virtual_time
async def test_two_clients_never_see_each_other_s_words() -> None:
    async with household(inference_s=lambda _: 0.5) as home:
        clients = {level: await home.connect() for level in (1111, 2222)}
        for level, client in clients.items():
            client.command("start")
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        for level, client in clients.items():
            await client.until(Final)
            await client.settled()
            assert client.finals == [(1, f"{level}.")]
            assert all(str(level) in partial.text for partial in client.of(Realtime))
            assert {getattr(event, "session_id", None) for event in client.events} == {client.session.session_id}


@virtual_time
async def test_a_client_that_vanishes_in_the_middle_of_a_word_takes_its_jobs_along() -> None:
    served: list[object] = []

    def answer(batch: Batch) -> object:
        served.extend(levels(batch))
        return levels(batch)

    async with household(inference_s=lambda _: 2.0, answer=answer) as home:
        stays, vanishes = await home.connect(partials=False), await home.connect(partials=False)
        stays.command("start")
        stays.say(1111, 1.0)
        stays.pause(PAUSE_S)
        await trio.sleep(0.5)  # the engine is at work for the one who stays
        vanishes.command("start")
        vanishes.say(2222, 1.0)
        vanishes.pause(PAUSE_S)
        vanishes.say(2222, 0.5)
        await trio.sleep(0.5)
        vanishes.leave()
        await stays.until(Final)
        await trio.sleep(10)
        assert (home.house.active_sessions, home.house.active_speakers) == (1, 0)
        assert served == [Transcript(text="1111")]


@virtual_time
async def test_a_client_that_never_reads_is_given_up_and_harms_nobody() -> None:
    async with household() as home:
        reads, deaf = await home.connect(), await home.connect()
        deaf.reads = False
        for client in (reads, deaf):
            client.command("start")
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
        await reads.until(Final)
        await trio.sleep(60)
        assert (deaf.aborted, reads.aborted) == (True, False)
        assert home.house.active_sessions == 1
        reads.say(2222, 1.0)
        reads.pause(PAUSE_S)
        await reads.until(Final, 2)


@virtual_time
async def test_sessions_are_admitted_before_the_models_are_loaded_and_ready_follows() -> None:
    async with household(load_s=30.0) as home:
        client = await home.connect()
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(10)
        assert "ready" not in client.story
        assert client.states[-1] == "transcribing"
        await client.until(Final)
        assert client.story.index("ready") < client.story.index("final")
        assert client.finals == [(1, "1111.")]


@virtual_time
async def test_a_change_of_the_sample_rate_loses_nothing() -> None:
    async with household() as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        client.say(1111, 1.0, rate_hz=48000)
        client.say(1111, 1.0, rate_hz=8000)
        client.command("stop")
        final = await client.until(Final)
        assert isinstance(final.duration_seconds, float)
        assert abs(final.duration_seconds - 3.0) < 0.001


@virtual_time
async def test_a_result_that_comes_in_the_tick_of_a_clear_is_not_published() -> None:
    # The order of tasks within a tick is random: enough tries, each a little further apart, meet the one that hurts.
    for attempt in range(60):
        async with household(inference_s=lambda _: 1.0, hops=attempt % 6) as home:
            client = await home.connect(partials=False)
            client.command("start")
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
            await trio.sleep(1.0)
            client.command("clear")
            await client.until(Clear)
            await client.settled()
            after = client.story[client.story.index("clear") + 1 :]
            assert after == ["status listening"]


@virtual_time
async def test_a_fault_in_hearing_is_told_and_the_session_goes_on() -> None:
    class Stumbling(LoudnessDetector):
        def verdict(self, window: NDArray[np.int16], *, speaking: bool) -> Verdict:
            if 2222 in window:
                raise RuntimeError("stumbled")
            return super().verdict(window, speaking=speaking)

    async with household(detector=Stumbling) as home:
        client = await home.connect(partials=False)
        client.command("start")
        for level in (1111, 2222, 3333):
            client.say(level, 0.5)
            client.pause(PAUSE_S)
        await client.until(Final, 2)
        await client.settled()
        assert [text for _, text in client.finals] == ["1111.", "3333."]
        assert {(error.where, "stumbled" in error.message) for error in client.of(Error)} == {("audio", True)}


@virtual_time
async def test_the_times_of_a_segment_agree_with_each_other_however_fast_it_came() -> None:
    async with household(max_audio_queue_seconds_per_session=2.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 5.0)
        client.command("stop")
        await client.until(Final, 3)
        for final in client.of(Final):
            assert isinstance(final.recording_ended_at, float)
            assert isinstance(final.recording_started_at, float)
            assert isinstance(final.duration_seconds, float)
            assert final.duration_seconds > 0
            assert abs(final.recording_ended_at - final.recording_started_at - final.duration_seconds) < 1e-5


@virtual_time
async def test_a_cut_is_told_in_the_contract_s_order() -> None:
    async with household(max_audio_queue_seconds_per_session=2.0) as home:
        client = await home.connect(partials=False)
        client.command("start")
        client.say(1111, 2.5)
        await client.settled()
        cut = client.story.index("timeline recording_ended")
        assert client.story[cut : cut + 6] == [
            "timeline recording_ended",
            "status listening",
            "warning",
            "status voice",
            "timeline recording_started",
            "status recording",
        ]


actions = st.lists(
    st.sampled_from(["start", "stop", "clear", "say", "say", "short", "pause", "pause", "wait"]), max_size=30
)


@given(actions=actions, inference_s=st.sampled_from([0.0, 0.3, 3.0]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_client_does_the_order_of_the_contract_holds(actions: list[str], inference_s: float) -> None:
    async def converse() -> None:
        async with household(inference_s=lambda _: inference_s, max_audio_queue_seconds_per_session=3.0) as home:
            client = await home.connect()
            for number, action in enumerate(actions):
                level = 1000 + number
                match action:
                    case "say":
                        client.say(level, 1.0)
                    case "short":
                        client.say(level, 0.05)
                    case "pause":
                        client.pause(PAUSE_S)
                    case "wait":
                        await trio.sleep(1)
                    case command:
                        client.command(command)
            client.command("stop")
            await client.settled()
            check(client)

    trio.run(converse, clock=trio.testing.MockClock(autojump_threshold=0))


def check(client: Client) -> None:
    """The ordering rules of section 2.8 and the identities of section 4.11."""
    assert client.story[0] == "hello"
    assert client.states[-1] == "idle"
    numbers = [number for number, _ in client.finals]
    assert numbers == sorted(set(numbers))
    spoken = [word for _, text in client.finals for word in text.rstrip(".").split()]
    assert spoken == sorted(spoken, key=int), "nothing is doubled across utterances or out of order"
    open_segments: set[int] = set()
    over: set[int] = set()
    for event in client.events:
        if isinstance(event, Timeline) and event.event == "recording_started":
            assert event.segment_id not in open_segments | over
            open_segments.add(int(event.segment_id))  # type: ignore[arg-type] # set on this event
        elif isinstance(event, Realtime):
            assert event.segment_id in open_segments
        elif isinstance(event, Final):
            assert event.segment_id in open_segments
            open_segments.remove(event.segment_id)
            over.add(event.segment_id)
        elif isinstance(event, Clear):
            over |= open_segments
            open_segments = set()
            assert all(number < event.next_segment_id for number in over)
    closed = {event.segment_id for event in client.of(Timeline) if event.event == "segment_closed"}
    assert open_segments <= closed, "every segment has a final or is closed"
    for event, following in pairwise(client.events):
        if isinstance(event, Final):
            assert isinstance(following, Timeline)
            assert following.event == "final_transcript"
        if isinstance(event, Clear):
            assert isinstance(following, Status)
