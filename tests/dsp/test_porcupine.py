import gc
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.dsp.sounds import windows
from tests.support.espeak import room, say
from tests.support.real import package_folder
from trio_stt.dsp import porcupine as module
from trio_stt.dsp.porcupine import ACCESS_KEY_VARIABLE, PorcupineWords
from trio_stt.errors import SettingError

WINDOW = np.zeros(512, np.int16)


class Handle:
    """A native detector that detects its second word in every loud window."""

    alive = 0
    made: list[dict[str, Any]]
    frame_length = 512

    def __init__(self, **arguments: Any) -> None:
        Handle.made.append(arguments)
        Handle.alive += 1

    def process(self, samples: list[int]) -> int:
        return 1 if max(samples) > 1000 else -1

    def delete(self) -> None:
        Handle.alive -= 1


def install(monkeypatch: pytest.MonkeyPatch, create: Any) -> None:
    package: Any = ModuleType("pvporcupine")
    package.KEYWORDS = {"jarvis", "computer", "hey google"}
    package.create = create
    monkeypatch.setitem(sys.modules, "pvporcupine", package)
    Handle.alive, Handle.made = 0, []


def without_key(keywords: list[str], sensitivities: list[float]) -> Handle:
    return Handle(keywords=keywords, sensitivities=sensitivities)


def with_key(access_key: str, keywords: list[str], sensitivities: list[float]) -> Handle:
    if access_key != "good":
        raise RuntimeError("the key is refused\nmore")
    return Handle(access_key=access_key, keywords=keywords, sensitivities=sensitivities)


@pytest.mark.contract("4.10")
def test_words_are_lower_cased_and_trimmed_and_share_the_sensitivity(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, without_key)
    stream = PorcupineWords(["Jarvis", "hey_Google", "jarvis"]).new_stream(0.7)
    assert stream.process(WINDOW) is None
    assert stream.process(WINDOW + 2000) == "hey google"
    assert Handle.made[-1] == {"keywords": ["jarvis", "hey google"], "sensitivities": [0.7, 0.7]}


def test_newer_package_gets_the_access_key(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, with_key)
    monkeypatch.delenv(ACCESS_KEY_VARIABLE, raising=False)
    with pytest.raises(SettingError, match=f"^wakeword_backend: .* needs an access key in {ACCESS_KEY_VARIABLE}$"):
        PorcupineWords(["jarvis"])
    monkeypatch.setenv(ACCESS_KEY_VARIABLE, "bad")
    with pytest.raises(SettingError, match=r"^wakeword_backend: Porcupine does not start: the key is refused$"):
        PorcupineWords(["jarvis"])
    monkeypatch.setenv(ACCESS_KEY_VARIABLE, "good")
    PorcupineWords(["jarvis"]).new_stream(0.5).process(WINDOW)
    assert Handle.made[-1]["access_key"] == "good"


def test_unknown_words_are_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, without_key)
    with pytest.raises(SettingError, match=r"^wake_words: Porcupine needs at least one word$"):
        PorcupineWords([])
    expected = "^wake_words: Porcupine has no 'alexander'; there are computer, hey google, jarvis$"
    with pytest.raises(SettingError, match=expected):
        PorcupineWords(["jarvis", "Alexander"])
    assert Handle.alive == 0


def test_package_with_another_window_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, without_key)
    monkeypatch.setattr(Handle, "frame_length", 256)
    with pytest.raises(SettingError, match="Porcupine does not start: it takes 256 samples, not 512"):
        PorcupineWords(["jarvis"])
    assert Handle.alive == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("no"), r"needs the package pvporcupine; install it with: pip install .*=="),
        (NotImplementedError("Unsupported platform."), r"pvporcupine cannot be imported: Unsupported platform\."),
    ],
)
def test_failed_import_of_the_package_is_reported(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(_: str) -> ModuleType:
        raise error

    monkeypatch.setattr(module, "importlib", SimpleNamespace(import_module=fail))
    with pytest.raises(SettingError, match=f"^wakeword_backend: .*{message}"):
        PorcupineWords(["jarvis"])


def test_native_detectors_live_no_longer_than_their_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, without_key)
    words = PorcupineWords(["jarvis"])
    assert Handle.alive == 0
    streams = [words.new_stream(0.5) for _ in range(3)]
    assert Handle.alive == 0, "a stream without windows needs none"
    for stream in streams:
        stream.process(WINDOW)
    assert Handle.alive == 3
    streams[0].resume(WINDOW)
    streams[1].rest()
    assert Handle.alive == 1
    streams[0].process(WINDOW)
    streams[1].process(WINDOW)
    assert Handle.alive == 3
    del stream, streams
    gc.collect()
    assert Handle.alive == 0


def test_real_detector_detects_its_word_once_and_can_be_reset() -> None:
    package_folder("pvporcupine")
    importlib.import_module("pvporcupine")
    spoken = np.concatenate([room(1.0), say("computer.", "en-us+f2"), room(1.0)])
    stream = PorcupineWords(["jarvis", "computer"]).new_stream(0.5)
    for _ in range(2):
        assert [word for window in windows(spoken) if (word := stream.process(window))] == ["computer"]
    half = spoken.size // 1024 // 2 * 1024
    for window in windows(spoken[:half]):
        assert stream.process(window) is None
    stream.resume(WINDOW)
    assert not any(stream.process(window) for window in windows(spoken[half:]))
