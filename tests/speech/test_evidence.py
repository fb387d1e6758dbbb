"""Two decisions: what opens a candidate, confirms it as an utterance, or drops it unseen."""

from collections.abc import Sequence

import pytest

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.detector import VadResult
from trio_stt.settings import Settings
from trio_stt.speech.events import UtteranceEnded, UtteranceEvent, UtteranceStarted
from trio_stt.speech.segmenter import Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig

SILENCE = [0.0] * 30


def segmenter(**changes: object) -> Segmenter:
    return Segmenter(SegmenterConfig.from_settings(Settings(**changes)))  # type: ignore[arg-type] # pydantic checks them


def feed(machine: Segmenter, probabilities: Sequence[float]) -> list[UtteranceEvent]:
    return [event for each in probabilities for event in machine.push(VadResult(rms=1000.0, probability=each))]


@pytest.mark.parametrize(
    ("doubtful", "starts"),
    [
        ([0.96], True),
        ([0.9], False),
        ([0.9, 0.9], False),
        ([0.9, 0.9, 0.9], True),
        ([0.7] * 7, False),
        ([0.7] * 8, True),
        ([0.8, 0.0, 0.8, 0.0, 0.8, 0.8, 0.8, 0.8], True),
        ([0.8, 0.0, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0, 0.8], False),
        ([0.49] * 100, False),
    ],
)
def test_several_windows_confirm_what_one_cannot(doubtful: list[float], starts: bool) -> None:
    assert bool(feed(segmenter(), [*SILENCE, *doubtful])) is starts


def test_utterance_starts_where_its_candidate_opened() -> None:
    (started,) = feed(segmenter(), [*SILENCE, 0.6, 0.6, 0.6, 0.97])
    assert isinstance(started, UtteranceStarted)
    assert started.trigger_sample == started.speech_sample == 30 * WINDOW_SAMPLES
    assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ


def test_candidate_reaches_back_a_second_at_most() -> None:
    machine = segmenter()
    feed(machine, [*SILENCE, *[0.5] * 200])
    assert machine.position_sample - machine.needed_from_sample <= 3.0 * SAMPLE_RATE_HZ
    (started,) = feed(machine, [0.97])
    assert isinstance(started, UtteranceStarted)
    assert machine.position_sample - started.trigger_sample == SAMPLE_RATE_HZ


def test_utterance_reaches_back_over_sound_that_may_be_speech() -> None:
    spoken = [0.97] * 10
    (_, ended, second) = (
        event
        for event in feed(segmenter(), [*SILENCE, *spoken, *[0.3] * 70, *spoken])
        if isinstance(event, UtteranceStarted | UtteranceEnded)
    )
    assert isinstance(ended, UtteranceEnded)
    assert isinstance(second, UtteranceStarted)
    assert second.trigger_sample == 110 * WINDOW_SAMPLES
    assert second.start_sample == ended.clip_end_sample, "no word between the two is lost"
    (_, _, second) = (
        event
        for event in feed(segmenter(), [*SILENCE, *spoken, *[0.1] * 70, *spoken])
        if isinstance(event, UtteranceStarted | UtteranceEnded)
    )
    assert isinstance(second, UtteranceStarted)
    assert second.trigger_sample - second.start_sample == 0.75 * SAMPLE_RATE_HZ


def test_dropped_candidate_is_counted_and_leaves_nothing() -> None:
    machine = segmenter()
    assert feed(machine, [*SILENCE, 0.8, *SILENCE, 0.8, 0.8, *SILENCE]) == []
    assert machine.dropped_candidates == 2
    assert machine.stop() == []


@pytest.mark.contract("4.2")
@pytest.mark.parametrize("sensitivity", [0.05, 0.1])
def test_sensitivity_that_is_set_decides_on_one_window_alone(sensitivity: float) -> None:
    machine = segmenter(silero_sensitivity=sensitivity)
    assert feed(machine, [*SILENCE, *[0.9] * 50]) == []
    assert len(feed(machine, [0.97])) == 1


@pytest.mark.parametrize(
    ("sound", "doubtful"),
    [
        ([0.97] * 4, True),
        ([0.97] * 5, False),
        ([0.7] * 17, True),
        ([0.7] * 18, False),
        ([0.97, *SILENCE[:9]] * 6, True),
    ],
)
def test_utterance_of_little_evidence_is_doubtful(sound: list[float], *, doubtful: bool) -> None:
    machine = segmenter(post_speech_silence_duration=5.0)
    feed(machine, [*SILENCE, *sound])
    assert machine.doubtful is doubtful
    (ended,) = machine.stop()
    assert isinstance(ended, UtteranceEnded)
    assert ended.doubtful is doubtful
    assert not machine.doubtful
