import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto
from onnx.numpy_helper import from_array

from tests.dsp.sounds import at_level, load, pcm, silero_inputs
from tests.support.real import moonshine_asset
from trio_stt.dsp import silero as silero_module
from trio_stt.dsp import silero_network
from trio_stt.dsp.kernels import to_float32
from trio_stt.dsp.silero import SileroModel, new_state
from trio_stt.errors import EngineUnavailable


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    return silero_inputs(pcm(at_level(load(moonshine_asset("beckett.wav")), -20)))


def probabilities(model: SileroModel, stream: list[np.ndarray], states: np.ndarray, gain: float = 1) -> np.ndarray:
    return np.stack([model.score(window, states, np.float32(gain)) for window in stream])


@pytest.mark.contract("4.2")
def test_speech_is_probable_and_silence_is_not(silero: SileroModel, speech: list[np.ndarray]) -> None:
    assert probabilities(silero, [np.zeros(576, np.int16)] * 60, new_state()[np.newaxis]).max() < 0.1
    assert probabilities(silero, speech, new_state()[np.newaxis]).max() > 0.99


NOISE = np.random.default_rng(0).integers(-32768, 32768, 51_200).astype(np.int16)


@pytest.mark.parametrize("gain", [0.25, 1.0, 16.0])
@pytest.mark.parametrize("sound", ["speech", "full-scale noise", "silence"])
def test_probabilities_and_states_equal_those_of_onnxruntime(
    silero: SileroModel, speech: list[np.ndarray], sound: str, gain: float
) -> None:
    others = {"full-scale noise": silero_inputs(NOISE), "silence": [np.zeros(576, np.int16)] * 100}
    stream = others.get(sound, speech)
    session = onnxruntime.InferenceSession(silero.path, providers=["CPUExecutionProvider"])
    rate, state, reference = np.array(16_000), np.zeros((2, 1, 128), np.float32), []
    for window in stream:
        feed = {"input": (to_float32(window) * np.float32(gain))[np.newaxis], "state": state, "sr": rate}
        probability, state = session.run(None, feed)
        reference.append(probability[0])
    states = new_state()[np.newaxis]
    assert np.abs(probabilities(silero, stream, states, gain) - np.array(reference)).max() < 2e-5
    assert np.abs(states[0] - state[:, 0]).max() < 1e-3  # values of the LSTM's cell state reach tens


def test_states_of_one_call_do_not_affect_each_other(silero: SileroModel, speech: list[np.ndarray]) -> None:
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


def test_missing_model_names_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        monkeypatch.setattr(silero_module, "package_folder", lambda _, found=folder: found)
        with pytest.raises(EngineUnavailable, match=r"silero_vad_16k_op15.onnx and .* are missing; run `.*pip install"):
            SileroModel()


@pytest.fixture
def of_faster_whisper(monkeypatch: pytest.MonkeyPatch) -> Callable[[], SileroModel]:
    """Loads the model where silero-vad is not installed."""
    find = silero_module.package_folder
    monkeypatch.setattr(silero_module, "package_folder", lambda name: None if name == "silero_vad" else find(name))
    return SileroModel


def test_without_silero_vad_the_model_of_faster_whisper_is_used(
    of_faster_whisper: Callable[[], SileroModel],
    speech: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fast = of_faster_whisper()
    assert fast.path.name == "silero_vad_v6.onnx"
    assert not caplog.records, "it needs no fallback"
    assert probabilities(fast, [np.zeros(576, np.int16)] * 60, new_state()[np.newaxis]).max() < 0.1
    monkeypatch.setitem(sys.modules, "trio_stt.dsp.silero_network", None)
    slow = of_faster_whisper()
    found = [probabilities(model, speech, np.stack([new_state(), model.silence_state])) for model in (fast, slow)]
    assert found[0].max() > 0.99
    assert np.abs(found[0] - found[1]).max() < 2e-5


def test_both_models_find_the_same_speech(
    silero: SileroModel, of_faster_whisper: Callable[[], SileroModel], speech: list[np.ndarray]
) -> None:
    one, other = (
        probabilities(model, speech, new_state()[np.newaxis])[:, 0] > 0.5 for model in (silero, of_faster_whisper())
    )
    assert (one == other).mean() > 0.95


@pytest.fixture
def copied_model(silero: SileroModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], ModelProto]:
    """The model file, loaded. A test saves a changed copy with `onnx.save` where SileroModel then loads it."""
    monkeypatch.setattr(silero_module, "package_folder", lambda _: tmp_path)
    (tmp_path / "data").mkdir()
    return lambda: onnx.load(silero.path)


def save(model: ModelProto, tmp_path: Path, silero: SileroModel) -> None:
    onnx.save(model, tmp_path / "data" / silero.path.name)


def runs_in_onnxruntime(model: SileroModel, caplog: pytest.LogCaptureFixture, speech: list[np.ndarray]) -> str:
    """Check that a model detects speech without the Numba network; returns the warning's reason."""
    assert probabilities(model, speech, model.silence_state[np.newaxis].copy()).max() > 0.99
    assert probabilities(model, [np.zeros(576, np.int16)] * 60, new_state()[np.newaxis]).max() < 0.1
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    start = (
        "voice detection falls back to onnxruntime, at three times the CPU time; "
        "the fast Silero network cannot be used: "
    )
    assert warning.startswith(start)
    return warning.removeprefix(start)


def test_renamed_tensor_falls_back_to_onnxruntime(
    silero: SileroModel,
    speech: list[np.ndarray],
    copied_model: Callable[[], ModelProto],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = copied_model()
    (tensor,) = [each for each in model.graph.initializer if each.name.endswith("decoder.2.bias")]
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if name == tensor.name:
                node.input[at] = "another.name"
    tensor.name = "another.name"
    save(model, tmp_path, silero)
    reason = runs_in_onnxruntime(SileroModel(), caplog, speech)
    assert reason.endswith("has no tensor decoder.decoder.2.bias of shape (1,)")


def test_disagreeing_weights_fall_back_to_onnxruntime(
    speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = silero_network._read_weights

    def broken(path: Path) -> silero_network.Weights:
        weights = read(path)
        return weights._replace(cell_from_output=weights.cell_from_output * np.float32(1.05))

    monkeypatch.setattr(silero_network, "_read_weights", broken)
    assert runs_in_onnxruntime(SileroModel(), caplog, speech) == "it does not agree with onnxruntime on a test signal"


def test_failed_import_falls_back_to_onnxruntime(
    speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "trio_stt.dsp.silero_network", None)
    assert "silero_network" in runs_in_onnxruntime(SileroModel(), caplog, speech)


def test_both_implementations_agree_and_need_no_fallback(caplog: pytest.LogCaptureFixture) -> None:
    SileroModel()
    assert not caplog.records


@pytest.mark.parametrize("states", [1, 2])
def test_fallback_scores_states_like_the_fast_network(
    silero: SileroModel, speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, states: int
) -> None:
    monkeypatch.setitem(sys.modules, "trio_stt.dsp.silero_network", None)
    fallback = SileroModel()
    fast_states = np.stack([new_state(), silero.silence_state])[:states]
    slow_states = fast_states.copy()
    for window in speech[:60]:
        fast, slow = (
            model.score(window, rows, np.float32(3)) for model, rows in ((silero, fast_states), (fallback, slow_states))
        )
        assert slow.dtype == np.float32
        assert slow.shape == (states,)
        assert np.abs(fast - slow).max() < 2e-5
    assert np.abs(fast_states - slow_states).max() < 1e-3


def test_another_model_is_refused(silero: SileroModel, copied_model: Callable[[], ModelProto], tmp_path: Path) -> None:
    model = copied_model()
    tensor = next(each for each in model.graph.initializer if each.name.endswith("rnn.weight_ih"))
    tensor.CopyFrom(from_array(np.zeros((512, 64), np.float32), tensor.name))
    save(model, tmp_path, silero)
    with pytest.raises(EngineUnavailable, match=r"does not run as Silero's model: "):
        SileroModel()


def test_telemetry_of_onnxruntime_is_off_before_its_import() -> None:
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import trio_stt.app, trio_stt.cli, trio_stt.dsp.silero\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    assert result.stdout.split() == ["1"]
