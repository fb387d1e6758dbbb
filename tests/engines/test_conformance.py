"""The conformance suite that every engine must pass."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import trio
from numpy.typing import NDArray

from tests.engines.conftest import NAMES, REAL_MODEL_NAMES, Reading, batch_of
from tests.engines.leaks import check_nothing_is_left
from tests.support.real import shared_sentences
from tests.support.speech import read_16k
from tests.support.wer import normalise, word_error_rate
from trio_stt.errors import TranscriptionFailed
from trio_stt.lanes.engine_thread import EngineThread
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import (
    Engine,
    EngineConfig,
    EngineInfo,
    Hints,
    Request,
    StreamingEngine,
    Transcript,
)

WER_BOUND = 0.08

REMOTE = ("openai_api",)
"""Engines whose model and device a remote server chooses."""

SHARED = [spec.name for spec in registry.engine_specs() if spec.workers == "shared" and spec.name in NAMES]


@pytest.mark.contract("8.2", "8.3")
def test_transcribes_a_reading(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(batch_of(reading.clip))
    assert normalise(transcript.text) == normalise(reading.words)
    assert transcript.language == reading.language


@pytest.mark.parametrize("config", SHARED, indirect=True)
def test_shared_engine_gives_the_same_text_on_several_threads(config: EngineConfig, reading: Reading) -> None:
    engine = registry.load(replace(config, num_workers=3))
    clips = [reading.clip, reading.short_clip, np.concatenate([reading.clip, reading.short_clip])]
    expected = [engine.transcribe(batch_of(clip)) for clip in clips]
    together = threading.Barrier(3, timeout=60)

    def transcribe(first: int) -> list[list[Transcript]]:
        transcripts = []
        for turn in range(2):
            together.wait()
            transcripts.append(engine.transcribe(batch_of(clips[(first + turn) % 3])))
        return transcripts

    with ThreadPoolExecutor(3) as threads:
        for first, transcripts in enumerate(threads.map(transcribe, range(3))):
            assert transcripts == [expected[(first + turn) % 3] for turn in range(2)]
    engine.close()


@pytest.mark.parametrize("engine", REAL_MODEL_NAMES, indirect=True)
def test_word_error_rate_on_whole_sentences(engine: Engine) -> None:
    transcripts: list[str] = []
    references: list[str] = []
    for path, words in shared_sentences()[::2]:
        transcripts.extend(t.text for t in engine.transcribe(batch_of(read_16k(path))))
        references.append(words)
    assert word_error_rate(" ".join(references), " ".join(transcripts)) <= WER_BOUND


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.long)])
def test_batch_equals_its_clips_one_by_one(engine: Engine, reading: Reading, count: int) -> None:
    clips = [reading.clip[:56_000], reading.clip[5_000:21_000], reading.clip[56_000:108_000]][:count]
    together, alone = engine.transcribe(batch_of(*clips)), [engine.transcribe(batch_of(clip))[0] for clip in clips]
    # Confidences depend on the numerics of the batch; text and times do not.
    assert [_without_confidence(each) for each in together] == [_without_confidence(each) for each in alone]


def _without_confidence(transcript: Transcript) -> Transcript:
    return replace(transcript, segments=tuple(replace(piece, confidence=None) for piece in transcript.segments))


def test_thirty_seconds_with_silence_around_speech(engine: Engine, reading: Reading) -> None:
    clip = np.pad(reading.clip, (16_000, 30 * 16_000 - 16_000 - reading.clip.size))
    (transcript,) = engine.transcribe(batch_of(clip))
    assert normalise(transcript.text) == normalise(reading.words)


@pytest.mark.parametrize("samples", [1, *(pytest.param(n, marks=pytest.mark.long) for n in (160, 1_600)), 4_800])
def test_short_silence_has_no_words(engine: Engine, samples: int) -> None:
    (transcript,) = engine.transcribe(batch_of(np.zeros(samples, dtype=np.float32)))
    assert transcript.text == ""
    assert transcript.segments == ()


def test_word_of_a_third_of_a_second_is_transcribed(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(batch_of(reading.short_clip))
    assert normalise(transcript.text).startswith(reading.short_word)


def test_segments_are_inside_the_clip_and_cover_its_text(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(batch_of(reading.clip[:14_000]))
    assert " ".join(s.text for s in transcript.segments) in ("", transcript.text)
    assert all(0.0 <= s.start_s <= s.end_s <= 14_000 / 16_000 for s in transcript.segments)
    assert all(s.confidence is None or 0.0 <= s.confidence <= 1.0 for s in transcript.segments)


@pytest.mark.contract("8.2")
@pytest.mark.parametrize(
    ("clip", "expected_message"),
    [
        (np.zeros(0, np.float32), "empty"),
        (np.full(16_000, np.nan, np.float32), "finite"),
        (np.append(np.zeros(16_000, np.float32), np.float32(np.inf)), "finite"),
        (np.zeros((2, 16_000), np.float32), r"\(2, 16000\)"),
        (np.zeros(16_000), "float64"),
    ],
)
def test_a_clip_that_is_not_audio_fails(engine: Engine, clip: NDArray[np.float32], expected_message: str) -> None:
    with pytest.raises(TranscriptionFailed, match=expected_message):
        engine.transcribe(batch_of(np.zeros(16_000, np.float32), clip))


def test_engine_prints_nothing_describes_itself_and_may_be_closed_twice(
    config: EngineConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = registry.load(config)
    assert loaded.info.engine == config.engine
    assert loaded.info.device in (("remote",) if config.engine in REMOTE else ("cpu", "cuda"))
    assert loaded.info.notice is None or "max_total_len" in loaded.info.notice
    loaded.transcribe(batch_of(np.zeros(100, np.float32)))
    loaded.close()
    loaded.close()
    with pytest.raises(TranscriptionFailed, match="closed"):
        loaded.transcribe(batch_of(np.zeros(100, np.float32)))
    assert capfd.readouterr() == ("", "")


def test_info_matches_behaviour(engine: Engine, reading: Reading) -> None:
    info = engine.info
    (transcript,) = engine.transcribe(batch_of(reading.clip))
    assert bool(transcript.segments) is (info.times != "none")
    if info.times == "words":
        assert [piece.text for piece in transcript.segments] == transcript.text.split()
    assert info.device in info.devices
    assert reading.language in (None, *info.languages.known) or engine.info.engine in REMOTE
    assert info.streaming is isinstance(engine, StreamingEngine)
    assert info.max_batch >= 1


@pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.long)])
def test_repeated_loads_leak_nothing(config: EngineConfig, rounds: int) -> None:
    check_nothing_is_left(lambda: registry.load(config), batch_of(np.zeros(1_600, np.float32)), rounds=rounds)


@pytest.mark.contract("8.2")
def test_normalised_audio_gives_the_same_words_at_any_level(config: EngineConfig, reading: Reading) -> None:
    loaded = registry.load(replace(config, normalize_audio=True))
    quiet = reading.clip * np.float32(2.0**-10)
    assert loaded.transcribe(batch_of(quiet)) == loaded.transcribe(batch_of(reading.clip))
    assert loaded.transcribe(batch_of(np.zeros(16_000, np.float32)))[0].text == ""
    loaded.close()


@pytest.mark.contract("8.2")
def test_a_prompt_primes_its_clip_and_no_other(engine: Engine, reading: Reading) -> None:
    clip = reading.clip[:56_000]
    plain = engine.transcribe(batch_of(clip))
    prompted = engine.transcribe(batch_of(clip, hints=Hints(prompt="BECKETT")))
    assert prompted[0].text
    assert engine.info.prompt or prompted == plain
    assert engine.transcribe(batch_of(clip)) == plain


class Busy:
    """An engine that sets an event when a call begins."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.began = threading.Event()
        self.closed = threading.Event()

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        self.began.set()
        return self._engine.transcribe(batch)

    def close(self) -> None:
        self._engine.close()
        self.closed.set()


async def test_close_waits_for_the_running_call(config: EngineConfig, reading: Reading) -> None:
    loaded: list[Busy] = []

    def load() -> Busy:
        loaded.append(Busy(registry.load(config)))
        return loaded[0]

    executor = EngineThread("main", load, shutdown_timeout_s=120.0)
    await executor.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.transcribe, batch_of(reading.clip))
        await trio.to_thread.run_sync(loaded[0].began.wait, 60)
        nursery.cancel_scope.cancel()
    await executor.aclose()
    assert loaded[0].closed.is_set()
    with pytest.raises(TranscriptionFailed, match="closed"):
        loaded[0].transcribe(batch_of(reading.clip))


def test_missing_cuda_falls_back_with_a_notice(config: EngineConfig, reading: Reading) -> None:
    loaded = registry.load(replace(config, device="cuda"))
    assert ("CUDA" in (loaded.info.notice or "")) is (loaded.info.device == "cpu")
    assert loaded.transcribe(batch_of(reading.clip[:56_000]))[0].text
    loaded.close()
