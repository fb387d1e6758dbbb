"""However audio is split, the listener hears the same."""

from collections.abc import Iterable
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.conversation import LoudnessDetector
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.detector import VadResult
from trio_stt.settings import Settings
from trio_stt.speech.events import (
    FollowupExpired,
    FollowupStarted,
    SpeechEvent,
    UtteranceAborted,
    UtteranceEnded,
    UtteranceStarted,
    WakeWaitEnded,
    WakeWaitStarted,
    WakeWordDetected,
    WakeWordTimedOut,
)
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.segmenter_config import SegmenterConfig
from trio_stt.speech.wake_mode import WakeConfig, WakeMode, WakeState

Heard = list[tuple[SpeechEvent, bytes]]
EventT = TypeVar("EventT", bound=SpeechEvent)

WORD = 9000
"""The level of a wake word; three windows of it are heard as one."""


class WordDetector:
    """Hears windows of one level as a word."""

    def __init__(self) -> None:
        self._run = 0

    def process(self, window: NDArray[np.int16]) -> str | None:
        self._run = self._run + 1 if np.abs(window).max() == WORD else 0
        return "nine thousand" if self._run == 3 else None

    def reset(self) -> None:
        self._run = 0


class AskedDetector(LoudnessDetector):
    """Takes down the levels of the windows that it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        self.asked.append(int(window.max()))
        return super().detect(window, speaking=speaking)


class DeafDetector(LoudnessDetector):
    """Does not take the wake word for speech, as a detector may that is slow to hear."""

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        return super().detect(np.where(window == WORD, 0, window).astype(np.int16), speaking=speaking)


def pipeline(*, wakes: bool = False, detector: LoudnessDetector | None = None, **changes: object) -> SpeechPipeline:
    values = {"max_audio_queue_seconds_per_session": 3.0, "post_speech_silence_duration": 0.3} | changes
    config = Settings(**values)  # type: ignore[arg-type] # pydantic checks them
    wake = WakeMode(WakeConfig.of(config), WordDetector()) if wakes else None
    return SpeechPipeline(SegmenterConfig.of(config), detector or LoudnessDetector(), wake)


def with_clips(hearing: SpeechPipeline, events: list[SpeechEvent]) -> Heard:
    """Events, those of an end with the audio to transcribe."""
    return [
        (e, hearing.clip(e.start_sample, e.clip_end_sample).tobytes() if isinstance(e, UtteranceEnded) else b"")
        for e in events
    ]


def process(hearing: SpeechPipeline, samples: NDArray[np.int16], rate_hz: int, cuts: list[int]) -> Heard:
    heard = with_clips(hearing, hearing.begin())
    edges = [0, *sorted(cut % (samples.size + 1) for cut in cuts), samples.size]
    for start, end in pairwise(edges):
        heard += with_clips(hearing, hearing.push(samples[start:end], rate_hz))
    return heard + with_clips(hearing, hearing.stop())


# Stretches of (level, length in 10 ms): speech, noise and silence of any length and order.
stretches = st.lists(st.tuples(st.sampled_from([0, 0, 300, 4000, 9000]), st.integers(1, 150)), max_size=8)


@pytest.mark.contract("4.1", "11/40")
@given(
    stretches=stretches,
    rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    cuts=st.lists(st.integers(0, 2**31), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_packet_sizes_do_not_change_the_utterances(
    stretches: list[tuple[int, int]], rate_hz: int, cuts: list[int]
) -> None:
    wave = np.sin(np.arange(rate_hz // 100) * 2 * np.pi * 5 / (rate_hz // 100))
    pieces = [np.tile(wave * level, length) for level, length in stretches]
    samples = np.concatenate([np.zeros(0), *pieces]).astype(np.int16)
    assert process(pipeline(), samples, rate_hz, cuts) == process(pipeline(), samples, rate_hz, [])


@given(
    stretches=st.lists(st.tuples(st.sampled_from([0, 0, 300, 4000, WORD, WORD]), st.integers(1, 80)), max_size=12),
    cuts=st.lists(st.integers(0, 2**31), max_size=30),
    tail_s=st.sampled_from([0.0, 0.1, 0.5]),
    followup_s=st.sampled_from([0.0, 0.4]),
    delay_s=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_packet_sizes_do_not_change_wake_words_and_utterances(
    stretches: list[tuple[int, int]], cuts: list[int], tail_s: float, followup_s: float, delay_s: float
) -> None:
    samples = np.concatenate([said(level, length / 100) for level, length in [(0, 1), *stretches]])

    def heard(cuts: list[int]) -> Heard:
        hearing = pipeline(
            wakes=True,
            max_audio_queue_seconds_per_session=1.0,
            wake_word_timeout=0.5,
            wake_word_buffer_duration=tail_s,
            wake_word_followup_window=followup_s,
            wake_word_activation_delay=delay_s,
        )
        return process(hearing, samples, SAMPLE_RATE_HZ, cuts)

    assert heard(cuts) == heard([])


def said(level: int, seconds: float) -> NDArray[np.int16]:
    return np.full(round(seconds * SAMPLE_RATE_HZ), level, np.int16)


def word() -> NDArray[np.int16]:
    """Just long enough to be heard."""
    return said(WORD, 0.12)


def pause(seconds: float) -> NDArray[np.int16]:
    return said(0, seconds)


def of(kind: type[EventT], events: Iterable[SpeechEvent]) -> list[EventT]:
    return [event for event in events if isinstance(event, kind)]


def spoken_to(hearing: SpeechPipeline, *parts: NDArray[np.int16]) -> list[SpeechEvent]:
    """What comes of one stream of these parts, without its end."""
    return hearing.begin() + hearing.push(np.concatenate(parts), SAMPLE_RATE_HZ)


def levels(hearing: SpeechPipeline, ended: UtteranceEnded) -> set[int]:
    clip = hearing.clip(ended.start_sample, ended.clip_end_sample)
    return {round(float(level) * 32768) for level in set(clip)} - {0}


def test_events_of_a_wake_cycle_come_in_order() -> None:
    hearing = pipeline(wakes=True)
    events = spoken_to(hearing, pause(1), word(), pause(1), said(4000, 1), pause(1))
    names = [type(event).__name__ for event in events if not type(event).__name__.startswith("S")]
    assert names == [
        "WakeWaitStarted",
        "WakeWordDetected",
        "WakeWaitEnded",
        "UtteranceStarted",
        "UtteranceEnded",
        "WakeWaitStarted",
    ]
    (heard,), (ended,) = of(WakeWordDetected, events), of(UtteranceEnded, events)
    assert heard.word == "nine thousand"
    assert levels(hearing, ended) == {4000}


@pytest.mark.parametrize("said_first", [4000, 300, 0])
def test_speech_without_a_wake_word_starts_nothing_and_runs_no_voice_detector(said_first: int) -> None:
    detector = AskedDetector()
    hearing = pipeline(wakes=True, detector=detector)
    assert spoken_to(hearing, said(said_first, 20)) == [WakeWaitStarted(position_sample=0)]
    assert detector.asked == []
    assert hearing.wake_state is WakeState.WAITING
    assert hearing.stop() == [WakeWaitEnded(position_sample=20 * SAMPLE_RATE_HZ)]
    assert hearing.wake_state is WakeState.OFF


@pytest.mark.parametrize("offset", [0, 1, 100, 511])
@pytest.mark.parametrize("gap_s", [0.0, 0.02, 0.3, 1.0])
def test_utterance_contains_no_sample_from_before_the_detection(offset: int, gap_s: float) -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.1)
    lead = np.zeros(SAMPLE_RATE_HZ + offset, np.int16)
    events = spoken_to(hearing, lead, word(), pause(gap_s), said(4000, 1), pause(1))
    (heard,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    command = lead.size + word().size + round(gap_s * SAMPLE_RATE_HZ)
    assert heard.position_sample <= started.start_sample <= command
    if command - heard.position_sample <= 0.75 * SAMPLE_RATE_HZ:
        assert started.start_sample == heard.position_sample


def test_end_of_a_wake_word_starts_no_utterance() -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.5)
    events = spoken_to(hearing, pause(1), said(WORD, 0.5), pause(6))
    assert of(UtteranceStarted, events) == []
    assert len(of(WakeWordTimedOut, events)) == 1
    assert of(WakeWaitStarted, events)[-1] == events[-1]


def test_speech_that_continues_after_the_wake_word_starts_at_the_detection() -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.5)
    events = spoken_to(hearing, pause(1), said(WORD, 0.5), said(4000, 1), pause(1))
    (heard,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.start_sample == heard.position_sample
    assert started.trigger_sample - heard.position_sample >= 0.5 * SAMPLE_RATE_HZ


def test_speech_that_begins_after_the_detection_starts_at_once() -> None:
    hearing = pipeline(wakes=True, detector=DeafDetector(), wake_word_buffer_duration=1.0)
    events = spoken_to(hearing, pause(0.96), said(WORD, 0.096), said(4000, 0.5))
    (heard,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.trigger_sample == started.start_sample == heard.position_sample


def test_detection_replays_earlier_audio_to_the_voice_detector() -> None:
    detector = AskedDetector()
    hearing = pipeline(wakes=True, detector=detector, pre_recording_buffer_duration=0.0)
    hearing.begin()
    for _ in range(20):
        hearing.push(said(300, 1), SAMPLE_RATE_HZ)
    hearing.push(said(WORD, 0.096), SAMPLE_RATE_HZ)
    assert detector.asked == [300] * 13 + [WORD] * 3


def test_zero_buffer_duration_keeps_the_whole_pre_roll() -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.0)
    events = spoken_to(hearing, pause(2), word(), pause(0.2), said(4000, 1), pause(1))
    (heard,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.start_sample == started.trigger_sample - 0.75 * SAMPLE_RATE_HZ
    assert started.start_sample < heard.position_sample


def test_followup_utterance_needs_no_word_and_has_its_whole_pre_roll() -> None:
    hearing = pipeline(wakes=True, wake_word_followup_window=3.0)
    talk = (said(4000, 1), pause(2))
    events = spoken_to(hearing, pause(1), word(), pause(1), *talk, *talk, *talk, pause(4))
    assert len(of(UtteranceEnded, events)) == len(of(FollowupStarted, events)) == 3
    for started in of(UtteranceStarted, events)[1:]:
        assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ
    assert [type(event) for event in events[-2:]] == [FollowupExpired, WakeWaitStarted]


def test_rejected_utterance_opens_no_followup_window() -> None:
    hearing = pipeline(wakes=True, wake_word_followup_window=3.0)
    spoken_to(hearing, pause(1), word(), pause(1), said(4000, 1))
    hearing.reject_utterance()
    assert isinstance(hearing.push(pause(1), SAMPLE_RATE_HZ)[-1], WakeWaitStarted)


def test_utterance_cut_at_the_maximum_length_continues_without_a_wake_word() -> None:
    hearing = pipeline(wakes=True)
    events = spoken_to(hearing, pause(1), word(), pause(1), said(4000, 7), pause(1))
    ended = of(UtteranceEnded, events)
    assert [event.forced for event in ended] == [True, True, False]
    assert [after.start_sample for after in ended[1:]] == [before.clip_end_sample for before in ended[:-1]]
    assert len(of(WakeWordDetected, events)) == 1
    assert isinstance(events[-1], WakeWaitStarted)


def test_stop_ends_the_running_utterance_and_no_followup_begins() -> None:
    hearing = pipeline(wakes=True, wake_word_followup_window=3.0)
    spoken_to(hearing, pause(1), word(), pause(1), said(4000, 1))
    assert [type(event) for event in hearing.stop()] == [UtteranceEnded]
    assert hearing.wake_state is WakeState.OFF


def test_flush_ends_the_running_utterance_and_the_stream_continues() -> None:
    hearing = pipeline(wakes=True, wake_word_followup_window=3.0)
    spoken_to(hearing, pause(1), word(), pause(1), said(4000, 1.01))
    ended, followup = hearing.flush()
    assert isinstance(ended, UtteranceEnded)
    assert ended.clip_end_sample == hearing.position_sample == round(3.13 * SAMPLE_RATE_HZ)
    assert followup == FollowupStarted(position_sample=hearing.position_sample, duration_samples=3 * SAMPLE_RATE_HZ)
    (again,) = of(UtteranceStarted, hearing.push(said(7000, 0.5), SAMPLE_RATE_HZ))
    assert again.start_sample == ended.clip_end_sample


@pytest.mark.parametrize("after", [[], [pause(0.5)], [pause(0.5), said(4000, 1)]])
def test_after_clear_a_new_word_is_needed_and_nothing_from_before_counts(after: list[NDArray[np.int16]]) -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.0)
    spoken_to(hearing, pause(1), word(), *after)
    events = hearing.clear()
    cleared = hearing.position_sample
    assert [type(event) for event in events if not isinstance(event, UtteranceAborted)] == [WakeWaitStarted]
    assert hearing.push(said(4000, 1), SAMPLE_RATE_HZ) == []
    (started,) = of(UtteranceStarted, hearing.push(said(WORD, 1), SAMPLE_RATE_HZ))
    assert started.start_sample >= cleared


def test_cleared_audio_does_not_reach_the_detector() -> None:
    detector = AskedDetector()
    hearing = pipeline(wakes=True, detector=detector)
    spoken_to(hearing, said(4000, 3))
    hearing.clear()
    hearing.push(word(), SAMPLE_RATE_HZ)
    assert set(detector.asked) == {WORD}


def test_wake_word_interrupted_by_clear_is_not_detected() -> None:
    hearing = pipeline(wakes=True)
    spoken_to(hearing, pause(0.96), said(WORD, 0.064))
    hearing.clear()
    assert hearing.push(np.concatenate([said(WORD, 0.064), pause(1)]), SAMPLE_RATE_HZ) == []


def test_speech_in_the_activation_delay_needs_no_word() -> None:
    hearing = pipeline(wakes=True, wake_word_activation_delay=2.0)
    events = spoken_to(hearing, pause(1), said(4000, 0.5), pause(5))
    assert len(of(UtteranceEnded, events)) == 1
    assert [type(event) for event in events[-2:]] == [WakeWordTimedOut, WakeWaitStarted]
    assert events[-1] == WakeWaitStarted(position_sample=of(UtteranceEnded, events)[0].end_sample + 2 * SAMPLE_RATE_HZ)


def test_long_wait_keeps_a_second_of_audio() -> None:
    hearing = pipeline(wakes=True, wake_word_buffer_duration=0.5, pre_recording_buffer_duration=0.75)
    hearing.begin()
    for _ in range(300):
        hearing.push(said(4000, 1), SAMPLE_RATE_HZ)
    with pytest.raises(IndexError):
        hearing.clip(hearing.position_sample - 5 * SAMPLE_RATE_HZ, hearing.position_sample)


@pytest.mark.contract("4.1")
def test_change_of_the_sample_rate_keeps_every_sample() -> None:
    hearing = pipeline()
    for rate_hz in (48_000, 8_000, 16_000, 44_100):
        hearing.push(np.full(rate_hz, 5000, np.int16), rate_hz)
    hearing.stop()
    assert abs(hearing.position_sample - 4 * 16_000) <= 3


@pytest.mark.contract("4.9", "11/14")
def test_cleared_audio_is_in_no_later_utterance() -> None:
    hearing = pipeline()
    hearing.begin()
    hearing.push(np.full(20_000, 5000, np.int16), 16_000)
    hearing.clear()
    cleared = hearing.position_sample
    assert cleared == 20_000
    hearing.push(np.full(5_000, 7000, np.int16), 16_000)
    ended = next(event for event in hearing.stop() if isinstance(event, UtteranceEnded))
    assert ended.start_sample == cleared
    assert set(hearing.clip(ended.start_sample, ended.clip_end_sample)) == {np.float32(7000 / 32768)}
