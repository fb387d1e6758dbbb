"""Live channels of a Deepgram client, each with a session of its own, on virtual time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio

from tests.api.deepgram.test_translator import METADATA
from tests.lanes.fakes import virtual_time
from tests.support.conversation import ServerFixture, server_fixture
from tests.support.realtime import RealtimeClient
from trio_stt.api.deepgram.multichannel import channel_decoder, serve_channels
from trio_stt.api.deepgram.options import parse_options
from trio_stt.api.deepgram.route import live_settings
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import Close, Wire, serve_dialect

FINALIZE, CLOSE = '{"type":"Finalize"}', '{"type":"CloseStream"}'


@asynccontextmanager
async def channels(number: int = 2, encoding: str = "linear16") -> AsyncIterator[tuple[ServerFixture, RealtimeClient]]:
    """A client with this many channels at 16 kHz."""
    query = {"encoding": encoding, "sample_rate": "16000", "channels": str(number), "multichannel": "true"}
    options, client = parse_options({name: [value] for name, value in query.items()}), RealtimeClient()
    async with server_fixture() as server, trio.open_nursery() as nursery:
        state = server.server_state
        session_ids = state.reserve_several("deepgram", number)
        translators = [
            ListenTranslator(
                options,
                settings=live_settings(state.settings, options),
                decoder=channel_decoder(options),
                metadata=METADATA,
                created="",
                channel=channel,
            )
            for channel in range(number)
        ]

        async def serve_one(wire: Wire, channel: int) -> Close | None:
            return await serve_dialect(
                state, wire, translators[channel], session_id=session_ids[channel], shows_causes=False
            )

        async def serve() -> None:
            client.close = await serve_channels(client, translators, options, serve_one)
            client.over = True

        nursery.start_soon(serve)  # noqa: ASYNC113 - what it does first is awaited below
        await trio.testing.wait_all_tasks_blocked()
        yield server, client
        client.leave()
        await client.settled()
        assert client.over
        assert not state.registry.active_sessions


def interleaved(*levels: float, seconds: float = 1.0, dtype: str = "<i2") -> bytes:
    return np.tile(np.array(levels, dtype), round(16_000 * seconds)).tobytes()


def texts(client: RealtimeClient) -> list[tuple[int, str]]:
    """The finals with words, each with its channel."""
    finals = [each for each in client.of("Results") if each["is_final"]]
    spoken = [(each["channel_index"][0], each["channel"]["alternatives"][0]["transcript"]) for each in finals]
    return sorted(each for each in spoken if each[1])


@virtual_time
@pytest.mark.parametrize("frame_bytes", [1_000_003, 6400, 7])
async def test_each_channel_has_its_words_in_frames_of_any_size(frame_bytes: int) -> None:
    async with channels(3) as (_, client):
        data = interleaved(1111, 0, 3333, seconds=0.4)
        for start in range(0, len(data), frame_bytes):
            client.raw(data[start : start + frame_bytes])
        client.raw(CLOSE)
        await client.until("Metadata")
        assert [channel for channel, _ in texts(client)] == [0, 2]
        assert client.events[-1] == client.of("Metadata")[0]
        assert (client.events[-1]["channels"], client.events[-1]["duration"]) == (3, pytest.approx(0.4, abs=0.001))
        await client.settled()
        assert client.close == Close(drains=True)


@virtual_time
async def test_floats_and_answers_to_messages() -> None:
    async with channels(encoding="linear32") as (_, client):
        client.raw(interleaved(0.1, 0.2, dtype="<f4"))
        client.raw(FINALIZE)
        await client.settled()
        assert [channel for channel, _ in texts(client)] == [0, 1]
        finalized = [each["channel_index"] for each in client.of("Results") if each["from_finalize"]]
        assert sorted(finalized) == [[0, 2], [1, 2]]
        client.raw('{"type":"Configure","keyterms":["Trio"]}')
        client.raw("nonsense")
        client.raw(json.dumps({"type": "KeepAlive"}).encode())
        await client.settled()
        assert [len(client.of(kind)) for kind in ("ConfigureSuccess", "Error", "Metadata")] == [1, 1, 0]


@virtual_time
async def test_client_that_leaves_ends_all_channels() -> None:
    for frames in ([], [b"\0"], [interleaved(1111, 2222)], [interleaved(1111, 2222), CLOSE], [CLOSE, CLOSE]):
        async with channels() as (_, client):
            for frame in frames:
                client.raw(frame)
            client.leave()


@virtual_time
async def test_channel_that_is_closed_ends_the_others() -> None:
    async with channels() as (server, client):
        client.raw(interleaved(1111, 2222))
        await client.settled()
        first = next(iter(server.server_state.registry.sessions.values()))
        with trio.fail_after(60):
            await first.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert client.over
        assert client.close is not None
        assert client.close.code == 1001
