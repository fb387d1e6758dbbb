"""Sessions with a streaming engine for partials, for finals, and for both, on virtual time."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from tests.contract.fixtures import PAUSE_S
from tests.lanes.fakes import FakeEngine, FakeStreamingEngine, virtual_time
from tests.support.conversation import Client, levels, server_fixture
from tests.support.stream_models import pack_kroko, write_stream_transducer
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.events import Final, Realtime, WarningEvent
from trio_stt.protocol.packets import build_packet

LIVE_S = 0.04


def numbers(text: str) -> list[int]:
    """The ends of the pieces that the fake engine was fed, in samples."""
    return [int(word) for word in text.rstrip(".").split()]


async def talks(client: Client, level: int, seconds: float) -> None:
    """Send speech and a pause after it, in real time."""
    for loudness, length_s in ((level, seconds), (0, PAUSE_S)):
        for _ in range(round(length_s / LIVE_S)):
            client.say(loudness, LIVE_S)
            await trio.sleep(LIVE_S)


@pytest.mark.contract("5.1", "4.6")
@virtual_time
async def test_shared_streaming_lane_gets_each_sample_once() -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine) as server:
        client = await server.streaming_client()
        await talks(client, 1111, 3.0)
        final = numbers((await client.until(Final)).text)
        partials = [numbers(event.text) for event in client.of(Realtime)]
        assert len(partials) > 15
        # Each partial extends the previous one by new audio, and so does the final; nothing else was decoded.
        for before, after in zip(partials, [*partials[1:], final], strict=True):
            assert after[: len(before)] == before
        assert list(accumulate(engine.fed)) == final
        assert engine.clips == []
        # The partials are 0.1 s of audio apart.
        pause = round(0.1 * SAMPLE_RATE_HZ)
        assert all(pause <= samples < pause + 1_024 for samples in engine.fed[1:-1])
        assert len(engine.streams) == 0


@virtual_time
async def test_streaming_partials_have_the_whole_utterance() -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine, realtime_max_audio_seconds=1.0) as server:
        client = await server.streaming_client()
        await talks(client, 1111, 3.0)
        final = numbers((await client.until(Final)).text)
        assert list(accumulate(engine.fed)) == final


@virtual_time
async def test_streaming_partials_with_whole_clip_finals() -> None:
    batch, streaming = FakeEngine(levels), FakeStreamingEngine()
    async with server_fixture(load=lambda: batch, load_partials=lambda: streaming) as server:
        client = await server.streaming_client()
        for level in (1111, 2222):
            await talks(client, level, 2.0)
        await client.until(Final, 2)
        assert client.finals == [(1, "1111."), (2, "2222.")]
        assert len(client.of(Realtime)) > 20
        assert sum(streaming.fed) < 2 * (2.0 + PAUSE_S + 1.5) * SAMPLE_RATE_HZ
        # The stream of the first utterance was freed when the second one had partials.
        assert len(streaming.streams) == 1


@virtual_time
async def test_streaming_finals_with_whole_clip_partials() -> None:
    streaming, batch = FakeStreamingEngine(), FakeEngine(levels)
    async with server_fixture(load=lambda: streaming, load_partials=lambda: batch) as server:
        client = await server.streaming_client()
        await talks(client, 1111, 2.0)
        (samples,) = numbers((await client.until(Final)).text)
        assert streaming.fed == [samples]
        assert {event.text for event in client.of(Realtime)} == {"1111"}
        assert len(streaming.streams) == 0


@virtual_time
async def test_failing_stream_loses_partials_but_no_final() -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine) as server:
        client = await server.streaming_client()
        talking = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talks, client, 1111, 3.0)
            while trio.current_time() < talking + 2.0:
                await trio.sleep(0.5)
                engine.failures.append(TranscriptionFailed("fake"))
        final = numbers((await client.until(Final)).text)
        assert final == list(accumulate(engine.fed[-len(final) :]))
        assert 3.0 * SAMPLE_RATE_HZ < final[-1] < sum(engine.fed)


@virtual_time
async def test_cut_utterance_and_the_next_one_are_streamed_completely() -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine, max_audio_queue_seconds_per_session=3.0) as server:
        client = await server.streaming_client()
        await talks(client, 1111, 8.0)
        await client.until(Final, 3)
        spoken_s = [numbers(final.text)[-1] / SAMPLE_RATE_HZ for final in client.of(Final)]
        assert len(client.of(WarningEvent)) == 2
        # Partials had audio beyond a cut; the finals neither repeat nor miss any.
        assert 8.0 <= sum(spoken_s) <= 8.0 + PAUSE_S
        assert engine.clips == []


@pytest.mark.parametrize("end", ["clear", "leave"])
@virtual_time
async def test_discarded_utterance_frees_its_stream(end: str) -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine) as server:
        stays, goes = await server.connect(), await server.connect()
        for client in (stays, goes):
            client.command("start")
        goes.say(2222, 1.0)
        await trio.sleep(1.0)
        assert len(engine.streams) == 1
        goes.leave() if end == "leave" else goes.command("clear")
        await trio.sleep(10.0)
        await talks(stays, 1111, 1.0)
        await stays.until(Final)
        assert len(engine.streams) == 0


@virtual_time
async def test_no_stream_is_left_after_thousands_of_utterances() -> None:
    engine = FakeStreamingEngine()
    async with server_fixture(load=lambda: engine) as server:
        clients = [await server.connect() for _ in range(4)]
        for client in clients:
            client.command("start")
        for round_number in range(250):
            for client in clients:
                client.say(1111, 0.5)
                client.pause(PAUSE_S)
            for client in clients:
                await client.until(Final, round_number + 1)
                client.events = [event for event in client.events if isinstance(event, Final)]
            assert len(engine.streams) <= len(clients)
        assert server.server_state.lanes.lane_for(JobKind.FINAL).statistics().work.completed_jobs >= 1_000


def tones(client: Client, samples: NDArray[np.float32]) -> None:
    client.raw(build_packet((samples * 32_767).astype("<i2").tobytes(), rate_hz=SAMPLE_RATE_HZ))


def streaming(folder: Path) -> Callable[[], Engine]:
    return lambda: registry.load(
        EngineConfig(engine="sherpa_onnx_streaming", model=str(write_stream_transducer(folder)))
    )


def kroko(folder: Path) -> Callable[[], Engine]:
    path = pack_kroko(write_stream_transducer(folder / "model"), folder / "tones.data")
    return lambda: registry.load(EngineConfig(engine="kroko_onnx", model=str(path)))


@pytest.mark.parametrize("make", [streaming, kroko])
@virtual_time
async def test_words_of_a_streaming_model_are_published_as_they_are_spoken(
    make: Callable[[Path], Callable[[], Engine]], tmp_path: Path
) -> None:
    sentence = np.concatenate([spoken(ONE_HZ, TWO_HZ, THREE_HZ, END_HZ, ONE_HZ)[5_120:], np.zeros(16_000, np.float32)])
    async with server_fixture(load=make(tmp_path), post_speech_silence_duration=0.8) as server:
        client = await server.streaming_client()
        for start in range(0, sentence.size, 640):
            tones(client, sentence[start : start + 640])
            await trio.sleep(LIVE_S)
        await client.until(Final)
        assert client.finals == [(1, "One two three one.")]
        texts = list(dict.fromkeys(event.text for event in client.of(Realtime)))
        # The last word is in the final only: no partials are made in the silence after it.
        assert {"one", "one two", "one two three"} <= set(texts)
        assert all(after.startswith(before) for before, after in pairwise(texts))
