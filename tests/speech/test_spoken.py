"""Utterances with and without enough speech to be transcribed."""

from collections.abc import Sequence

import pytest

from trio_stt.dsp.detector import VadResult
from trio_stt.settings import Settings
from trio_stt.speech.events import SpeculationDue, SpeechEvent, UtteranceEnded, UtteranceStarted
from trio_stt.speech.segmenter import Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig

SILENCE = [0.0] * 30


def events_of(probabilities: Sequence[float], **changes: object) -> list[SpeechEvent]:
    machine = Segmenter(SegmenterConfig.from_settings(Settings(**changes)))  # type: ignore[arg-type] # pydantic checks them
    found: list[SpeechEvent] = []
    for probability in probabilities:
        vad_result = VadResult(rms=1000.0 * probability, probability=probability)
        found += machine.push(vad_result)
    return found


def spoken(events: Sequence[SpeechEvent]) -> list[bool]:
    return [event.spoken for event in events if isinstance(event, UtteranceEnded)]


@pytest.mark.parametrize("preroll_s", [0.0, 0.032, 0.75])
@pytest.mark.parametrize(
    ("word", "enough"),
    [
        ([0.99], False),
        ([0.99, 0.6], False),
        ([0.6, 0.99], False),
        ([0.99, 0.6, 0.4], True),
        ([0.6, 0.7, 0.99], True),
        ([0.6, 0.7, 0.99, 0.8, 0.7], True),
    ],
)
def test_speech_of_100_ms_counts_as_spoken_wherever_it_triggered(
    word: list[float], enough: bool, preroll_s: float
) -> None:
    events = events_of([*SILENCE, *word, *SILENCE], pre_recording_buffer_duration=preroll_s)
    assert spoken(events) == [enough]
    assert any(isinstance(event, SpeculationDue) for event in events) is enough


@pytest.mark.parametrize("sensitivity", [0.7, 0.8, 1.0])
def test_high_sensitivity_counts_soft_speech_as_spoken(sensitivity: float) -> None:
    murmur = [0.32] * 40
    events = events_of([*SILENCE, *murmur, *SILENCE], silero_sensitivity=sensitivity)
    assert spoken(events) == [True]
    assert sum(isinstance(event, UtteranceStarted) for event in events) == 1


def test_rest_of_a_cut_utterance_counts_as_spoken_at_any_length() -> None:
    talk = [0.99] * 40
    events = events_of([*talk, *SILENCE], max_audio_queue_seconds_per_session=1.0, min_length_of_recording=0.0)
    assert spoken(events) == [True, True]
