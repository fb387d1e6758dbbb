"""What every engine must do, shown on all of them."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.conftest import NAMES, REAL_NAMES, Reading, asked
from tests.support.real import moonshine_asset, shared_sentences
from tests.support.speech import read_16k
from tests.support.wer import BECKETT, normalise, word_error_rate
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, StreamingEngine, Transcript

WER_BOUND = 0.08

PACKAGES = {
    "sherpa_onnx_moonshine": "sherpa_onnx",
    "sherpa_onnx_parakeet": "sherpa_onnx",
    "omnilingual_asr": "sherpa_onnx",
    "sherpa_onnx_streaming": "sherpa_onnx",
    "kroko_onnx": "sherpa_onnx",
    "whisper_cpp": "pywhispercpp.model",
    "faster_whisper": "faster_whisper",
    "openai_api": "httpx2",
    "transformers": "transformers",
}
"""The module without which an engine cannot be."""

ANY_LANGUAGE = ("sherpa_onnx_parakeet", "omnilingual_asr", "sherpa_onnx_streaming", "kroko_onnx", "openai_api")
"""Engines that leave the language to the model or the server."""

REMOTE = ("openai_api",)
"""Engines whose model and device are a server's business."""

SHARED = [spec.name for spec in registry.engine_specs() if spec.workers == "shared" and spec.name in NAMES]


@pytest.mark.contract("8.2", "8.3")
def test_hears_a_reading(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(asked(reading.clip))
    assert normalise(transcript.text) == normalise(reading.words)
    assert transcript.language == reading.language


@pytest.mark.parametrize("config", SHARED, indirect=True)
def test_a_shared_engine_hears_the_same_on_several_threads(config: EngineConfig, reading: Reading) -> None:
    engine = registry.load(replace(config, num_workers=3))
    clips = [reading.clip, reading.short_clip, np.concatenate([reading.clip, reading.short_clip])]
    expected = [engine.transcribe(asked(clip)) for clip in clips]
    together = threading.Barrier(3, timeout=60)

    def transcribe(first: int) -> list[list[Transcript]]:
        heard = []
        for turn in range(3):
            together.wait()
            heard.append(engine.transcribe(asked(clips[(first + turn) % 3])))
        return heard

    with ThreadPoolExecutor(3) as threads:
        for first, heard in enumerate(threads.map(transcribe, range(3))):
            assert heard == [expected[(first + turn) % 3] for turn in range(3)]
    engine.close()


@pytest.mark.parametrize("engine", REAL_NAMES, indirect=True)
def test_word_error_rate_on_whole_sentences(engine: Engine) -> None:
    heard: list[str] = []
    said: list[str] = []
    for path, words in [*shared_sentences(), (moonshine_asset("beckett.wav"), BECKETT)]:
        heard.extend(t.text for t in engine.transcribe(asked(read_16k(path))))
        said.append(words)
    assert word_error_rate(" ".join(said), " ".join(heard)) <= WER_BOUND


def test_a_batch_equals_its_clips_one_by_one(engine: Engine, reading: Reading) -> None:
    clips = [reading.clip[:56_000], reading.clip[5_000:21_000], reading.clip[56_000:108_000]]
    assert engine.transcribe(asked(*clips)) == [engine.transcribe(asked(clip))[0] for clip in clips]


def test_thirty_seconds_with_silence_around_speech(engine: Engine, reading: Reading) -> None:
    clip = np.pad(reading.clip, (16_000, 30 * 16_000 - 16_000 - reading.clip.size))
    (transcript,) = engine.transcribe(asked(clip))
    assert normalise(transcript.text) == normalise(reading.words)


@pytest.mark.parametrize("samples", [1, 160, 1_600, 4_800])
def test_short_silence_has_no_words(engine: Engine, samples: int) -> None:
    (transcript,) = engine.transcribe(asked(np.zeros(samples, dtype=np.float32)))
    assert transcript.text == ""
    assert transcript.segments == ()


def test_one_word_of_a_third_of_a_second_is_heard(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(asked(reading.short_clip))
    assert normalise(transcript.text).startswith(reading.short_word)


def test_segments_lie_in_the_clip_and_hold_its_text(engine: Engine, reading: Reading) -> None:
    (transcript,) = engine.transcribe(asked(reading.clip[:14_000]))
    assert " ".join(s.text for s in transcript.segments) in ("", transcript.text)
    assert all(0.0 <= s.start_s <= s.end_s <= 14_000 / 16_000 for s in transcript.segments)


@pytest.mark.contract("8.2")
@pytest.mark.parametrize(
    ("clip", "complaint"),
    [
        (np.zeros(0, np.float32), "empty"),
        (np.full(16_000, np.nan, np.float32), "finite"),
        (np.append(np.zeros(16_000, np.float32), np.float32(np.inf)), "finite"),
        (np.zeros((2, 16_000), np.float32), r"\(2, 16000\)"),
        (np.zeros(16_000), "float64"),
    ],
)
def test_a_clip_that_is_not_audio_fails(engine: Engine, clip: NDArray[np.float32], complaint: str) -> None:
    with pytest.raises(TranscriptionFailed, match=complaint):
        engine.transcribe(asked(np.zeros(16_000, np.float32), clip))


def test_is_silent_says_what_it_loaded_and_closes_twice(
    config: EngineConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = registry.load(config)
    assert loaded.info.engine == config.engine
    assert loaded.info.device in (("remote",) if config.engine in REMOTE else ("cpu", "cuda"))
    assert loaded.info.notice is None
    loaded.transcribe(asked(np.zeros(100, np.float32)))
    loaded.close()
    loaded.close()
    with pytest.raises(TranscriptionFailed, match="closed"):
        loaded.transcribe(asked(np.zeros(100, np.float32)))
    assert capfd.readouterr() == ("", "")


def test_does_what_it_says_it_can(engine: Engine, reading: Reading) -> None:
    info = engine.info
    (transcript,) = engine.transcribe(asked(reading.clip))
    assert bool(transcript.segments) is (info.times != "none")
    if info.times == "words":
        assert [piece.text for piece in transcript.segments] == transcript.text.split()
    assert info.device in info.devices
    assert reading.language in (None, *info.languages) or engine.info.engine in REMOTE
    assert info.streaming is isinstance(engine, StreamingEngine)
    assert info.max_batch >= 1


def test_loading_and_closing_ten_times_leaves_nothing_behind(config: EngineConfig) -> None:
    # Backends keep pools of their own, so the first rounds do not count; the threads of a test's server come and go.
    threads: list[int] = []
    resident_bytes: list[int] = []
    for _ in range(10):
        loaded = registry.load(config)
        loaded.transcribe(asked(np.zeros(1_600, np.float32)))
        loaded.close()
        del loaded
        threads.append(len(list(Path("/proc/self/task").iterdir())))
        resident_bytes.append(
            int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
        )
    assert threads[-1] - threads[2] <= 2
    assert resident_bytes[-1] - resident_bytes[2] < 64 * 2**20


@pytest.mark.contract("8.2")
def test_normalised_audio_is_heard_alike_at_any_level(config: EngineConfig, reading: Reading) -> None:
    loaded = registry.load(replace(config, normalize_audio=True))
    quiet = reading.clip * np.float32(2.0**-10)
    assert loaded.transcribe(asked(quiet)) == loaded.transcribe(asked(reading.clip))
    assert loaded.transcribe(asked(np.zeros(16_000, np.float32)))[0].text == ""
    loaded.close()


@pytest.mark.contract("8.2")
def test_a_missing_package_is_named(config: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PACKAGES[config.engine]
    monkeypatch.setitem(sys.modules, package, None)
    pip_name = package.split(".", maxsplit=1)[0].replace("_", "-")
    with pytest.raises(EngineUnavailable, match=rf"{config.engine}: the package {pip_name} .*pip install {pip_name}"):
        registry.load(config)


@pytest.mark.parametrize("config", [name for name in NAMES if name not in REMOTE], indirect=True)
def test_a_model_that_is_not_there_is_named(config: EngineConfig, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=str(tmp_path / "no-such-model")):
        registry.load(replace(config, model="no-such-model", download_root=tmp_path))


@pytest.mark.parametrize(
    ("changes", "complaint", "careless"),
    [
        ({"language": "tlh"}, "language 'tlh'", ANY_LANGUAGE),
        ({"device": "tpu"}, "device 'tpu'", REMOTE),
        ({"options": {"nonsense": 1}}, "option nonsense does not exist", ()),
    ],
)
def test_impossible_settings_are_named(
    config: EngineConfig, changes: dict[str, Any], complaint: str, careless: tuple[str, ...]
) -> None:
    options = {**config.options, **changes.get("options", {})}
    changed = replace(config, **{**changes, "options": options})
    if config.engine in careless:
        registry.load(changed).close()
        return
    with pytest.raises(SettingError, match=f"engine {config.engine}: .*{complaint}"):
        registry.load(changed)


def test_cuda_that_is_not_there_falls_back_and_says_so(config: EngineConfig, reading: Reading) -> None:
    loaded = registry.load(replace(config, device="cuda"))
    if loaded.info.device == "cpu":
        assert loaded.info.notice is not None
        assert "CUDA" in loaded.info.notice
    else:
        assert loaded.info.notice is None
    assert loaded.transcribe(asked(reading.clip[:56_000]))[0].text
    loaded.close()
