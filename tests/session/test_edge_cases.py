"""Edge cases: a cut in the last partial window, shed audio, idle timeout within an utterance, too many flushes."""

import numpy as np
import pytest
import trio
from msgspec import UNSET
from msgspec.structs import replace

from tests.lanes.fakes import virtual_time
from tests.support.conversation import WAKE, LevelWakeWords, server_fixture
from trio_stt.protocol.event_objects import WakeWord
from trio_stt.protocol.events import Error, Final, Flushed, Status, Timeline, WarningEvent
from trio_stt.session.inbox import Audio, Gap, Inbox

PAUSE_S = 0.8
WAKE_TIMES = ("wait_started_at", "wait_ended_at", "detected_at", "timeout_at")


@virtual_time
@pytest.mark.parametrize("end", ['{"type": "stop"}', '{"type": "flush", "id": 1}'])
async def test_utterance_is_cut_at_its_maximum_length_within_the_last_partial_window(end: str) -> None:
    async with server_fixture(max_audio_queue_seconds_per_session=1.0, pre_recording_buffer_duration=0.0) as server:
        client = await server.streaming_client(partials=False)
        client.pause(0.32)
        client.say(2000, (31 * 512 + 200) / 16_000)
        client.raw(end)
        await client.until(Final)
        await client.settled()
        assert client.of(Error) == []
        assert {text for _, text in client.finals} == {"2000."}


@virtual_time
async def test_idle_timeout_within_an_utterance_delivers_its_final_first() -> None:
    async with server_fixture(idle_timeout_s=3.0, stream_stall_timeout_s=0.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await trio.sleep(10)
        assert client.finals == [(1, "1111.")]
        assert server.server_state.registry.active_sessions == 0


@virtual_time
async def test_shed_audio_ends_the_utterance() -> None:
    inbox = Inbox(2)
    for level in range(5):
        await inbox.put_audio(Audio(np.full(512, level, np.int16), 16_000))
    assert await inbox.get() is Gap.GAP
    item = await inbox.get()
    assert isinstance(item, Audio)
    assert item.samples[0] == 3


@virtual_time
async def test_wake_word_wait_has_the_time_of_start() -> None:
    words = {"wakeword_backend": "openwakeword", "wake_words": "computer"}
    async with server_fixture(wake=LevelWakeWords(), **words) as server:
        client = await server.connect()
        client.session._utterances._received_at_s -= 100.0  # as after a long connection
        client.command("start")
        status = await client.until(Status)
        (waiting,) = client.of(Timeline)
        assert abs(waiting.timestamp - status.timestamp) < 1.0


@virtual_time
@pytest.mark.parametrize(
    "changes",
    [
        {"wake_word_activation_delay": 2.0},  # which restarts after the utterance
        {"wake_word_followup_window": 2.0},
        {"max_audio_queue_seconds_per_session": 1.0},  # the second utterance is the rest of the first
    ],
    ids=lambda changes: str(*changes),
)
@pytest.mark.parametrize("restart", ["", "clear", "stop"])
async def test_utterance_without_a_wake_word_carries_no_earlier_detection(
    changes: dict[str, float], restart: str
) -> None:
    words = {"wakeword_backend": "openwakeword", "wake_words": "computer"}
    async with server_fixture(wake=LevelWakeWords(), **words, **changes) as server:
        client = await server.streaming_client(partials=False)
        client.pause(2.1)
        client.say(WAKE, 0.032)
        if restart:  # while the word waits for speech
            client.command(restart)
            client.command("start")
            client.pause(0.5)
            if "wake_word_activation_delay" not in changes:
                client.say(WAKE, 0.032)
        client.say(1111, 1.0)
        client.pause(0.0 if "max_audio_queue_seconds_per_session" in changes else PAUSE_S)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final, 2)
        first, second = (final.wake_word for final in client.of(Final)[:2])
        assert isinstance(first, WakeWord)
        assert isinstance(second, WakeWord)
        needed_none = restart and "wake_word_activation_delay" in changes
        assert isinstance(first.word, str) is isinstance(first.detected_at, float) is (not needed_none)
        times = [f"{name}{suffix}" for name in WAKE_TIMES for suffix in ("", "_iso")]
        assert second == replace(first, **dict.fromkeys(["word", *times], UNSET))
        client.pause(3.0)
        await client.settled()
        for entry in client.of(Timeline):
            if entry.event == "wakeword_timeout":  # of the delay: no detection came before it
                assert isinstance(entry.wake_word, WakeWord)
                assert entry.wake_word.word is UNSET
                assert entry.wake_word.wait_started_at is UNSET


@virtual_time
async def test_detection_time_is_in_the_detection_and_in_its_segment_only() -> None:
    words = {"wakeword_backend": "openwakeword", "wake_words": "computer", "wake_word_timeout": 1.0}
    async with server_fixture(wake=LevelWakeWords(), **words) as server:
        client = await server.streaming_client(partials=False)
        for level in (0, 1111):  # the first word times out
            client.say(WAKE, 0.032)
            client.say(level, 1.2)
        client.pause(PAUSE_S)
        final = await client.until(Final)
        carried = {
            entry.event: isinstance(entry.wake_word.detected_at, float)
            for entry in client.of(Timeline)
            if isinstance(entry.wake_word, WakeWord)
        }
        assert carried == {
            "wakeword_wait_started": False,
            "wakeword_detected": True,
            "wakeword_wait_ended": False,
            "wakeword_timeout": False,
        }
        assert isinstance(final.wake_word, WakeWord)
        assert isinstance(final.wake_word.detected_at, float)


@virtual_time
async def test_too_many_open_flushes_are_refused_and_the_others_answered() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        for number in range(600):
            client.raw(f'{{"type": "flush", "id": {number}}}')
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111.")]
        assert [answer.id for answer in client.of(Flushed)] == list(range(64))
        refused = client.of(Error)
        assert len(refused) == 600 - 64
        assert {(error.where, "64 flush" in error.message) for error in refused} == {("command", True)}
        client.raw('{"type": "flush", "id": "again"}')
        await client.until(Flushed, 65)
        assert client.of(WarningEvent) == []


@virtual_time
async def test_stalled_rejected_utterance_ends_without_a_trace() -> None:
    async with server_fixture(max_active_speakers=1, stream_stall_timeout_s=2.0) as server:
        first, second = await server.connect(partials=False), await server.connect(partials=False)
        for client in (first, second):
            client.command("start")
        first.say(1111, 1.0)
        await first.settled()
        second.say(2222, 1.0)
        await second.settled()
        first.command("stop")
        await trio.sleep(5)
        second.say(3333, 1.0)
        second.pause(PAUSE_S)
        await second.until(Final)
        assert [text for _, text in second.finals] == ["3333."]
        assert ["speaker limit" in notice.message for notice in second.of(WarningEvent)] == [True]


@virtual_time
async def test_finals_beyond_the_lane_limit_wait_and_are_announced_once() -> None:
    async with server_fixture(inference_s=lambda _: 60.0, max_final_queue_depth_per_session=2) as server:
        client = await server.streaming_client(partials=False)
        for level in (2001, 2002, 2003):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        await trio.sleep(1)
        assert server.server_state.metrics().scheduler.queues["main"].queued == 2
        assert client.of(WarningEvent) == []
        for level in (2004, 2005):
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Final, 5)
        assert [text for _, text in client.finals] == [f"{level}." for level in range(2001, 2006)]
        assert ["backlog" in notice.message for notice in client.of(WarningEvent)] == [True]
        assert client.session.report().final_rejected == 2


@virtual_time
async def test_flush_does_not_cut_into_a_wake_word() -> None:
    words = {"wakeword_backend": "openwakeword", "wake_words": "computer"}
    async with server_fixture(wake=LevelWakeWords(), **words) as server:
        client = await server.streaming_client(partials=False)
        for number in range(20):
            client.pause(0.01)
            client.raw(f'{{"type": "flush", "id": {number}}}')
        client.say(WAKE, 0.064)
        client.say(1111, 1.0)
        client.command("stop")
        await client.until(Final)
        assert len(client.of(Flushed)) == 20
        assert client.of(Final)[0].text.endswith("1111.")
        segment = client.of(Final)[0].segment
        assert segment.audio_end_seconds == pytest.approx(0.2 + 0.064 + 1.0, abs=0.001)  # type: ignore[union-attr] # set


@virtual_time
async def test_clear_publishes_the_waiting_state_once() -> None:
    words = {"wakeword_backend": "openwakeword", "wake_words": "computer"}
    async with server_fixture(wake=LevelWakeWords(), **words) as server:
        client = await server.connect()
        for command in ("start", "clear"):
            client.command(command)
        await client.settled()
        cleared = client.event_names.index("clear")
        assert client.event_names[cleared + 1 :] == ["timeline wakeword_wait_started", "status wakeword_wait"]
