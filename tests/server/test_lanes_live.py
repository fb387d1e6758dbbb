"""Engines of every kind on the two lanes of a real server, over a real socket, on real speech.

The streaming model is one that the tests write: its words are tones, so that a text shows which lane it comes
from.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.api.test_live_contract import ask
from tests.support.client import SocketClient, connected, load_pcm
from tests.support.dictation import Dictation, dictate, real_server_state, texts
from tests.support.ggml import whisper_tiny_en
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from tests.support.stream_models import write_stream_transducer
from tests.support.wer import normalise
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings

WORDS = "ever tried ever failed"
TONE_WORDS = re.compile(r"((one|two|th|ree)+ ?)+")
NO_SPECULATION: dict[str, object] = {"early_transcription_on_silence": 0}
"""Speculative finals are shown as partials; without them, all partials come from the lane for partials."""


@asynccontextmanager
async def transcribed(
    monkeypatch: pytest.MonkeyPatch, **settings: object
) -> AsyncIterator[tuple[SocketClient, dict[str, Any]]]:
    """A client that has sent some words and received their finals, and the server's scheduler report afterwards."""
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    speech = samples[: round(3.5 * rate_hz)]
    async with serving(monkeypatch, build_server(load_settings(settings))) as port, connected(port) as client:
        await client.until("ready", within_s=120.0)
        await client.command("start")
        await client.stream(speech, rate_hz, speed=1.0)
        await client.command("stop")
        await client.until_all_final(within_s=120.0)
        _, health = await ask(port, "/health")
        assert health["ok"], health
        yield client, health["scheduler"]


def partials(client: SocketClient) -> dict[int, list[str]]:
    """The partials of each utterance that had any, in order."""
    texts_by_segment: dict[int, list[str]] = {}
    for event in client.of("realtime"):
        if event["text"]:
            texts_by_segment.setdefault(event["segmentId"], []).append(event["text"])
    return texts_by_segment


def lanes(scheduler: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Each lane's engine, and whether it streams."""
    return {
        name: (worker["engine"], worker["capabilities"]["streaming"]) for name, worker in scheduler["workers"].items()
    }


@pytest.fixture
def tones(tmp_path: Path) -> str:
    return str(write_stream_transducer(tmp_path / "streaming"))


@pytest.mark.long
@pytest.mark.contract("7.1", "8.1")
async def test_finals_of_whisper_cpp_beside_partials_of_moonshine(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {
        "transcription_engine": "whisper_cpp",
        "model": str(whisper_tiny_en()),
        "realtime_transcription_engine": "moonshine",
    }
    async with transcribed(monkeypatch, **engines, **NO_SPECULATION) as (client, scheduler):
        assert normalise(client.text) == WORDS
        assert partials(client)
        assert scheduler["mode"] == "balanced-main-plus-realtime"
        assert lanes(scheduler) == {"main": ("whisper_cpp", False), "realtime": ("sherpa_onnx_moonshine", False)}
        assert scheduler["workers"]["realtime"]["completedJobs"] >= len(client.of("realtime"))


@pytest.mark.contract("7.1")
async def test_partials_of_a_streaming_engine_beside_finals_of_whole_clips(
    monkeypatch: pytest.MonkeyPatch, tones: str
) -> None:
    partials_lane = {
        "realtime_transcription_engine": "sherpa_onnx_streaming",
        "realtime_model": tones,
        "realtime_transcription_engine_options": {"num_threads": 1, "tail_padding_seconds": 1.0},
    }
    async with transcribed(monkeypatch, **partials_lane, **NO_SPECULATION) as (client, scheduler):
        assert normalise(client.text) == WORDS
        texts_by_segment = partials(client)
        assert texts_by_segment
        for texts in texts_by_segment.values():
            assert all(TONE_WORDS.fullmatch(text) for text in texts)
            assert all(later.startswith(text) for text, later in pairwise(texts))
        assert lanes(scheduler) == {
            "main": ("sherpa_onnx_moonshine", False),
            "realtime": ("sherpa_onnx_streaming", True),
        }


@pytest.mark.contract("7.1")
async def test_one_streaming_lane_for_both(monkeypatch: pytest.MonkeyPatch, tones: str) -> None:
    engine = {"transcription_engine": "sherpa_onnx_streaming", "model": tones}
    async with transcribed(monkeypatch, **engine) as (client, scheduler):
        texts_by_segment = partials(client)
        assert texts_by_segment
        for event in client.of("final"):
            final = event["text"].casefold().rstrip(".")
            assert TONE_WORDS.fullmatch(final)
            assert all(final.startswith(text) for text in texts_by_segment.get(event["segmentId"], ()))
        assert scheduler["mode"] == "low-memory-one-model"
        assert lanes(scheduler) == {"main": ("sherpa_onnx_streaming", True)}


@pytest.mark.contract("7.1")
async def test_final_model_makes_partials_too_if_configured(monkeypatch: pytest.MonkeyPatch, tones: str) -> None:
    unused = {"realtime_transcription_engine": "sherpa_onnx_streaming", "realtime_model": tones}
    async with transcribed(monkeypatch, **unused, use_main_model_for_realtime=True) as (client, scheduler):
        assert normalise(client.text) == WORDS
        assert partials(client)
        assert not any(TONE_WORDS.fullmatch(text) for texts in partials(client).values() for text in texts)
        assert scheduler["mode"] == "low-memory-one-model"
        assert lanes(scheduler) == {"main": ("sherpa_onnx_moonshine", False)}


@pytest.mark.contract("8.2")
@pytest.mark.parametrize(
    ("setting", "lane_names"),
    [("realtime_transcription_engine_options", ["main", "realtime"]), ("transcription_engine_options", ["main"])],
)
async def test_partials_get_a_lane_of_their_own_only_with_options_of_their_own(
    setting: str, lane_names: list[str]
) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    async with real_server_state(**{setting: {"num_threads": 2}}) as server_state:
        finals = await dictate(server_state, Dictation(samples[: round(3.5 * rate_hz)], rate_hz))
        assert normalise(texts(finals)) == WORDS
        assert [lane.name for lane in server_state.lanes.statistics().lanes] == lane_names


async def test_failed_engine_leaves_the_other_lane_working(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    settings = {"realtime_transcription_engine": "parakeet", "offline": True, "download_root": str(tmp_path)}
    async with serving(monkeypatch, build_server(load_settings(settings))) as port, connected(port) as client:
        error = await client.until("error")
        assert error["where"] == "realtime_engine"
        assert "run `trio-stt models pull nvidia/parakeet-tdt-0.6b-v3 " in error["message"]
        await client.command("start")
        await client.stream(samples[: round(3.5 * rate_hz)], rate_hz, speed=4.0)
        await client.command("stop")
        await client.until_all_final()
        assert normalise(client.text) == WORDS
        with trio.fail_after(30):
            status, health = await ask(port, "/health")
        assert (status, health["ready"], health["ok"]) == (200, True, False)
