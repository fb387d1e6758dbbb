import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.numpy_helper import from_array

from tests.dsp.sounds import at_level, heard_by_silero, load, pcm
from tests.support.real import moonshine_asset
from trio_stt.dsp import silero as silero_module
from trio_stt.dsp.kernels import to_float32
from trio_stt.dsp.silero import SileroModel, new_state
from trio_stt.errors import EngineUnavailable


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    return heard_by_silero(pcm(at_level(load(moonshine_asset("beckett.wav")), -20)))


def probabilities(model: SileroModel, stream: list[np.ndarray], states: np.ndarray, gain: float = 1) -> np.ndarray:
    return np.stack([model.score(heard, states, np.float32(gain)) for heard in stream])


@pytest.mark.contract("4.2")
def test_speech_is_told_from_silence(silero: SileroModel, speech: list[np.ndarray]) -> None:
    assert probabilities(silero, [np.zeros(576, np.int16)] * 60, new_state()[np.newaxis]).max() < 0.1
    assert probabilities(silero, speech, new_state()[np.newaxis]).max() > 0.99


NOISE = np.random.default_rng(0).integers(-32768, 32768, 51_200).astype(np.int16)


@pytest.mark.parametrize("gain", [0.25, 1.0, 16.0])
@pytest.mark.parametrize("sound", ["speech", "full-scale noise", "silence"])
def test_it_is_silero_as_onnxruntime_runs_it(
    silero: SileroModel, speech: list[np.ndarray], sound: str, gain: float
) -> None:
    others = {"full-scale noise": heard_by_silero(NOISE), "silence": [np.zeros(576, np.int16)] * 100}
    stream = others.get(sound, speech)
    session = onnxruntime.InferenceSession(silero.path, providers=["CPUExecutionProvider"])
    rate, state, reference = np.array(16_000), np.zeros((2, 1, 128), np.float32), []
    for heard in stream:
        feed = {"input": (to_float32(heard) * np.float32(gain))[np.newaxis], "state": state, "sr": rate}
        probability, state = session.run(None, feed)
        reference.append(probability[0])
    states = new_state()[np.newaxis]
    assert np.abs(probabilities(silero, stream, states, gain) - np.array(reference)).max() < 2e-5
    assert np.abs(states[0] - state[:, 0]).max() < 1e-3  # a memory counts up to tens


def test_states_in_one_call_are_heard_as_if_alone(silero: SileroModel, speech: list[np.ndarray]) -> None:
    fresh, drifted = new_state(), silero.silence_state.copy()
    both = np.stack((fresh, drifted))
    together = probabilities(silero, speech[:120], both)
    for row, state in enumerate((fresh, drifted)):
        alone = state[np.newaxis]
        assert np.array_equal(probabilities(silero, speech[:120], alone)[:, 0], together[:, row])
        assert np.array_equal(alone[0], both[row])


def test_wrong_shapes_are_refused(silero: SileroModel) -> None:
    states = new_state()[np.newaxis]
    for wrong in (np.zeros(512, np.int16), np.zeros((1, 576), np.int16), np.zeros(576, np.float32)):
        with pytest.raises(ValueError, match=r"Silero takes int16 of shape \(576,\)"):
            silero.score(wrong, states)
    for wrong in (states[0], states.astype(np.float64), np.zeros((1, 2, 64), np.float32)):
        with pytest.raises(ValueError, match=r"states are float32 of shape \(n, 2, 128\)"):
            silero.score(np.zeros(576, np.int16), wrong)


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
    with pytest.raises(EngineUnavailable, match=r"has no silero_vad_16k_op15.onnx in .*pip install"):
        SileroModel()


def test_another_model_in_its_place_is_refused(
    silero: SileroModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(silero_module, "package_folder", lambda _: tmp_path)
    model = onnx.load(silero.path)
    tensor = next(each for each in model.graph.initializer if each.name.endswith("rnn.weight_ih"))
    tensor.CopyFrom(from_array(np.zeros((512, 64), np.float32), tensor.name))
    (tmp_path / "data").mkdir()
    onnx.save(model, tmp_path / "data" / silero.path.name)
    with pytest.raises(EngineUnavailable, match=r"another model than .*weight_ih of shape \(512, 128\).*pip install"):
        SileroModel()
