"""Speech is detected however it reaches the microphone: soft, overdriven, from far away, whispered, between zeros.

These tests run the speech pipeline without an engine: they judge what is an utterance. `benchmarks.real_speech
--change` judges the words.
"""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.changed_speech import CHANGES
from tests.support.espeak import say
from tests.support.real_speech import NO_SPEECH, real_recordings
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.silero import SileroModel
from trio_stt.settings import Settings
from trio_stt.speech.events import UtteranceEnded
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.segmenter_config import SegmenterConfig

UNDETECTED = {"far": 0.04, "whispered": 0.1, "high": 0.01, "narrow": 0.01}
"""Share of clips in which Silero itself is never sure."""


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel()


def is_detected(silero: SileroModel, samples: NDArray[np.int16], rate_hz: int) -> bool:
    pipeline = SpeechPipeline(SegmenterConfig.from_settings(Settings()), SpeechDetector(silero))
    pipeline.begin()
    events = [*pipeline.push(samples, rate_hz), *pipeline.stop()]
    return any(isinstance(event, UtteranceEnded) and event.spoken for event in events)


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.long)], ids=["a part", "all"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_speech_is_detected(silero: SileroModel, change: str, every: int) -> None:
    speech = [each for each in real_recordings() if each.kind != NO_SPEECH][::every]
    missed = []
    for recording in speech:
        samples, rate_hz = recording.changed(CHANGES[change])
        if not is_detected(silero, samples[:, 0], rate_hz):
            missed.append(recording.path.name)
    assert len(missed) <= UNDETECTED.get(change, 0.0) * len(speech), missed


WORDS = ["yes", "no", "stop", "go", "help", "one", "two", "left", "right", "hello", "okay", "play"]
VOICES = ["en-us", "en-gb", "en-us+f2", "en-us+f4", "en-us+m3", "en-us+m7", "en-gb+f3", "en-gb-scotland"]


@pytest.mark.parametrize(
    ("voices", "speeds"),
    [(VOICES[:1], [220]), pytest.param(VOICES, [150, 220], marks=pytest.mark.long)],
    ids=["a part", "all"],
)
def test_words_of_200_ms_between_digital_silence_are_detected(
    silero: SileroModel, voices: list[str], speeds: list[int]
) -> None:
    zeros = np.zeros(SAMPLE_RATE_HZ, np.int16)
    missed = [
        (word, voice, speed)
        for word, voice, speed in product(WORDS, voices, speeds)
        if not is_detected(
            silero, np.concatenate([zeros, say(word, voice, words_per_minute=speed), zeros]), SAMPLE_RATE_HZ
        )
    ]
    assert missed == []
