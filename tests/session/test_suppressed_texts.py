"""Hallucinations are not published: repetitions, punctuation alone, and text for audio without speech."""

import pytest
from msgspec import UNSET
from msgspec.structs import asdict

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, ServerFixture, levels, server_fixture
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.events import Final, Realtime, Timeline

LOOP = "thank you. " * 30


def always(text: str) -> object:
    return lambda batch: [Transcript(text=text) for _ in batch]


async def after_speech(server: ServerFixture, seconds: float = 1.0) -> Client:
    """A client that spoke in real time, and whose utterance has ended."""
    client = await server.streaming_client()
    await talk(client, 1111, seconds)
    client.pause(PAUSE_S)
    await client.settled()
    return client


def close_reasons(client: Client) -> list[object]:
    """Why segments were closed without a text."""
    return [event.reason for event in client.of(Timeline) if event.event == "segment_closed"]


@virtual_time
async def test_repetition_is_neither_published_as_partial_nor_as_final_and_is_counted() -> None:
    async with server_fixture(answer=always(LOOP)) as server:
        client = await after_speech(server)
        report = client.session.report()
        assert client.of(Final) == []
        assert client.of(Realtime) == []
        assert close_reasons(client) == ["repetition"]
        assert report.suppressed_texts == report.realtime_completed + 1 > 2


@virtual_time
@pytest.mark.parametrize(("seconds", "events"), [(0.128, ["no_speech"]), (0.16, ["You."])])
async def test_phrase_invented_for_noise_is_published_only_for_what_is_surely_speech(
    seconds: float, events: list[str]
) -> None:
    async with server_fixture(answer=always("you")) as server:
        client = await server.streaming_client()
        client.say(1111, seconds)
        client.pause(PAUSE_S)
        await client.settled()
        assert [*close_reasons(client), *(final.text for final in client.of(Final))] == events


@virtual_time
async def test_punctuation_alone_is_an_empty_final() -> None:
    async with server_fixture(answer=always(" ,,")) as server:
        client = await after_speech(server)
        assert client.of(Final) == []
        assert client.of(Realtime) == []
        assert close_reasons(client) == ["empty"]
        assert client.session.report().suppressed_texts == 1


@virtual_time
@pytest.mark.parametrize(("at_the_end", "reason"), [(" ,,", "empty"), (LOOP, "repetition")])
async def test_text_shown_of_a_segment_without_words_is_withdrawn_before_it_is_closed(
    at_the_end: str, reason: str
) -> None:
    def answer(batch: Batch) -> object:
        return [Transcript(text="shown words" if clip[-1] else at_the_end) for clip in batch]

    async with server_fixture(answer=answer, realtime_callback="stabilized") as server:
        client = await after_speech(server, 2.0)
        *shown, last = client.of(Realtime)
        assert shown[-1].stable_text == "shown words"
        assert {partial.retracted for partial in shown} == {UNSET}
        assert last.retracted is True
        texts = {name: value for name, value in asdict(last).items() if "text" in name or "delta" in name}
        assert len(texts) == 13
        assert set(texts.values()) == {""}
        assert (last.segment_id, last.sequence) == (1, shown[-1].sequence + 1)
        assert client.of(Final) == []
        assert close_reasons(client) == [reason]
        names = client.event_names[client.events.index(last) :]
        assert names[:3] == ["realtime", "timeline realtime_transcript", "timeline segment_closed"]


@virtual_time
async def test_text_shown_of_a_failed_segment_is_kept() -> None:
    def answer(batch: Batch) -> object:
        if not batch[0][-1]:
            raise RuntimeError("out of memory")
        return [Transcript(text="shown words") for _ in batch]

    async with server_fixture(answer=answer) as server:
        client = await after_speech(server)
        assert close_reasons(client) == ["failed"]
        assert client.of(Realtime)[-1].display_text == "shown words"


@virtual_time
async def test_repetition_does_not_reach_the_stabilizer() -> None:
    calls = 0

    def answer(batch: Batch) -> object:
        nonlocal calls
        calls += 1
        return [Transcript(text=LOOP if calls % 2 else "thank")] if calls < 40 else levels(batch)

    async with server_fixture(answer=answer) as server:
        client = await after_speech(server, 2.4)
        assert {partial.raw_text for partial in client.of(Realtime)} == {"thank", "1111"}


@virtual_time
async def test_click_is_not_transcribed_and_its_segment_is_closed() -> None:
    clip_sizes: list[int] = []

    def answer(batch: Batch) -> object:
        clip_sizes.extend(clip.size for clip in batch)
        return levels(batch)

    async with server_fixture(answer=answer) as server:
        client = await server.streaming_client()
        client.pause(1.024)
        client.say(1111, 0.064)  # two windows
        client.pause(PAUSE_S)
        await client.settled()
        assert clip_sizes == []
        assert close_reasons(client) == ["no_speech"]
        assert client.session.report().suppressed_texts == 1
        client.pause(1.0)
        client.say(2222, 0.2)
        client.pause(PAUSE_S)
        await client.until(Final)
        assert client.finals == [(2, "2222.")]


@virtual_time
async def test_closed_segment_keeps_its_place_between_a_final_and_a_flush() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.024)
        client.pause(PAUSE_S)
        client.pause(0.224)
        client.say(2222, 0.064)
        client.pause(PAUSE_S)
        client.raw('{"type": "flush", "id": 1}')
        await client.settled()
        ends = ("final", "timeline segment_closed", "flushed")
        assert [name for name in client.event_names if name in ends] == list(ends)


@virtual_time
@pytest.mark.parametrize(
    ("keep_sound_tags", "text", "finals"),
    [(False, "[Music]", []), (True, "[Music]", ["[Music]"]), (False, "Well (applause) done", ["Well done."])],
)
async def test_sound_tags_are_removed_unless_they_are_kept(
    text: str, finals: list[str], *, keep_sound_tags: bool
) -> None:
    async with server_fixture(answer=always(text), keep_sound_tags=keep_sound_tags) as server:
        client = await after_speech(server)
        assert [event.text for event in client.of(Final)] == finals
        assert all(("[" in event.text) is keep_sound_tags for event in client.of(Realtime))
        assert close_reasons(client) == ([] if finals else ["empty"])
