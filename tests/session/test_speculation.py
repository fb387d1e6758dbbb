"""The speculative final of a silence is shown as a partial, on virtual time."""

import numpy as np
import pytest
import trio

from tests.contract.fixtures import PAUSE_S, RecordingAnswer, talk
from tests.lanes.fakes import FakeEngine, virtual_time
from tests.support.conversation import Batch, Client, server_fixture
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.events import Clear, Event, Final, Realtime, Timeline

contract = pytest.mark.contract

SPECULATION_SILENCE_S = 0.4
"""Seconds of silence after which the speculative final has begun and the utterance has not ended."""


def is_final(batch: Batch) -> bool:
    """Whether a clip is that of a final: only those contain a confirmed silence."""
    return not np.any(batch[0][-SAMPLE_RATE_HZ // 4 :])


def slow_finals(batch: Batch) -> float:
    return 3.0 if is_final(batch) else 0.01


def shown(client: Client) -> list[str]:
    return [event.raw_text for event in client.of(Realtime)]


def recorded_partials(client: Client) -> list[tuple[float, str]]:
    """Time in seconds and text of each partial from now on, in a list that grows."""
    partials, begun_s = [], trio.current_time()

    def record(event: Event) -> None:
        if isinstance(event, Realtime):
            partials.append((round(trio.current_time() - begun_s, 3), event.raw_text))

    client.on_event = record
    return partials


async def speak_and_pause(client: Client) -> None:
    """Settings with 1 s between partials: one comes before the last word, and none after it."""
    client.command("start")
    await talk(client, 1111, 1.2)
    await talk(client, 2222, 0.4)
    await talk(client, 0, SPECULATION_SILENCE_S)


async def around_a_pause(
    pause_s: float, after_s: float, early_s: float, *, final_s: float, partial_s: float, **changes: object
) -> list[tuple[float, str]]:
    """The partials of a client that speaks two words, pauses and continues; speculation starts after `early_s`."""
    async with server_fixture(
        inference_s=lambda batch: final_s if is_final(batch) else partial_s,
        load_partials=lambda: FakeEngine(RecordingAnswer()),
        early_transcription_on_silence=early_s,
        **changes,
    ) as server:
        client = await server.connect()
        partials = recorded_partials(client)
        client.command("start")
        await talk(client, 1111, 1.2)
        await talk(client, 2222, 0.25)
        await talk(client, 0, pause_s)
        await talk(client, 3333, after_s)
        return partials


@contract("4.6", "5.4", "2.8")
@virtual_time
async def test_speculative_final_is_shown_as_partial_and_becomes_the_final() -> None:
    answer = RecordingAnswer()
    async with server_fixture(answer=answer, realtime_processing_pause=1.0) as server:
        client = await server.connect()
        await speak_and_pause(client)
        assert shown(client) == ["1111", "1111 2222"]
        assert client.of(Realtime)[-1].stable_text == "1111 2222", "it needs no other evidence"
        assert client.session.report().recording
        partials = client.session.report().realtime_submitted
        assert len(answer.clips) == partials + 1
        await talk(client, 0, PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(1, "1111 2222.")]
        report = client.session.report()
        assert (report.final_submitted, report.final_completed) == (1, 1)
        assert (report.realtime_submitted, report.realtime_completed) == (partials, partials)
        assert len(answer.clips) == partials + 1
        last = max(i for i, event in enumerate(client.events) if isinstance(event, Realtime))
        following = client.events[last + 1]
        assert isinstance(following, Timeline)
        assert following.event == "realtime_transcript"
        assert last < client.event_names.index("timeline recording_ended")


@virtual_time
async def test_speculative_final_with_unchanged_text_is_not_shown() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        await talk(client, 1111, 2.0)
        await talk(client, 0, 0.2)
        before = len(client.of(Realtime))
        await talk(client, 0, PAUSE_S)
        await client.until(Final)
        assert len(client.of(Realtime)) == before > 0


@contract("4.6")
@virtual_time
@pytest.mark.parametrize("final_s", [0.15, 3.0])
async def test_voided_speculation_does_not_delay_the_next_partial(final_s: float) -> None:
    async def partials_with(early_s: float) -> list[tuple[float, str]]:
        return await around_a_pause(SPECULATION_SILENCE_S, 1.0, early_s, final_s=final_s, partial_s=0.2)

    partials = await partials_with(0.2)
    assert partials == await partials_with(0.0)
    assert "1111 2222" not in [text for _, text in partials]
    assert partials[-1][1] == "1111 2222 3333"


@contract("4.6", "2.8")
@virtual_time
async def test_late_speculative_final_does_not_delay_partials_of_the_next_utterance() -> None:
    async with server_fixture(inference_s=slow_finals, load_partials=lambda: FakeEngine(RecordingAnswer())) as server:
        client = await server.streaming_client()
        await talk(client, 1111, 1.0)
        await talk(client, 0, PAUSE_S)
        await talk(client, 2222, 0.8)
        assert shown(client)[-1] == "2222"
        assert client.finals == []
        await client.until(Final)
        ended = client.event_names.index("timeline recording_ended")
        later = [event for event in client.events[ended:] if isinstance(event, Realtime)]
        assert {event.recording_id for event in later} == {2}
        assert client.finals == [(1, "1111.")]


@contract("4.9", "2.8")
@virtual_time
async def test_clear_discards_the_speculative_final() -> None:
    async with server_fixture(
        inference_s=lambda batch: 0.1 if is_final(batch) else 0.01, realtime_processing_pause=1.0
    ) as server:
        client = await server.connect()
        await speak_and_pause(client)
        client.command("clear")
        await client.until(Clear)
        await trio.sleep(5.0)
        await client.settled()
        assert shown(client) == ["1111"]


@virtual_time
async def test_speculative_final_is_not_shown_without_partials() -> None:
    async with server_fixture() as server:
        client = await server.connect(partials=False)
        await speak_and_pause(client)
        assert client.session.report().final_submitted == 1
        assert shown(client) == []


@contract("4.6")
@virtual_time
async def test_speculative_final_is_shown_with_a_lane_of_its_own() -> None:
    def named(name: str) -> FakeEngine:
        return FakeEngine(lambda batch: [Transcript(text=f"words for {name}") for _ in batch])

    async with server_fixture(load=lambda: named("the best"), load_partials=lambda: named("the quick")) as server:
        client = await server.connect()
        await speak_and_pause(client)
        assert set(shown(client)[:-1]) == {"words for the quick"}
        assert shown(client)[-1] == "words for the best"
        await talk(client, 0, PAUSE_S)
        await client.until(Final)
        assert client.finals == [(1, "Words for the best.")]


@contract("1.7", "7.2")
@virtual_time
async def test_speculative_final_replaces_a_queued_partial() -> None:
    answer = RecordingAnswer()
    async with server_fixture(
        inference_s=lambda batch: 2.5 if batch[0].max() > 0.2 else 0.01,
        answer=answer,
        post_speech_silence_duration=10.0,
    ) as server:
        busy, client = await server.connect(partials=False), await server.connect()
        for each in (busy, client):
            each.command("start")
        busy.say(9999, 1.0)
        busy.command("stop")  # the engine is busy for 2.5 s
        await talk(client, 1111, 0.6)
        await talk(client, 0, 1.0)
        assert shown(client) == []
        await talk(client, 0, 1.5)
        assert [[level for level, _ in run if level] for run in answer.runs] == [[9999], [1111]]
        assert shown(client) == ["1111"]
        report = client.session.report()
        assert (report.final_submitted, report.realtime_completed) == (1, 0)
        assert report.coalesced_realtime == report.realtime_submitted > 0


@virtual_time
async def test_speculation_voided_while_queued_costs_no_partial() -> None:
    answer = RecordingAnswer()
    async with server_fixture(inference_s=lambda batch: 2.0 if batch[0].max() > 0.2 else 0.01, answer=answer) as server:
        busy, client = await server.connect(partials=False), await server.connect()
        for each in (busy, client):
            each.command("start")
        busy.say(9999, 1.0)
        busy.command("stop")  # the engine is busy for 2 s
        await talk(client, 1111, 0.6)
        await talk(client, 0, SPECULATION_SILENCE_S)
        await talk(client, 2222, 1.1)
        assert shown(client)[0] == "1111 2222"
        assert [[level for level, _ in run if level] for run in answer.runs][:2] == [[9999], [1111, 2222]]


@virtual_time
async def test_speculative_final_is_shown_during_the_pause_between_partials() -> None:
    async def partials_with(early_s: float) -> list[tuple[float, str]]:
        return await around_a_pause(0.6, 1.2, early_s, final_s=0.05, partial_s=0.4, post_speech_silence_duration=10.0)

    partials = await partials_with(0.2)
    speculative_s, _ = next(each for each in partials if each[1] == "1111 2222")
    assert speculative_s == pytest.approx(1.45 + 0.36 + 0.05, abs=0.064)
    others = [each for each in partials if each[1] != "1111 2222"]
    assert others == await partials_with(0.0)
    assert others[-1][1] == "1111 2222 3333"
