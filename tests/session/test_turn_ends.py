"""Adaptive end of turn: early finals, resumed turns and late answers, on virtual time."""

import math
from itertools import pairwise

import numpy as np
import pytest
import trio

from tests.contract.fixtures import talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, ServerFixture, levels, server_fixture
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.event_objects import State
from trio_stt.protocol.events import Final, Realtime, Status, TurnResumed
from trio_stt.session.session import Session

contract = pytest.mark.contract
ADAPTIVE = {"endpointing": "adaptive", "realtime_processing_pause": 0.2}


def sentences(batch: Batch) -> list[Transcript]:
    """The levels of each clip, as a sentence."""
    return [Transcript(text=f"We heard {each.text}.") for each in levels(batch)]


def beginnings(batch: Batch) -> list[Transcript]:
    return [Transcript(text=f"{each.text} and the") for each in sentences(batch)]


async def started(server: ServerFixture) -> Client:
    client = await server.streaming_client()
    await talk(client, 1111, 1.2)
    return client


@virtual_time
async def test_final_of_a_finished_sentence_comes_before_the_silence_is_over() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.36)
        assert client.finals == [(1, "We heard 1111.")]
        final = client.of(Final)[0]
        assert final.segment is not None
        names = client.event_names
        assert names.index("timeline recording_ended") < names.index("timeline transcription_started")
        assert names[-1] == "status listening"
        await talk(client, 0, 1.0)
        await client.settled()
        assert len(client.of(Final)) == 1
        assert not client.of(TurnResumed)
        assert client.session.report().final_submitted == 1, "the final is the clip of the question"
        assert server.server_state.active_speakers == 0


@virtual_time
async def test_speech_that_goes_on_resumes_its_segment_and_replaces_the_final() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.44)
        await talk(client, 2222, 0.8)
        await talk(client, 0, 1.0)
        await client.settled()
        assert client.finals == [(1, "We heard 1111."), (1, "We heard 1111 2222.")]
        (resumed,) = client.of(TurnResumed)
        assert resumed.segment_id == 1
        between = client.events[client.events.index(resumed) :]
        assert next(event.state for event in between if isinstance(event, Status)) is State.RECORDING
        assert {event.segment_id for event in between if isinstance(event, Realtime)} == {1}
        assert client.event_names.count("timeline recording_started") == 1
        assert client.event_names.count("timeline recording_ended") == 2
        assert server.server_state.active_speakers == 0


@virtual_time
async def test_speech_after_the_silence_is_a_new_segment() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.64)
        await talk(client, 2222, 0.8)
        await talk(client, 0, 1.0)
        await client.settled()
        assert client.finals == [(1, "We heard 1111."), (2, "We heard 2222.")]
        assert not client.of(TurnResumed)


@virtual_time
async def test_click_after_an_early_final_resumes_nothing() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.4)
        await talk(client, 2222, 0.04)
        await talk(client, 0, 1.0)
        await client.settled()
        assert client.finals == [(1, "We heard 1111.")]
        assert not client.of(TurnResumed)


@virtual_time
async def test_unfinished_sentence_waits_longer() -> None:
    async with server_fixture(answer=beginnings, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.92)
        await talk(client, 2222, 0.8)
        assert client.finals == []
        await talk(client, 0, 1.4)
        await client.settled()
        assert client.finals == [(1, "We heard 1111 2222. and the.")]


@virtual_time
async def test_fixed_endpointing_asks_nothing() -> None:
    async with server_fixture(answer=sentences) as server:
        client = await started(server)
        await talk(client, 0, 0.44)
        await talk(client, 2222, 0.8)
        await talk(client, 0, 1.0)
        await client.settled()
        assert client.finals == [(1, "We heard 1111 2222.")]


@virtual_time
async def test_start_chooses_the_endpointing_of_a_session() -> None:
    async with server_fixture(answer=sentences) as server:
        client = await server.connect()
        for field in ('"adaptive"', '"fixed"', '"adaptive"', "null"):
            client.raw(f'{{"type": "start", "endpointing": {field}}}')
            await talk(client, 1111, 0.8)
            await talk(client, 0, 0.4)
            early = len(client.of(Final))
            await talk(client, 0, 0.8)
            assert (len(client.of(Final)) == early) is ("adaptive" in field)


@virtual_time
@pytest.mark.parametrize("command", ["stop", "flush"])
async def test_end_by_command_adds_nothing_to_an_early_final(command: str) -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.4)
        client.command(command)
        await client.settled()
        assert client.finals == [(1, "We heard 1111.")]


@virtual_time
async def test_clear_forgets_a_turn_that_might_have_resumed() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.4)
        client.command("clear")
        await talk(client, 2222, 0.8)
        await talk(client, 0, 1.0)
        await client.settled()
        assert client.finals[1:] == [(2, "We heard 2222.")]
        assert not client.of(TurnResumed)


@virtual_time
async def test_failed_final_of_a_resumed_turn_leaves_the_text_of_the_early_one() -> None:
    def answer(batch: Batch) -> object:
        if any(np.any(np.isclose(clip, 2222 / 32768)) and not np.any(clip[-1000:]) for clip in batch):
            raise ValueError("broken")
        return sentences(batch)

    async with server_fixture(answer=answer, **ADAPTIVE) as server:
        client = await started(server)
        await talk(client, 0, 0.4)
        await talk(client, 2222, 0.8)
        await talk(client, 0, 3.0)
        await client.settled()
        assert client.finals == [(1, "We heard 1111."), (1, "We heard 1111.")]
        assert "timeline segment_closed" not in client.event_names


@virtual_time
async def test_late_answer_delays_a_live_session_by_half_a_second_at_most() -> None:
    async with server_fixture(answer=beginnings, inference_s=lambda _: 5.0, **ADAPTIVE) as server:
        client = await started(server)
        begun_s = trio.current_time()
        await talk(client, 0, 1.6)
        assert "timeline recording_ended" in client.event_names, "as after the fixed silence"
        await client.until(Final)
        assert trio.current_time() - begun_s < 30


async def sent_at_once(server: ServerFixture, clips: list[tuple[int, float]], *, live: bool) -> list[tuple[int, str]]:
    """The finals of a client that sends all of its audio at once, and stops."""
    state = server.server_state
    session_id = state.reserve()
    client = Client(Session(session_id=session_id, host=state, partials=False, live=live))
    state.start(client.session)
    server.nursery.start_soon(client.session.serve_connection, client)
    client.command("start")
    for level, seconds in clips:
        client.say(level, seconds)
    client.command("stop")
    await client.settled()
    return client.finals


@virtual_time
@pytest.mark.parametrize("inference_s", [0.0, 0.3, 4.0])
async def test_finals_of_a_file_depend_on_no_clock(inference_s: float) -> None:
    def answer(batch: Batch) -> list[Transcript]:
        return [Transcript(text=f"{each.text} and") for each in levels(batch)]

    async with server_fixture(answer=answer, inference_s=lambda _: inference_s, **ADAPTIVE) as server:
        clips = [(1111, 1.0), (0, 0.9), (2222, 1.0), (0, 1.3), (3333, 1.0)]
        finals = await sent_at_once(server, clips, live=False)
    assert finals == [(1, "1111 2222 and."), (2, "3333 and.")]


@virtual_time
async def test_file_has_one_final_per_segment() -> None:
    async with server_fixture(answer=sentences, **ADAPTIVE) as server:
        finals = await sent_at_once(server, [(1111, 1.0), (0, 0.45), (2222, 1.0), (0, 0.7), (3333, 1.0)], live=False)
    assert finals == [(1, "We heard 1111 2222."), (2, "We heard 3333.")]


@virtual_time
async def test_audio_of_a_refused_utterance_waits_for_no_answer() -> None:
    async with server_fixture(answer=sentences, max_active_speakers=1, **ADAPTIVE) as server:
        first, second = await started(server), await server.connect()
        second.command("start")
        await talk(second, 2222, 0.8)
        await talk(second, 0, 1.0)
        assert second.finals == []
        await talk(first, 0, 1.0)
        await talk(second, 2222, 0.8)
        await talk(second, 0, 1.0)
        await second.settled()
        assert len(second.finals) == 1


@virtual_time
async def test_finals_keep_their_order_while_earlier_ones_wait() -> None:
    async with server_fixture(answer=sentences, inference_s=lambda _: 0.9, **ADAPTIVE) as server:
        client = await server.streaming_client(partials=False)
        for level in (1111, 2222, 3333):
            await talk(client, level, 0.6)
            await talk(client, 0, 0.7)
        await client.settled()
        assert [segment for segment, _ in client.finals] == [1, 2, 3]
        numbers = [event.seq for event in client.events if isinstance(event.seq, int)]
        assert all(math.isclose(later, earlier + 1) for earlier, later in pairwise(numbers))
