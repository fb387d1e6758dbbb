"""openWakeWord's models run without its package's code; scores equal those of the package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.dsp.sounds import load, pcm, room_noise, windows
from tests.support.espeak import room, say
from tests.support.real import missing, moonshine_asset, package_folder
from trio_stt.dsp import openwakeword as module
from trio_stt.dsp.embedding import WholeEmbedding
from trio_stt.dsp.openwakeword import FRAME_SAMPLES, OpenWakeWords, load_words
from trio_stt.errors import SettingError

OWN = ["alexa", "hey jarvis", "hey mycroft", "hey rhasspy", "timer", "weather"]


@pytest.fixture(scope="module")
def models() -> Path:
    return package_folder("openwakeword") / "resources" / "models"


@pytest.fixture(scope="module")
def own(models: Path) -> OpenWakeWords:
    assert models.is_dir()
    return load_words([], [])


def labels(words: OpenWakeWords) -> list[str]:
    return [classifier.label for classifier in words.classifiers]


def scores(words: OpenWakeWords, samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """The score of each word after each step, shape (steps, words)."""
    stream, found, steps = words.new_stream(2.0), [], 0
    for number, window in enumerate(windows(samples), 1):
        assert stream.process(window) is None, "nothing reaches a score of 2"
        if number * window.size // FRAME_SAMPLES > steps:
            steps += 1
            found.append(stream.scores)
    return np.array(found)


@pytest.mark.contract("4.10")
def test_empty_list_means_all_words(own: OpenWakeWords) -> None:
    assert labels(own) == OWN


@pytest.mark.contract("4.10")
@pytest.mark.parametrize("spelling", ["jarvis", "Jarvis", "hey_jarvis", "Hey Jarvis", "hey-jarvis", " heyjarvis "])
def test_words_are_accepted_in_any_spelling(own: OpenWakeWords, spelling: str) -> None:
    assert labels(load_words([spelling, "ALEXA", "hey jarvis"], [])) == ["hey jarvis", "alexa"]
    assert len(own.classifiers) == 6


def test_unknown_word_is_refused_with_the_known_ones(models: Path) -> None:
    assert models.is_dir()
    with pytest.raises(SettingError, match=r"^wake_words: openWakeWord has no 'computer'; there are alexa, .*weather$"):
        load_words(["jarvis", "computer"], [])


def test_own_files_are_labelled_by_words_or_file_names(models: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "house.onnx", tmp_path / "ship.ONNX"
    shutil.copy(models / "alexa_v0.1.onnx", first)
    shutil.copy(models / "timer_v0.1.onnx", second)
    assert labels(load_words([], [str(first), str(second)])) == ["house", "ship"]
    assert labels(load_words(["Hey House"], [str(first), str(second)])) == ["Hey House", "ship"]


@pytest.mark.parametrize(
    ("words", "paths", "message"),
    [
        ([], ["missing.onnx"], r"openwakeword_model_paths: there is no file '.*missing\.onnx'"),
        ([], ["model.tflite"], r"openwakeword_model_paths: '.*model\.tflite' is not allowed; expected \.onnx files"),
        ([], ["text.onnx"], r"openwakeword_model_paths: '.*text\.onnx' is no wake-word model: .+"),
        ([], ["other.onnx"], r"openwakeword_model_paths: '.*other\.onnx' is no wake-word model: it takes .*96\]"),
        (
            [],
            ["a/x.onnx", "b/x.onnx"],
            r"openwakeword_model_paths: two files are called 'x'; label them with wake_words",
        ),
        (["one", "two"], ["a/x.onnx"], "wake_words: 2 words cannot label 1 files of openwakeword_model_paths"),
    ],
)
def test_invalid_files_are_refused_in_one_line(
    models: Path, tmp_path: Path, words: list[str], paths: list[str], message: str
) -> None:
    (tmp_path / "model.tflite").touch()
    (tmp_path / "text.onnx").write_text("not a model\n" * 100)
    shutil.copy(models / "melspectrogram.onnx", tmp_path / "other.onnx")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(models / "alexa_v0.1.onnx", tmp_path / folder / "x.onnx")
    with pytest.raises(SettingError, match=f"^{message}$"):
        load_words(words, [str(tmp_path / path) for path in paths])


@pytest.mark.contract("4.10", "11/5")
def test_missing_models_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        monkeypatch.setattr(module, "package_folder", lambda _, found=folder: found)
        with pytest.raises(SettingError, match=r"are not on this machine; run `trio-stt models pull openwakeword`"):
            load_words([], [])


def test_downloaded_models_stand_in_for_the_package(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "package_folder", lambda _: None)
    assert load_words(["alexa"], [], models) is not None


def test_package_is_never_imported(models: Path) -> None:
    assert models.is_dir()
    code = (
        "import sys; from trio_stt.dsp.openwakeword import load_words; load_words([], []); "
        "sys.exit(bool({'openwakeword', 'scipy', 'tflite_runtime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own interpreter


PACKAGE = """
import json, sys
import numpy as np
from openwakeword.model import Model
names = ["alexa", "hey jarvis", "hey mycroft", "hey rhasspy", "timer", "weather"]
model = Model(wakeword_models=list(names), inference_framework="onnx")
samples = np.load(sys.argv[1])
for start in range(0, samples.size - 1279, 1280):
    found = model.predict(samples[start : start + 1280])
    timer = max(found[name] for name in model.class_mapping["timer"].values())
    print(json.dumps([float(found.get(name, timer)) for name in names]))
"""


def test_scores_equal_those_of_the_package(own: OpenWakeWords, tmp_path: Path) -> None:
    spoken = [say("hey jarvis.", "en-gb"), say("alexa.", "en-gb"), say("set a timer for ten minutes.", "en-us")]
    reading = pcm(load(moonshine_asset("beckett.wav")))[: 3 * 16_000]
    samples = np.concatenate([reading, *(part for clip in spoken for part in (room(1.0), clip)), room(1.0)])
    np.save(tmp_path / "samples.npy", samples)
    command = [sys.executable, "-c", PACKAGE, str(tmp_path / "samples.npy")]
    package = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    if package.returncode:
        missing(f"the package openwakeword does not run: {package.stderr[-300:]}")
    expected = np.array([json.loads(line) for line in package.stdout.splitlines()])
    ours = scores(own, samples)
    settled = -(-76 // 8) + 34  # steps after which neither depends on its initial state
    assert np.abs(ours - expected[: len(ours)])[settled:].max() < 1e-5
    assert (ours[settled:].max(axis=0)[:2] > 0.9).all(), "the recording contains words"


def test_resumed_stream_keeps_only_the_background(own: OpenWakeWords) -> None:
    spoken = np.concatenate([say("hey jarvis.", "en-gb"), room(0.2)])
    stream = own.new_stream(0.5)
    fresh = own.new_stream(0.5)
    for window in windows(spoken):
        stream.process(window)
    assert max(stream.scores) > 0.5
    for background in (np.empty(0, np.int16), room(0.3), pcm(room_noise(32_000, 50.0))):
        for one in (stream, fresh):
            one.resume(background)
        assert stream.scores == (0.0,) * 6
        results = [[one.process(window) for window in windows(spoken)] + [one.scores] for one in (stream, fresh)]
        assert results[0] == results[1]


def test_network_that_cannot_be_rewritten_detects_the_same(
    own: OpenWakeWords, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_embedding", WholeEmbedding)
    whole = OpenWakeWords(features=module._Features(models), classifiers=own.classifiers)
    spoken = np.concatenate([say("hey jarvis.", "en-gb"), room(0.5)])
    streams = [words.new_stream(2.0) for words in (own, whole)]
    for background in (np.empty(0, np.int16), pcm(room_noise(32_000, 50.0))):
        for stream in streams:
            stream.rest()
            stream.resume(background)
        for window in windows(spoken):
            for stream in streams:
                stream.process(window)
            np.testing.assert_allclose(streams[0].scores, streams[1].scores, rtol=0, atol=1e-5)


def test_resting_stream_holds_no_state_of_its_own(own: OpenWakeWords) -> None:
    stream = own.new_stream(2.0)
    _, shared = own.features.room_noise
    for window in windows(room(1.0)):
        stream.process(window)
    assert stream._state is not shared
    stream.rest()
    assert stream._state is shared


@pytest.mark.contract("4.10")
def test_best_word_that_reaches_the_sensitivity_is_detected(own: OpenWakeWords) -> None:
    spoken = np.concatenate([room(1.0), say("hey jarvis.", "en-gb"), room(0.5)])
    peak = float(scores(own, spoken).max())
    for sensitivity, expected in ((peak, {"hey jarvis"}), (np.nextafter(peak, 2.0), set())):
        stream = own.new_stream(float(sensitivity))
        assert {word for window in windows(spoken) if (word := stream.process(window))} == expected
