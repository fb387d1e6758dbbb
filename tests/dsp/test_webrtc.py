import numpy as np
import pytest

from tests.dsp.sounds import at_level, load, pcm, windows
from tests.support.real import moonshine_asset
from trio_stt.dsp.webrtc import WebRtcVad


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return windows(pcm(at_level(load(moonshine_asset("beckett.wav")), -20)))


def test_speech_and_silence(speech: np.ndarray) -> None:
    vad = WebRtcVad(3)
    assert not any(vad.is_speech(np.zeros(512, np.int16)) for _ in range(30))
    assert sum(vad.is_speech(window) for window in speech) > 100


@pytest.mark.contract("4.2")
def test_higher_mode_passes_less(speech: np.ndarray) -> None:
    passed = []
    for mode in range(4):
        vad = WebRtcVad(mode)
        passed.append(sum(vad.is_speech(window) for window in speech))
    assert passed == sorted(passed, reverse=True)
    assert passed[0] > passed[3]


@pytest.mark.contract("4.2")
def test_last_two_milliseconds_are_not_used(speech: np.ndarray) -> None:
    whole, cut = WebRtcVad(3), WebRtcVad(3)
    for window in speech:
        shortened = window.copy()
        shortened[480:] = 32767
        assert whole.is_speech(window) == cut.is_speech(shortened)


def test_reset_restores_the_initial_state(speech: np.ndarray) -> None:
    vad = WebRtcVad(2)
    first = [vad.is_speech(window) for window in speech]
    vad.reset()
    assert [vad.is_speech(window) for window in speech] == first


def test_other_modes_and_windows_are_refused() -> None:
    for mode in (-1, 4):
        with pytest.raises(ValueError, match=f"mode is {mode}"):
            WebRtcVad(mode)
    for wrong in (np.zeros(480, np.int16), np.zeros(512, np.float32)):
        with pytest.raises(ValueError, match="a window is int16"):
            WebRtcVad(3).is_speech(wrong)
