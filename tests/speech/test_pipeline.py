"""The speech pipeline: packet sizes have no effect; wake words, flush, stop and clear."""

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

Result = list[tuple[SpeechEvent, bytes]]
EventT = TypeVar("EventT", bound=SpeechEvent)

WORD = 9000
"""The level of a wake word; three windows of it are detected as one."""


class WordDetector:
    """Detects windows of one level as a word."""

    def __init__(self) -> None:
        self._run = 0

    def process(self, window: NDArray[np.int16]) -> str | None:
        self._run = self._run + 1 if np.abs(window).max() == WORD else 0
        return "nine thousand" if self._run == 3 else None

    def reset(self) -> None:
        self._run = 0


class RecordingDetector(LoudnessDetector):
    """Records the levels of its windows."""

    def __init__(self) -> None:
        self.levels: list[int] = []

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        self.levels.append(int(window.max()))
        return super().detect(window, speaking=speaking)


class SlowDetector(LoudnessDetector):
    """Detects no speech in the wake word, as a slow detector would."""

    def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
        return super().detect(np.where(window == WORD, 0, window).astype(np.int16), speaking=speaking)


def pipeline(*, wakes: bool = False, detector: LoudnessDetector | None = None, **changes: object) -> SpeechPipeline:
    values = {"max_audio_queue_seconds_per_session": 3.0, "post_speech_silence_duration": 0.3} | changes
    config = Settings(**values)  # type: ignore[arg-type] # pydantic checks them
    wake = WakeMode(WakeConfig.from_settings(config), WordDetector()) if wakes else None
    return SpeechPipeline(SegmenterConfig.from_settings(config), detector or LoudnessDetector(), wake)


def with_clips(stream: SpeechPipeline, events: list[SpeechEvent]) -> Result:
    """The pipeline's events, and with those of an end the audio to transcribe."""
    return [
        (e, stream.clip(e.start_sample, e.clip_end_sample).tobytes() if isinstance(e, UtteranceEnded) else b"")
        for e in events
    ]


def process(stream: SpeechPipeline, samples: NDArray[np.int16], rate_hz: int, cuts: list[int]) -> Result:
    results = with_clips(stream, stream.begin())
    edges = [0, *sorted(cut % (samples.size + 1) for cut in cuts), samples.size]
    for start, end in pairwise(edges):
        results += with_clips(stream, stream.push(samples[start:end], rate_hz))
    return results + with_clips(stream, stream.stop())


# Pieces of speech, noise and silence as (level, length in 10 ms), in any length and order.
stretches = st.lists(st.tuples(st.sampled_from([0, 0, 300, 4000, 9000]), st.integers(1, 150)), max_size=8)


@pytest.mark.contract("4.1", "11/40")
@given(
    stretches=stretches,
    rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    cuts=st.lists(st.integers(0, 2**31), max_size=30),
)
@settings(max_examples=60)
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
@settings(max_examples=60)
def test_packet_sizes_do_not_change_wake_words_and_utterances(
    stretches: list[tuple[int, int]], cuts: list[int], tail_s: float, followup_s: float, delay_s: float
) -> None:
    samples = np.concatenate([sound(level, length / 100) for level, length in [(0, 1), *stretches]])

    def run(cuts: list[int]) -> Result:
        stream = pipeline(
            wakes=True,
            max_audio_queue_seconds_per_session=1.0,
            wake_word_timeout=0.5,
            wake_word_buffer_duration=tail_s,
            wake_word_followup_window=followup_s,
            wake_word_activation_delay=delay_s,
        )
        return process(stream, samples, SAMPLE_RATE_HZ, cuts)

    assert run(cuts) == run([])


def sound(level: int, seconds: float) -> NDArray[np.int16]:
    return np.full(round(seconds * SAMPLE_RATE_HZ), level, np.int16)


def word() -> NDArray[np.int16]:
    """A wake word just long enough to be detected."""
    return sound(WORD, 0.12)


def pause(seconds: float) -> NDArray[np.int16]:
    return sound(0, seconds)


def of(kind: type[EventT], events: Iterable[SpeechEvent]) -> list[EventT]:
    return [event for event in events if isinstance(event, kind)]


def events_of(stream: SpeechPipeline, *parts: NDArray[np.int16]) -> list[SpeechEvent]:
    """The events for one stream of these parts, which is not ended."""
    return stream.begin() + stream.push(np.concatenate(parts), SAMPLE_RATE_HZ)


def levels(stream: SpeechPipeline, ended: UtteranceEnded) -> set[int]:
    clip = stream.clip(ended.start_sample, ended.clip_end_sample)
    return {round(float(level) * 32768) for level in set(clip)} - {0}


def test_events_of_a_wake_cycle_come_in_order() -> None:
    stream = pipeline(wakes=True)
    events = events_of(stream, pause(1), word(), pause(1), sound(4000, 1), pause(1))
    names = [type(event).__name__ for event in events if not type(event).__name__.startswith("S")]
    assert names == [
        "WakeWaitStarted",
        "WakeWordDetected",
        "WakeWaitEnded",
        "UtteranceStarted",
        "UtteranceEnded",
        "WakeWaitStarted",
    ]
    (detected,), (ended,) = of(WakeWordDetected, events), of(UtteranceEnded, events)
    assert detected.word == "nine thousand"
    assert levels(stream, ended) == {4000}


@pytest.mark.parametrize("first_level", [4000, 300, 0])
def test_speech_without_a_wake_word_starts_nothing_and_runs_no_voice_detector(first_level: int) -> None:
    detector = RecordingDetector()
    stream = pipeline(wakes=True, detector=detector)
    assert events_of(stream, sound(first_level, 20)) == [WakeWaitStarted(position_sample=0)]
    assert detector.levels == []
    assert stream.wake_state is WakeState.WAITING
    assert stream.stop() == [WakeWaitEnded(position_sample=20 * SAMPLE_RATE_HZ)]
    assert stream.wake_state is WakeState.OFF


@pytest.mark.parametrize("offset", [0, 1, 100, 511])
@pytest.mark.parametrize("gap_s", [0.0, 0.02, 0.3, 1.0])
def test_utterance_contains_no_sample_from_before_the_detection(offset: int, gap_s: float) -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.1)
    lead = np.zeros(SAMPLE_RATE_HZ + offset, np.int16)
    events = events_of(stream, lead, word(), pause(gap_s), sound(4000, 1), pause(1))
    (detected,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    command = lead.size + word().size + round(gap_s * SAMPLE_RATE_HZ)
    assert detected.position_sample <= started.start_sample <= command
    if command - detected.position_sample <= 0.75 * SAMPLE_RATE_HZ:
        assert started.start_sample == detected.position_sample


def test_end_of_a_wake_word_starts_no_utterance() -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.5)
    events = events_of(stream, pause(1), sound(WORD, 0.5), pause(6))
    assert of(UtteranceStarted, events) == []
    assert len(of(WakeWordTimedOut, events)) == 1
    assert of(WakeWaitStarted, events)[-1] == events[-1]


def test_speech_that_continues_after_the_wake_word_starts_at_the_detection() -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.5)
    events = events_of(stream, pause(1), sound(WORD, 0.5), sound(4000, 1), pause(1))
    (detected,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.start_sample == detected.position_sample
    assert started.trigger_sample - detected.position_sample >= 0.5 * SAMPLE_RATE_HZ


def test_speech_that_begins_after_the_detection_starts_at_once() -> None:
    stream = pipeline(wakes=True, detector=SlowDetector(), wake_word_buffer_duration=1.0)
    events = events_of(stream, pause(0.96), sound(WORD, 0.096), sound(4000, 0.5))
    (detected,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.trigger_sample == started.start_sample == detected.position_sample


def test_detection_replays_earlier_audio_to_the_voice_detector() -> None:
    detector = RecordingDetector()
    stream = pipeline(wakes=True, detector=detector, pre_recording_buffer_duration=0.0)
    stream.begin()
    for _ in range(20):
        stream.push(sound(300, 1), SAMPLE_RATE_HZ)
    stream.push(sound(WORD, 0.096), SAMPLE_RATE_HZ)
    assert detector.levels == [300] * 13 + [WORD] * 3


def test_zero_buffer_duration_keeps_the_whole_pre_roll() -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.0)
    events = events_of(stream, pause(2), word(), pause(0.2), sound(4000, 1), pause(1))
    (detected,), (started,) = of(WakeWordDetected, events), of(UtteranceStarted, events)
    assert started.start_sample == started.trigger_sample - 0.75 * SAMPLE_RATE_HZ
    assert started.start_sample < detected.position_sample


def test_followup_utterance_needs_no_word_and_has_its_whole_pre_roll() -> None:
    stream = pipeline(wakes=True, wake_word_followup_window=3.0)
    talk = (sound(4000, 1), pause(2))
    events = events_of(stream, pause(1), word(), pause(1), *talk, *talk, *talk, pause(4))
    assert len(of(UtteranceEnded, events)) == len(of(FollowupStarted, events)) == 3
    for started in of(UtteranceStarted, events)[1:]:
        assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ
    assert [type(event) for event in events[-2:]] == [FollowupExpired, WakeWaitStarted]


def test_rejected_utterance_opens_no_followup_window() -> None:
    stream = pipeline(wakes=True, wake_word_followup_window=3.0)
    events_of(stream, pause(1), word(), pause(1), sound(4000, 1))
    stream.reject_utterance()
    assert isinstance(stream.push(pause(1), SAMPLE_RATE_HZ)[-1], WakeWaitStarted)


def test_utterance_cut_at_the_maximum_length_continues_without_a_wake_word() -> None:
    stream = pipeline(wakes=True)
    events = events_of(stream, pause(1), word(), pause(1), sound(4000, 7), pause(1))
    ended = of(UtteranceEnded, events)
    assert [event.forced for event in ended] == [True, True, False]
    assert [after.start_sample for after in ended[1:]] == [before.clip_end_sample for before in ended[:-1]]
    assert len(of(WakeWordDetected, events)) == 1
    assert isinstance(events[-1], WakeWaitStarted)


def test_stop_ends_the_running_utterance_and_no_followup_begins() -> None:
    stream = pipeline(wakes=True, wake_word_followup_window=3.0)
    events_of(stream, pause(1), word(), pause(1), sound(4000, 1))
    assert [type(event) for event in stream.stop()] == [UtteranceEnded]
    assert stream.wake_state is WakeState.OFF


def test_flush_ends_the_running_utterance_and_the_stream_continues() -> None:
    stream = pipeline(wakes=True, wake_word_followup_window=3.0)
    events_of(stream, pause(1), word(), pause(1), sound(4000, 1.01))
    ended, followup = stream.flush()
    assert isinstance(ended, UtteranceEnded)
    assert ended.clip_end_sample == stream.position_sample == round(3.13 * SAMPLE_RATE_HZ)
    assert followup == FollowupStarted(position_sample=stream.position_sample, duration_samples=3 * SAMPLE_RATE_HZ)
    (again,) = of(UtteranceStarted, stream.push(sound(7000, 0.5), SAMPLE_RATE_HZ))
    assert again.start_sample == ended.clip_end_sample


@pytest.mark.parametrize("after", [[], [pause(0.5)], [pause(0.5), sound(4000, 1)]])
def test_after_clear_a_new_word_is_needed_and_nothing_from_before_counts(after: list[NDArray[np.int16]]) -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.0)
    events_of(stream, pause(1), word(), *after)
    events = stream.clear()
    cleared = stream.position_sample
    assert [type(event) for event in events if not isinstance(event, UtteranceAborted)] == [WakeWaitStarted]
    assert stream.push(sound(4000, 1), SAMPLE_RATE_HZ) == []
    (started,) = of(UtteranceStarted, stream.push(sound(WORD, 1), SAMPLE_RATE_HZ))
    assert started.start_sample >= cleared


def test_cleared_audio_does_not_reach_the_detector() -> None:
    detector = RecordingDetector()
    stream = pipeline(wakes=True, detector=detector)
    events_of(stream, sound(4000, 3))
    stream.clear()
    stream.push(word(), SAMPLE_RATE_HZ)
    assert set(detector.levels) == {WORD}


def test_wake_word_interrupted_by_clear_is_not_detected() -> None:
    stream = pipeline(wakes=True)
    events_of(stream, pause(0.96), sound(WORD, 0.064))
    stream.clear()
    assert stream.push(np.concatenate([sound(WORD, 0.064), pause(1)]), SAMPLE_RATE_HZ) == []


def test_speech_in_the_activation_delay_needs_no_word() -> None:
    stream = pipeline(wakes=True, wake_word_activation_delay=2.0)
    events = events_of(stream, pause(1), sound(4000, 0.5), pause(5))
    assert len(of(UtteranceEnded, events)) == 1
    assert [type(event) for event in events[-2:]] == [WakeWordTimedOut, WakeWaitStarted]
    assert events[-1] == WakeWaitStarted(position_sample=of(UtteranceEnded, events)[0].end_sample + 2 * SAMPLE_RATE_HZ)


def test_long_wait_keeps_a_second_of_audio() -> None:
    stream = pipeline(wakes=True, wake_word_buffer_duration=0.5, pre_recording_buffer_duration=0.75)
    stream.begin()
    for _ in range(300):
        stream.push(sound(4000, 1), SAMPLE_RATE_HZ)
    with pytest.raises(IndexError):
        stream.clip(stream.position_sample - 5 * SAMPLE_RATE_HZ, stream.position_sample)


@pytest.mark.contract("4.1")
def test_change_of_the_sample_rate_keeps_every_sample() -> None:
    stream = pipeline()
    for rate_hz in (48_000, 8_000, 16_000, 44_100):
        stream.push(np.full(rate_hz, 5000, np.int16), rate_hz)
    stream.stop()
    assert abs(stream.position_sample - 4 * 16_000) <= 3


@pytest.mark.contract("4.9", "11/14")
def test_cleared_audio_is_in_no_later_utterance() -> None:
    stream = pipeline()
    stream.begin()
    stream.push(np.full(20_000, 5000, np.int16), 16_000)
    stream.clear()
    cleared = stream.position_sample
    assert cleared == 20_000
    stream.push(np.full(5_000, 7000, np.int16), 16_000)
    ended = next(event for event in stream.stop() if isinstance(event, UtteranceEnded))
    assert ended.start_sample == cleared
    assert set(stream.clip(ended.start_sample, ended.clip_end_sample)) == {np.float32(7000 / 32768)}
