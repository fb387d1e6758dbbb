"""What every engine must do, shown on all with their real models."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.conftest import NAMES, asked, real_config
from tests.support.real import moonshine_asset, shared_sentences
from tests.support.speech import read_16k
from tests.support.wer import BECKETT, normalise, word_error_rate
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine

WER_BOUND = 0.08


def test_hears_a_reading(engine: Engine, beckett: NDArray[np.float32]) -> None:
    (transcript,) = engine.transcribe(asked(beckett))
    assert normalise(transcript.text) == normalise(BECKETT)
    assert transcript.language == "en"


def test_word_error_rate_on_whole_sentences(engine: Engine) -> None:
    heard: list[str] = []
    said: list[str] = []
    for path, words in [*shared_sentences(), (moonshine_asset("beckett.wav"), BECKETT)]:
        heard.extend(t.text for t in engine.transcribe(asked(read_16k(path))))
        said.append(words)
    assert word_error_rate(" ".join(said), " ".join(heard)) <= WER_BOUND


def test_a_batch_equals_its_clips_one_by_one(engine: Engine, beckett: NDArray[np.float32]) -> None:
    clips = [beckett[:56_000], beckett[5_000:21_000], beckett[56_000:108_000]]
    assert engine.transcribe(asked(*clips)) == [engine.transcribe(asked(clip))[0] for clip in clips]


def test_thirty_seconds_with_silence_around_speech(engine: Engine, beckett: NDArray[np.float32]) -> None:
    clip = np.pad(beckett, (16_000, 30 * 16_000 - 16_000 - beckett.size))
    (transcript,) = engine.transcribe(asked(clip))
    assert normalise(transcript.text) == normalise(BECKETT)


@pytest.mark.parametrize("samples", [1, 160, 1_600, 4_800])
def test_short_silence_has_no_words(engine: Engine, samples: int) -> None:
    (transcript,) = engine.transcribe(asked(np.zeros(samples, dtype=np.float32)))
    assert transcript.text == ""
    assert transcript.segments == ()


def test_one_word_of_a_third_of_a_second_is_heard(engine: Engine, beckett: NDArray[np.float32]) -> None:
    (transcript,) = engine.transcribe(asked(beckett[5_000:9_800]))
    assert normalise(transcript.text).startswith("ever")


def test_segments_lie_in_the_clip_and_hold_its_text(engine: Engine, beckett: NDArray[np.float32]) -> None:
    (transcript,) = engine.transcribe(asked(beckett[:14_000]))
    assert " ".join(s.text for s in transcript.segments) in ("", transcript.text)
    assert all(0.0 <= s.start_s <= s.end_s <= 14_000 / 16_000 for s in transcript.segments)


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


@pytest.mark.parametrize("name", NAMES)
def test_is_silent_says_what_it_loaded_and_closes_twice(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = registry.load(real_config(name))
    assert loaded.info.engine == name
    assert loaded.info.device in ("cpu", "cuda")
    assert loaded.info.notice is None
    loaded.transcribe(asked(np.zeros(100, np.float32)))
    loaded.close()
    loaded.close()
    with pytest.raises(TranscriptionFailed, match="closed"):
        loaded.transcribe(asked(np.zeros(100, np.float32)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_normalised_audio_is_heard_alike_at_any_level(name: str, beckett: NDArray[np.float32]) -> None:
    loaded = registry.load(replace(real_config(name), normalize_audio=True))
    quiet = beckett * np.float32(2.0**-10)
    assert loaded.transcribe(asked(quiet)) == loaded.transcribe(asked(beckett))
    assert loaded.transcribe(asked(np.zeros(16_000, np.float32)))[0].text == ""


@pytest.mark.parametrize(
    ("name", "package"), list(zip(NAMES, ("sherpa_onnx", "pywhispercpp.model", "faster_whisper"), strict=True))
)
def test_a_missing_package_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = real_config(name)
    monkeypatch.setitem(sys.modules, package, None)
    pip_name = package.split(".", maxsplit=1)[0].replace("_", "-")
    with pytest.raises(EngineUnavailable, match=rf"{name}: the package {pip_name} .*pip install {pip_name}"):
        registry.load(config)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    config = replace(real_config(name), model="no-such-model", download_root=tmp_path)
    with pytest.raises(EngineUnavailable, match=str(tmp_path / "no-such-model")):
        registry.load(config)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"language": "tlh"}, "language 'tlh'"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"options": {"nonsense": 1}}, "option nonsense does not exist"),
    ],
)
def test_impossible_settings_are_named(name: str, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingError, match=f"engine {name}: .*{complaint}"):
        registry.load(replace(real_config(name), **changes))


@pytest.mark.parametrize("name", NAMES)
def test_cuda_that_is_not_there_falls_back_and_says_so(name: str, beckett: NDArray[np.float32]) -> None:
    loaded = registry.load(replace(real_config(name), device="cuda"))
    if loaded.info.device == "cuda":
        assert loaded.info.notice is None
    else:
        assert loaded.info.notice is not None
        assert "CUDA" in loaded.info.notice
    assert loaded.transcribe(asked(beckett[:56_000]))[0].text
