import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.dsp.sounds import at_level, load, pcm, windows
from tests.support.real import moonshine_asset
from trio_stt.dsp import silero as silero_module
from trio_stt.dsp.kernels import to_float32
from trio_stt.dsp.silero import SileroModel, SileroState
from trio_stt.errors import EngineUnavailable


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return np.stack([to_float32(w) for w in windows(pcm(at_level(load(moonshine_asset("beckett.wav")), -20)))])


def alone(model: SileroModel, stream: np.ndarray, state: SileroState) -> list[float]:
    return [float(model.score(window[np.newaxis], [state])[0]) for window in stream]


@pytest.mark.contract("4.2")
def test_speech_is_told_from_silence(silero: SileroModel, speech: np.ndarray) -> None:
    assert max(alone(silero, np.zeros((60, 512), np.float32), SileroState())) < 0.1
    assert max(alone(silero, speech, SileroState())) > 0.99


@pytest.mark.parametrize("talkers", [2, 7, 16])
def test_a_batch_equals_one_by_one(silero: SileroModel, speech: np.ndarray, talkers: int) -> None:
    streams = np.stack([np.roll(speech, 17 * k, axis=0)[:120] for k in range(talkers)])
    states = [SileroState() for _ in range(talkers)]
    together = np.stack([silero.score(np.ascontiguousarray(streams[:, i]), states) for i in range(120)], axis=1)
    apart = np.array([alone(silero, stream, SileroState()) for stream in streams])
    assert np.abs(together - apart).max() <= 5e-6


def test_reset_forgets_everything(silero: SileroModel, speech: np.ndarray) -> None:
    state = SileroState()
    first = alone(silero, speech[:40], state)
    assert alone(silero, speech[:40], state) != first
    state.reset()
    assert alone(silero, speech[:40], state) == first


def test_wrong_shapes_are_refused(silero: SileroModel) -> None:
    for wrong in (np.zeros((1, 511), np.float32), np.zeros(512, np.float32), np.zeros((1, 512), np.int16)):
        with pytest.raises(ValueError, match="windows are float32"):
            silero.score(wrong, [SileroState()])
    for talkers in (0, 2):
        with pytest.raises(ValueError, match=f"{talkers} windows came with 1 states"):
            silero.score(np.zeros((talkers, 512), np.float32), [SileroState()])


def test_neither_torch_nor_the_package_is_imported() -> None:
    code = (
        "import sys; from trio_stt.dsp.silero import SileroModel; SileroModel(); "
        "sys.exit(bool({'torch', 'silero_vad'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own interpreter


def test_a_missing_package_names_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(silero_module, "package_folder", lambda _: None)
    with pytest.raises(EngineUnavailable, match=r"needs the package silero-vad; install it with: pip install"):
        SileroModel()
    monkeypatch.setattr(silero_module, "package_folder", lambda _: tmp_path)
    with pytest.raises(
        EngineUnavailable, match=r"has no silero_vad_op18_ifless.onnx or silero_vad.onnx in .*pip install"
    ):
        SileroModel()
