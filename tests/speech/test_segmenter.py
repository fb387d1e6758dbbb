from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.detector import VadResult
from trio_stt.settings import Settings
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechEvent,
    SpeechResumed,
    UtteranceAborted,
    UtteranceEnded,
    UtteranceStarted,
)
from trio_stt.speech.segmenter import Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig

SPEECH = VadResult(rms=2000.0, probability=0.99)
MURMUR = VadResult(rms=500.0, probability=0.6)
SILENCE = VadResult(rms=10.0, probability=0.0)


def windows(seconds: float) -> int:
    """A duration in whole windows, rounded up."""
    return -(-round(seconds * SAMPLE_RATE_HZ) // WINDOW_SAMPLES)


def segmenter(**changes: object) -> Segmenter:
    return Segmenter(SegmenterConfig.from_settings(Settings(**changes)))  # type: ignore[arg-type] # pydantic checks them


def feed(machine: Segmenter, vad_result: VadResult, count: int) -> list[SpeechEvent]:
    return [event for _ in range(count) for event in machine.push(vad_result)]


def kinds(events: Iterable[SpeechEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def ends(events: Iterable[SpeechEvent]) -> list[UtteranceEnded]:
    return [event for event in events if isinstance(event, UtteranceEnded)]


def starts(events: Iterable[SpeechEvent]) -> list[UtteranceStarted]:
    return [event for event in events if isinstance(event, UtteranceStarted)]


def test_new_settings_apply_from_the_next_utterance_on() -> None:
    machine = segmenter()
    shorter = Settings(post_speech_silence_duration=0.2, pre_recording_buffer_duration=2.0)
    feed(machine, SILENCE, 100)
    feed(machine, SPEECH, 10)
    machine.configure(SegmenterConfig.from_settings(shorter))
    (ended,) = ends(feed(machine, SILENCE, windows(0.7)))
    assert ended.end_sample - ended.speech_end_sample == windows(0.55) * WINDOW_SAMPLES
    (started,) = starts(feed(machine, SPEECH, 10))
    assert started.start_sample == ended.clip_end_sample  # audio before it was transcribed
    (ended,) = ends(feed(machine, SILENCE, windows(0.7)))
    assert ended.end_sample - ended.speech_end_sample == windows(0.2) * WINDOW_SAMPLES
    feed(machine, SILENCE, windows(3.0))
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.trigger_sample - started.start_sample == 2.0 * SAMPLE_RATE_HZ


def test_longer_pre_roll_does_not_reach_back_to_forgotten_audio() -> None:
    machine = segmenter(pre_recording_buffer_duration=0.1)
    feed(machine, SILENCE, 100)
    forgotten = machine.needed_from_sample
    machine.configure(SegmenterConfig.from_settings(Settings(pre_recording_buffer_duration=2.0)))
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.start_sample == forgotten


@pytest.mark.contract("4.2", "4.3")
def test_utterance_starts_at_the_first_window_above_the_threshold_with_pre_roll() -> None:
    machine = segmenter()
    assert feed(machine, SILENCE, 100) == []
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.trigger_sample == 100 * WINDOW_SAMPLES
    assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ


@pytest.mark.contract("4.4", "4.14")
def test_silence_counts_from_the_last_speech_and_the_confirmation_runs_inside_it() -> None:
    machine = segmenter(post_speech_silence_duration=0.55)
    feed(machine, SPEECH, 20)
    events = feed(machine, SILENCE, windows(0.55))
    assert kinds(events) == ["SilenceConfirmed", "SpeculationDue", "UtteranceEnded"]
    (ended,) = ends(events)
    assert ended.speech_end_sample == 20 * WINDOW_SAMPLES
    assert ended.end_sample - ended.speech_end_sample == windows(0.55) * WINDOW_SAMPLES


@pytest.mark.contract("4.6")
def test_final_covers_the_clip_of_the_speculative_final() -> None:
    machine = segmenter()
    feed(machine, SPEECH, 20)
    events = feed(machine, SILENCE, windows(0.55))
    speculation = next(event for event in events if isinstance(event, SpeculationDue))
    (ended,) = ends(events)
    assert (ended.start_sample, ended.clip_end_sample) == (speculation.start_sample, speculation.end_sample)


@pytest.mark.contract("4.6")
def test_speculation_counts_from_the_confirmation_of_silence() -> None:
    machine = segmenter(early_transcription_on_silence=0.2)
    feed(machine, SPEECH, 20)
    speculation = next(event for event in feed(machine, SILENCE, 17) if isinstance(event, SpeculationDue))
    assert speculation.end_sample == (20 + windows(0.16 + 0.2)) * WINDOW_SAMPLES


def test_final_without_speculation_covers_the_whole_silence() -> None:
    machine = segmenter(early_transcription_on_silence=0.0)
    feed(machine, SPEECH, 20)
    (ended,) = ends(feed(machine, SILENCE, windows(0.55)))
    assert ended.clip_end_sample == ended.end_sample


@pytest.mark.contract("4.6")
def test_speculation_later_than_the_end_is_never_due() -> None:
    machine = segmenter(early_transcription_on_silence=0.39)
    feed(machine, SPEECH, 20)
    assert kinds(feed(machine, SILENCE, windows(0.55))) == ["SilenceConfirmed", "UtteranceEnded"]


@pytest.mark.contract("4.6", "11/6")
def test_resumed_speech_voids_the_speculation_and_allows_another() -> None:
    machine = segmenter()
    feed(machine, SPEECH, 20)
    events = feed(machine, SILENCE, windows(0.4)) + feed(machine, SPEECH, 1) + feed(machine, SILENCE, windows(0.55))
    assert kinds(events) == [
        "SilenceConfirmed",
        "SpeculationDue",
        "SpeechResumed",
        "SilenceConfirmed",
        "SpeculationDue",
        "UtteranceEnded",
    ]


@pytest.mark.contract("4.4", "4.14")
def test_pause_shorter_than_the_confirmation_is_part_of_speech() -> None:
    machine = segmenter()
    feed(machine, SPEECH, 20)
    assert feed(machine, SILENCE, 4) + feed(machine, SPEECH, 1) == []


@pytest.mark.contract("4.5")
def test_utterance_below_the_minimal_length_is_not_ended_by_silence() -> None:
    machine = segmenter(min_length_of_recording=2.0)
    feed(machine, SPEECH, 1)
    events = feed(machine, SILENCE, windows(2.0))
    (ended,) = ends(events)
    assert ended.end_sample - ended.trigger_sample >= 2 * SAMPLE_RATE_HZ


@pytest.mark.contract("4.5", "11/11")
def test_nothing_starts_within_the_gap_and_no_audio_is_lost() -> None:
    machine = segmenter(min_gap_between_recordings=0.5)
    feed(machine, SPEECH, 10)
    (ended,) = ends(feed(machine, SILENCE, windows(0.55)))
    (started,) = starts(feed(machine, SPEECH, 40))
    assert started.trigger_sample >= ended.end_sample + 0.5 * SAMPLE_RATE_HZ
    assert started.start_sample <= ended.end_sample, "the pre-roll contains the speech in the gap"


@pytest.mark.contract("4.7", "11/15")
def test_cut_at_the_maximum_length_loses_and_repeats_no_sample() -> None:
    machine = segmenter(max_audio_queue_seconds_per_session=3.0)
    events = feed(machine, SPEECH, windows(2.8))
    events += feed(machine, MURMUR, 1)
    events += feed(machine, SPEECH, windows(2.0))
    events += feed(machine, SILENCE, windows(0.55))
    begun, done = starts(events), ends(events)
    assert [event.forced for event in done] == [True, False]
    quietest = windows(2.8) * WINDOW_SAMPLES
    assert quietest <= done[0].clip_end_sample < quietest + WINDOW_SAMPLES
    assert begun[1].start_sample == done[0].clip_end_sample == done[0].end_sample
    assert done[1].start_sample == begun[1].start_sample


def test_cut_falls_into_the_pause_of_the_last_ten_seconds() -> None:
    machine = segmenter(max_audio_queue_seconds_per_session=30.0)
    pause = VadResult(rms=10.0, probability=0.6)  # of 0.15 s: the detector takes it for speech
    events = feed(machine, SPEECH, windows(15.0)) + feed(machine, SILENCE, 8)
    events += feed(machine, SPEECH, windows(7.0)) + feed(machine, pause, 5)
    paused_at = machine.position_sample
    events += feed(machine, SPEECH, windows(10.0)) + feed(machine, SILENCE, windows(0.55))
    begun, done = starts(events), ends(events)
    assert [event.forced for event in done] == [True, False]
    assert paused_at - 3 * WINDOW_SAMPLES <= done[0].end_sample <= paused_at - 2 * WINDOW_SAMPLES
    assert begun[1].start_sample == done[0].clip_end_sample == done[0].end_sample


def test_short_pause_at_the_maximum_length_leaves_no_segment_without_speech() -> None:
    machine = segmenter(max_audio_queue_seconds_per_session=3.0)
    spoken = windows(3.0) - 3
    events = feed(machine, SPEECH, spoken) + feed(machine, SILENCE, 3)
    (forced,) = ends(events)
    assert forced.clip_end_sample < spoken * WINDOW_SAMPLES


def test_cut_in_silence_waits_for_new_speech() -> None:
    machine = segmenter(max_audio_queue_seconds_per_session=1.0, post_speech_silence_duration=5.0)
    feed(machine, SPEECH, 10)
    events = feed(machine, SILENCE, 60)
    assert kinds(events) == ["SilenceConfirmed", "SpeculationDue", "UtteranceEnded"]
    assert ends(events)[0].forced


@pytest.mark.contract("4.8", "11/10")
def test_stop_ends_an_utterance_below_the_minimal_length() -> None:
    machine = segmenter(min_length_of_recording=2.0)
    feed(machine, SPEECH, 2)
    (ended,) = machine.stop()
    assert isinstance(ended, UtteranceEnded)
    assert ended.clip_end_sample == 2 * WINDOW_SAMPLES
    assert machine.stop() == []


@pytest.mark.contract("4.8")
def test_stop_turns_speech_below_the_threshold_into_an_utterance() -> None:
    machine = segmenter()
    feed(machine, SILENCE, 40)
    feed(machine, MURMUR, 3)
    started, ended = machine.stop()
    assert isinstance(started, UtteranceStarted)
    assert isinstance(ended, UtteranceEnded)
    assert started.trigger_sample == 40 * WINDOW_SAMPLES
    assert ended.clip_end_sample == 43 * WINDOW_SAMPLES


def test_stop_ignores_a_click() -> None:
    machine = segmenter()
    feed(machine, SILENCE, 40)
    feed(machine, MURMUR, 2)
    assert machine.stop() == []


@pytest.mark.contract("4.8", "11/9")
def test_stop_ignores_noise() -> None:
    machine = segmenter()
    feed(machine, VadResult(rms=9000.0, probability=0.3), 40)
    assert machine.stop() == []


@pytest.mark.contract("4.9", "11/19")
def test_clear_aborts_and_the_next_utterance_has_no_earlier_audio() -> None:
    machine = segmenter()
    feed(machine, SPEECH, 10)
    (aborted,) = machine.clear(pending_samples=100)
    assert aborted == UtteranceAborted(utterance=1)
    cleared_at = machine.position_sample
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.start_sample == started.trigger_sample == cleared_at
    assert started.utterance == 2


@pytest.mark.contract("4.2")
@pytest.mark.parametrize("sensitivity", [0.05, 0.5])
def test_probability_must_exceed_one_minus_the_sensitivity(sensitivity: float) -> None:
    machine = segmenter(silero_sensitivity=sensitivity)
    at = VadResult(rms=2000.0, probability=1.0 - sensitivity)
    above = VadResult(rms=2000.0, probability=1.0 - sensitivity + 0.01)
    assert starts(feed(machine, at, 10)) == []
    assert len(starts(feed(machine, above, 10))) == 1


vad_results = st.builds(
    VadResult,
    rms=st.floats(0, 32768),
    probability=st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.99]),
)


ANY_ORDER: dict[str, Any] = {"max_audio_queue_seconds_per_session": 1.0, "min_gap_between_recordings": 0.1}


class AnyOrder(RuleBasedStateMachine):
    """Invariants of the segmenter under audio, start, stop and clear in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = segmenter(**ANY_ORDER)
        self.running: UtteranceStarted | None = None
        self.last_utterance = 0
        self.transcribed_to = 0
        self.forgotten_to = 0

    def check(self, events: list[SpeechEvent]) -> None:
        for event, following in zip(events, [*events[1:], None], strict=False):
            if isinstance(event, UtteranceStarted):
                assert self.running is None
                assert event.utterance == self.last_utterance + 1
                assert self.transcribed_to <= event.start_sample <= event.speech_sample <= event.trigger_sample
                assert self.forgotten_to <= event.start_sample
                self.running, self.last_utterance = event, event.utterance
                continue
            assert self.running is not None
            assert event.utterance == self.running.utterance
            if isinstance(event, UtteranceEnded):
                assert event.continued == (isinstance(following, UtteranceStarted))
                assert event.start_sample == self.running.start_sample
                assert event.start_sample < event.clip_end_sample <= event.end_sample <= self.machine.position_sample
                assert event.speech_end_sample <= event.clip_end_sample
                self.transcribed_to = event.clip_end_sample
                self.running = None
            elif isinstance(event, UtteranceAborted):
                self.running = None
            else:
                assert isinstance(event, SilenceConfirmed | SpeculationDue | SpeechResumed)

    @rule(vad_result=vad_results, count=st.integers(1, 40))
    def process(self, vad_result: VadResult, count: int) -> None:
        self.check(feed(self.machine, vad_result, count))

    @rule()
    def start(self) -> None:
        self.machine.begin()

    @rule(vad_result=vad_results, rest=st.integers(0, WINDOW_SAMPLES - 1))
    def stop(self, vad_result: VadResult, rest: int) -> None:
        if rest:
            self.check(self.machine.push(vad_result, rest))
        self.check(self.machine.stop())
        assert self.running is None

    @rule(preroll_s=st.floats(0.0, 0.75), silence_s=st.floats(0.16, 1.0))
    def configure(self, preroll_s: float, silence_s: float) -> None:
        changes = {"pre_recording_buffer_duration": preroll_s, "post_speech_silence_duration": silence_s}
        self.machine.configure(SegmenterConfig.from_settings(Settings(**ANY_ORDER | changes)))

    @rule(discarded=st.integers(0, 5000))
    def clear(self, discarded: int) -> None:
        self.check(self.machine.clear(discarded))
        assert self.running is None

    @invariant()
    def keeps_no_more_than_it_needs(self) -> None:
        # Of sound that may be speech; else a candidate, pre-roll and wake word: 2.75 s. An utterance adds its length.
        longest_s = 3.0 + (ANY_ORDER["max_audio_queue_seconds_per_session"] if self.machine.speaking else 0.0)
        assert self.machine.position_sample - self.machine.needed_from_sample <= longest_s * SAMPLE_RATE_HZ
        assert self.machine.speaking == (self.running is not None)
        self.forgotten_to = self.machine.needed_from_sample  # as the pipeline does before the next samples


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(vad_results, max_size=200))
def test_every_utterance_that_starts_ends(results: list[VadResult]) -> None:
    machine = segmenter()
    events = [event for vad_result in results for event in machine.push(vad_result)] + machine.stop()
    assert len(starts(events)) == len(ends(events))


def test_skipped_windows_are_only_pre_roll() -> None:
    machine = segmenter()
    feed(machine, MURMUR, 5)
    for _ in range(40):
        machine.skip(WINDOW_SAMPLES)
    assert machine.position_sample == 45 * WINDOW_SAMPLES
    assert machine.stop() == [], "the murmur before it is discarded"
    machine.skip(WINDOW_SAMPLES * 40)
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ


def after_wake_word(tail: int, *, talking: bool, **changes: object) -> Segmenter:
    """A segmenter right after a wake word that was detected at window 100."""
    machine = segmenter(**changes)
    machine.skip(100 * WINDOW_SAMPLES)
    machine.cut_wake_word(tail, talking=talking)
    return machine


AFTER_WORD = 100 * WINDOW_SAMPLES


def test_utterance_has_no_audio_from_before_the_wake_word() -> None:
    machine = after_wake_word(1600, talking=False)
    feed(machine, SILENCE, 5)
    (started,) = starts(feed(machine, SPEECH, 1))
    assert (started.start_sample, started.trigger_sample) == (AFTER_WORD, AFTER_WORD + 5 * WINDOW_SAMPLES)


def test_speech_that_begins_after_the_wake_word_starts_within_its_tail() -> None:
    machine = after_wake_word(SAMPLE_RATE_HZ, talking=False)
    assert len(starts(feed(machine, SPEECH, 1))) == 1
    machine = after_wake_word(SAMPLE_RATE_HZ, talking=True)
    feed(machine, SILENCE, 1)
    assert len(starts(feed(machine, SPEECH, 1))) == 1, "the tail had ended"


@pytest.mark.parametrize("tail_s", [0.1, 0.5, 2.0])
def test_tail_of_a_wake_word_starts_nothing_and_continued_speech_reaches_back_to_it(tail_s: float) -> None:
    tail = round(tail_s * SAMPLE_RATE_HZ)
    machine = after_wake_word(tail, talking=True)
    events = feed(machine, SPEECH, windows(tail_s))
    assert events == []
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.start_sample == started.speech_sample == AFTER_WORD
    assert started.trigger_sample == AFTER_WORD + windows(tail_s) * WINDOW_SAMPLES >= AFTER_WORD + tail


def test_tail_of_a_wake_word_before_stop_is_no_utterance() -> None:
    machine = after_wake_word(SAMPLE_RATE_HZ, talking=True)
    feed(machine, SPEECH, 20)
    assert machine.stop() == []


def test_continued_speech_before_stop_is_an_utterance_from_the_wake_word_on() -> None:
    machine = after_wake_word(SAMPLE_RATE_HZ // 2, talking=True)
    feed(machine, MURMUR, windows(0.5) + 3)
    started, ended = machine.stop()
    assert isinstance(started, UtteranceStarted)
    assert isinstance(ended, UtteranceEnded)
    assert started.start_sample == AFTER_WORD


def test_wake_word_cut_applies_once() -> None:
    machine = after_wake_word(SAMPLE_RATE_HZ, talking=True)
    feed(machine, SPEECH, windows(1.5))
    feed(machine, SILENCE, windows(3.0))
    (started,) = starts(feed(machine, SPEECH, 1))
    assert started.trigger_sample - started.start_sample == 0.75 * SAMPLE_RATE_HZ
