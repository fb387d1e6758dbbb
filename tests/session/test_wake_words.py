"""Sessions with wake words, on virtual time: the events of every cycle, and ignored audio."""

import msgspec
import pytest
import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import WAKE, Client, LevelWakeWords, server_fixture
from trio_stt.protocol.event_objects import WakeWord
from trio_stt.protocol.events import Clear, Final, Status, Timeline

PAUSE_S = 0.8
WORDS = {"wakeword_backend": "openwakeword", "wake_words": "computer"}


def say_wake_word(client: Client) -> None:
    client.say(WAKE, 0.032)


def names_without_partials(client: Client) -> list[str]:
    """The names of all events except partials, `hello` and `ready`."""
    ignored = ("realtime", "timeline realtime_transcript", "hello", "ready")
    return [name for name in client.event_names if name not in ignored]


@pytest.mark.contract("4.10", "2.5")
@virtual_time
async def test_events_of_one_wake_word_cycle_are_in_protocol_order() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS) as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)  # ignored: without the wake word no utterance starts
        client.pause(0.504)  # whole windows up to here
        say_wake_word(client)
        client.pause(0.5)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert names_without_partials(client) == [
            "timeline wakeword_wait_started",
            "status wakeword_wait",
            "timeline wakeword_detected",
            "status wakeword_detected",
            "timeline wakeword_wait_ended",
            "status voice",
            "timeline recording_started",
            "status recording",
            "status silence",
            "timeline recording_ended",
            "status wakeword_wait",
            "timeline wakeword_wait_started",
            "status wakeword_wait",
            "timeline transcription_started",
            "status transcribing",
            "final",
            "timeline final_transcript",
            "status wakeword_wait",
        ]
        assert client.finals == [(1, "2222.")]


@pytest.mark.contract("4.10")
@virtual_time
async def test_no_partials_or_finals_while_waiting_for_a_wake_word() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS) as server:
        client = await server.streaming_client()
        client.say(1111, 5.0)
        client.pause(PAUSE_S)
        client.command("stop")
        await client.settled()
        report = client.session.report()
        assert (report.realtime_submitted, report.final_submitted) == (0, 0)
        assert report.wake_word_enabled
        assert client.states[-1] == "idle"


@pytest.mark.contract("4.10", "2.5")
@virtual_time
async def test_follow_up_needs_no_wake_word_and_its_end_is_published() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS, wake_word_followup_window=3.0) as server:
        client = await server.streaming_client()
        say_wake_word(client)
        client.say(2222, 1.0)
        client.pause(1.5)
        client.say(3333, 1.0)
        client.pause(5.0)
        client.say(4444, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final, 2)
        await client.settled()
        assert [text for _, text in client.finals] == ["2222.", "3333."]
        followups = [event for event in client.of(Timeline) if "followup" in event.event]
        assert [event.event for event in followups] == [
            "wakeword_followup_started",
            "wakeword_followup_started",
            "wakeword_followup_timeout",
        ]
        assert [event.duration_seconds for event in followups] == [3.0, 3.0, msgspec.UNSET]
        expired = client.event_names.index("timeline wakeword_followup_timeout")
        assert client.event_names[expired + 1 : expired + 3] == [
            "timeline wakeword_wait_started",
            "status wakeword_wait",
        ]


@pytest.mark.contract("4.10")
@virtual_time
async def test_activation_delay_needs_no_wake_word_and_ends_with_a_timeout() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS, wake_word_activation_delay=2.0) as server:
        client = await server.streaming_client()
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        assert client.states[0] == "listening"
        client.pause(2.0)
        client.say(3333, 1.0)
        client.pause(PAUSE_S)
        await client.settled()
        assert client.finals == [(1, "2222.")]
        timeout = client.event_names.index("timeline wakeword_timeout")
        assert client.event_names[timeout + 1 : timeout + 4] == [
            "status wakeword_timeout",
            "timeline wakeword_wait_started",
            "status wakeword_wait",
        ]


@pytest.mark.contract("2.7", "2.5")
@virtual_time
async def test_wake_word_times_are_in_timeline_segment_and_status() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS) as server:
        client = await server.streaming_client()
        client.pause(1.0)
        say_wake_word(client)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        final = await client.until(Final)
        facts = {event.event: event.wake_word for event in client.of(Timeline) if "wakeword" in event.event}
        states = {name: wake_word.state for name, wake_word in facts.items() if isinstance(wake_word, WakeWord)}
        assert states == {
            "wakeword_wait_started": "waiting_for_wake_word",
            "wakeword_detected": "wake_word_detected_waiting_for_voice",
            "wakeword_wait_ended": "wake_word_wait_ended",
        }
        of_segment = final.wake_word
        assert isinstance(of_segment, WakeWord)
        assert (of_segment.state, of_segment.word, of_segment.enabled) == ("recording", "computer", True)
        assert (of_segment.backend, of_segment.wake_words) == ("openwakeword", "computer")
        assert isinstance(of_segment.detected_at, float)
        assert isinstance(of_segment.wait_started_at, float)
        assert of_segment.wait_started_at < of_segment.detected_at
        for status in client.of(Status):
            assert status.wake_word_enabled
            about = status.state.startswith("wakeword")
            assert status.wake_word.state == (status.state if about else None)


@pytest.mark.contract("4.9", "4.10")
@virtual_time
async def test_clear_restarts_the_wake_word_wait_and_stop_ends_it() -> None:
    async with server_fixture(wake=LevelWakeWords(), **WORDS) as server:
        client = await server.streaming_client()
        say_wake_word(client)
        client.say(2222, 0.5)
        client.command("clear")
        client.say(3333, 1.0)
        client.pause(PAUSE_S)
        await client.until(Clear)
        await client.settled()
        assert client.finals == []
        after = client.event_names[client.event_names.index("clear") + 1 :]
        assert after[:2] in (["timeline wakeword_wait_started", "status wakeword_wait"], ["status wakeword_wait"])
        client.command("stop")
        client.command("start")
        await client.settled()
        assert client.states[-1] == "wakeword_wait"


@pytest.mark.contract("4.12", "4.10")
@virtual_time
async def test_rejected_utterance_opens_no_follow_up() -> None:
    async with server_fixture(
        wake=LevelWakeWords(), **WORDS, wake_word_followup_window=3.0, max_active_speakers=1
    ) as server:
        first, second = await server.connect(), await server.connect()
        first.command("start")
        say_wake_word(first)
        first.say(1111, 1.0)
        await trio.sleep(1)
        second.command("start")
        say_wake_word(second)
        second.say(2222, 1.0)
        second.pause(PAUSE_S)
        await second.settled()
        assert "timeline wakeword_followup_started" not in second.event_names
        assert "timeline recording_started" not in second.event_names
        assert second.states[-1] == "wakeword_wait"
