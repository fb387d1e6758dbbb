"""Smart Turn: its features, and what the real model says of a reading."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.real import missing, moonshine_asset
from tests.support.speech import read_16k
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.turn_model import CLIP_SAMPLES, TurnModel, log_mel, packaged_model
from trio_stt.errors import EngineUnavailable


def sweep() -> NDArray[np.float32]:
    """Four seconds of a rising tone, then four with a second, louder one."""
    time_s = np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ
    tone = 0.1 * np.sin(2 * np.pi * 440 * time_s) * (time_s > 4)
    return (tone + 0.01 * np.sin(2 * np.pi * (100 * time_s + 200 * time_s**2))).astype(np.float32)


def test_features_are_those_of_whisper() -> None:
    """The values were computed with the package pipecat-ai 1.14.0, whose features equal those of Transformers."""
    found = log_mel(sweep())
    assert found.shape == (80, 800)
    assert found.dtype == np.float32
    values = {(0, 0): 1.19081, (0, 799): 0.77695, (13, 100): 1.21595, (13, 600): -0.26292, (40, 400): 1.19037}
    for place, value in values.items():
        assert found[place] == pytest.approx(value, abs=1e-4), place
    assert found.mean() == pytest.approx(-0.13696, abs=1e-4)
    assert found.std() == pytest.approx(0.39888, abs=1e-4)


@pytest.mark.long
def test_features_equal_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    extractor = transformers.WhisperFeatureExtractor(chunk_length=8)
    expected = extractor(sweep(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="np", do_normalize=True)
    assert np.allclose(log_mel(sweep()), expected.input_features[0], atol=1e-3)


def test_features_of_silence_are_finite() -> None:
    assert np.isfinite(log_mel(np.zeros(CLIP_SAMPLES, np.float32))).all()


def test_file_of_another_kind_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "turn.onnx").write_bytes(b"no model")
    with pytest.raises(EngineUnavailable, match=r"turn\.onnx does not run as Smart Turn"):
        TurnModel(tmp_path / "turn.onnx")


@pytest.mark.long
def test_real_model_tells_the_end_of_a_reading_from_its_middle() -> None:
    path = packaged_model()
    if path is None:
        missing("the package pipecat-ai is not installed")
    model = TurnModel(path)
    reading = read_16k(moonshine_asset("beckett.wav")).astype(np.float32)
    middle, end = (model.probability(reading[: round(seconds * SAMPLE_RATE_HZ)]) for seconds in (8.46, 9.06))
    assert middle < 0.2
    assert end > 0.7
