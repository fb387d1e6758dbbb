"""Frames in orders that real clients send: no word is lost, each `Finalize` has its answer, the session lives on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio

from tests.api.deepgram.test_translator import METADATA
from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from tests.support.realtime import RealtimeClient
from trio_stt.api.deepgram.audio import decoder_for
from trio_stt.api.deepgram.options import parse_options
from trio_stt.api.deepgram.route import listen_spec, live_settings
from trio_stt.api.deepgram.translator import ListenTranslator
from trio_stt.api.dialect import Frame, serve_dialect

FINALIZE, CLOSE, KEEP_ALIVE = (f'{{"type":"{kind}"}}' for kind in ("Finalize", "CloseStream", "KeepAlive"))


@asynccontextmanager
async def listen(**query: str) -> AsyncIterator[RealtimeClient]:
    """A client of linear16 at 16 kHz."""
    given = {"encoding": "linear16", "sample_rate": "16000"} | query
    options, client = parse_options({name: [value] for name, value in given.items()}), RealtimeClient()
    async with server_fixture() as server, trio.open_nursery() as nursery:
        state = server.server_state

        async def serve() -> None:
            client.close = await serve_dialect(
                state,
                client,
                ListenTranslator(
                    options,
                    settings=live_settings(state.settings, options),
                    decoder=decoder_for(options),
                    metadata=METADATA,
                    created="2026-08-21T12:00:00.000Z",
                ),
                session_id=state.reserve(),
                shows_causes=False,
                idle_close=listen_spec(state).idle_close,
            )
            client.over = True

        nursery.start_soon(serve)  # noqa: ASYNC113 - what it does first is awaited below
        await trio.testing.wait_all_tasks_blocked()
        yield client
        client.leave()
        await client.settled()
        assert client.over
        assert not state.registry.active_sessions


def sound(level: int, seconds: float) -> bytes:
    return np.full(round(seconds * 16_000), level, "<i2").tobytes()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def finals(client: RealtimeClient) -> list[str]:
    texts = [each["channel"]["alternatives"][0]["transcript"] for each in client.of("Results") if each["is_final"]]
    return [text for text in texts if text]


ONE, TWO, SILENCE = sound(1111, 0.6), sound(2222, 0.6), sound(0, 1.0)


@virtual_time
@pytest.mark.parametrize(
    ("frames", "texts", "finalizes"),
    [
        ([FINALIZE, FINALIZE, CLOSE], [], 2),
        ([FINALIZE, ONE, FINALIZE, FINALIZE, TWO, CLOSE], ["1111.", "2222."], 3),
        ([ONE, CLOSE], ["1111."], 0),
        ([*cut(ONE + SILENCE + TWO, 333), CLOSE], ["1111.", "2222."], 0),  # an odd number of bytes in each frame
        ([ONE, "", "no JSON", b'{"type":"Unknown"}', '{"type":5}', ONE, CLOSE], ["1111."], 0),
        ([KEEP_ALIVE, ONE, KEEP_ALIVE, SILENCE, KEEP_ALIVE, TWO, CLOSE, TWO], ["1111.", "2222."], 0),
        ([KEEP_ALIVE, KEEP_ALIVE, CLOSE, CLOSE], [], 0),
        ([ONE, b'{"type": "Finalize"}', TWO, b""], ["1111.", "2222."], 1),
        ([ONE, '{"type":"Configure","keyterms":["x"]}', ONE, '{"type":"Configure","keyterms":5}', CLOSE], ["1111."], 0),
        ([b"\1", FINALIZE, CLOSE], [], 1),  # half a sample
    ],
)
async def test_words_and_answers(frames: Sequence[Frame], texts: list[str], finalizes: int) -> None:
    async with listen(interim_results="true", vad_events="true", utterance_end_ms="1000") as client:
        for frame in frames:
            client.raw(frame)
        await client.settled(20.0)
        assert finals(client) == texts
        assert sum(each["from_finalize"] for each in client.of("Results")) == finalizes
        assert client.events[-1]["type"] == "Metadata"
        assert client.close is not None
        assert client.close.code == 1000


@virtual_time
async def test_client_may_leave_behind_any_frame() -> None:
    frames = [KEEP_ALIVE, ONE, FINALIZE, SILENCE, b"\1", TWO, "no JSON", CLOSE]
    for number in range(len(frames) + 1):
        async with listen() as client:
            for frame in frames[:number]:
                client.raw(frame)


@virtual_time
async def test_connection_without_audio_or_keep_alive_closes_with_net_0001() -> None:
    async with listen() as client:
        client.raw(bytes(3200))
        for _ in range(10):
            await trio.sleep(5)
            client.raw(KEEP_ALIVE)
        await trio.sleep(11)
        assert not client.over
        await trio.sleep(2)
        assert client.over
        assert client.close is not None
        assert client.close.code == 1011
        assert client.close.reason.startswith("NET-0001")
        assert client.events[-1]["type"] == "Metadata"
