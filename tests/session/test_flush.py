"""The `flush` command ends the utterance, and is answered after its final."""

import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import Client, server_fixture
from trio_stt.protocol.events import Clear, Error, Final, Flushed


def flush(client: Client, flush_id: str) -> None:
    client.raw(f'{{"type": "flush", "id": {flush_id}}}')


def answers(client: Client) -> list[object]:
    """The finals and the answers to `flush`, in order."""
    return [
        event.text if isinstance(event, Final) else event.id
        for event in client.events
        if isinstance(event, Final | Flushed)
    ]


@virtual_time
async def test_flush_ends_the_utterance_at_the_last_sample_and_is_answered_after_its_final() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        client = await server.streaming_client()
        client.say(1111, 1.03)
        flush(client, '"a"')
        client.say(2222, 1.0)
        client.command("stop")
        await client.until(Final, 2)
        await client.settled()
        assert answers(client) == ["1111.", "a", "2222."]
        assert client.of(Final)[1].segment_id == 2


@virtual_time
async def test_flush_without_speech_is_answered_at_once_or_after_waiting_finals() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.connect()
        flush(client, "1")
        client.command("start")
        flush(client, "2")
        client.say(1111, 1.0)
        client.pause(0.8)
        flush(client, "3")
        flush(client, "null")
        await client.until(Flushed, 4)
        assert answers(client) == [1, 2, "1111.", 3, None]


@virtual_time
async def test_flush_transcribes_a_word_too_short_to_start_an_utterance() -> None:
    async with server_fixture(silero_sensitivity=0.0) as server:  # nothing exceeds a probability of 1
        client = await server.streaming_client()
        client.say(1111, 0.2)
        flush(client, '"a"')
        await client.until(Flushed)
        assert answers(client) == ["1111.", "a"]


@virtual_time
async def test_clear_answers_pending_flushes() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)
        flush(client, '"a"')
        await trio.sleep(1)
        client.command("clear")
        await client.until(Clear)
        await trio.sleep(20)
        assert answers(client) == ["a"]


@virtual_time
async def test_flush_with_an_invalid_id_is_refused_and_ends_nothing() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        client.say(1111, 0.5)
        for unfit in ("true", "1.5", "[1]", '"' + "x" * 257 + '"'):
            flush(client, unfit)
        client.say(1111, 0.5)
        client.command("stop")
        await client.until(Final)
        assert [error.where for error in client.of(Error)] == ["command"] * 4
        assert all("flush id" in error.message and "256" in error.message for error in client.of(Error))
        assert answers(client) == ["1111."]
