from collections.abc import Iterable
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.settings import Settings
from trio_stt.speech.events import (
    FollowupExpired,
    FollowupStarted,
    UtteranceEnded,
    UtteranceEvent,
    UtteranceStarted,
    WakeEvent,
    WakeWaitEnded,
    WakeWaitStarted,
    WakeWordDetected,
    WakeWordTimedOut,
)
from trio_stt.speech.wake_mode import WakeConfig, WakeMode, WakeState

SECOND = SAMPLE_RATE_HZ
WINDOW = np.zeros(WINDOW_SAMPLES, np.int16)


class ScriptedDetector:
    """A detector that detects the word set by the test."""

    def __init__(self) -> None:
        self.word: str | None = None
        self.resets = 0

    def process(self, window: NDArray[np.int16]) -> str | None:
        assert window.shape == (WINDOW_SAMPLES,)
        word, self.word = self.word, None
        return word

    def reset(self) -> None:
        self.resets += 1
        self.word = None  # what was spoken before a reset is never detected after it


class Stream:
    """A wake mode that gets its audio window by window."""

    def __init__(self, **changes: object) -> None:
        self.detector = ScriptedDetector()
        config = Settings(wake_word_timeout=5.0, **changes)  # type: ignore[arg-type] # pydantic checks them
        self.mode = WakeMode(WakeConfig.from_settings(config), self.detector)
        self.position = 0
        self.utterance = 0

    def begin(self) -> list[WakeEvent]:
        return self.mode.begin(self.position)

    def windows(self, count: int) -> list[WakeEvent]:
        return [event for _ in range(count) for event in self.window()]

    def window(self, *events: UtteranceEvent) -> list[WakeEvent]:
        self.position += WINDOW_SAMPLES
        if self.mode.waiting:
            assert not events
            return self.mode.process(WINDOW, self.position)
        return self.mode.follow(events, self.position)

    def seconds(self, seconds: float) -> list[WakeEvent]:
        return self.windows(-(-round(seconds * SECOND) // WINDOW_SAMPLES))

    def word(self, word: str = "jarvis") -> list[WakeEvent]:
        self.detector.word = word
        return self.window()

    def speech(self) -> list[WakeEvent]:
        self.utterance += 1
        at = self.position
        return self.window(
            UtteranceStarted(utterance=self.utterance, start_sample=at, trigger_sample=at, speech_sample=at)
        )

    def end(self, *, forced: bool = False) -> list[WakeEvent]:
        return self.window(self.ended(forced=forced))

    def ended(self, *, forced: bool) -> UtteranceEnded:
        at = self.position
        return UtteranceEnded(
            utterance=self.utterance,
            start_sample=0,
            clip_end_sample=at,
            trigger_sample=0,
            speech_end_sample=at,
            end_sample=at + WINDOW_SAMPLES,
            forced=forced,
        )


def kinds(events: Iterable[WakeEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.contract("4.10")
def test_every_cycle_has_all_its_events() -> None:
    stream = Stream()
    assert stream.begin() == [WakeWaitStarted(position_sample=0)]
    for _ in range(3):
        assert stream.mode.state is WakeState.WAITING
        assert stream.windows(10) == []
        detected = stream.word("hey jarvis")
        at = stream.position
        assert detected == [
            WakeWordDetected(word="hey jarvis", position_sample=at),
            WakeWaitEnded(position_sample=at),
        ]
        assert stream.mode.state is WakeState.DETECTED
        assert stream.seconds(2) + stream.speech() + stream.seconds(20) == []
        assert stream.end() == [WakeWaitStarted(position_sample=stream.position)]


@pytest.mark.contract("4.10", "11/27")
def test_word_without_speech_times_out_to_the_sample_and_a_new_wait_begins() -> None:
    stream = Stream()
    stream.begin()
    stream.word()
    deadline = stream.position + 5 * SECOND
    for _ in range(2):
        assert stream.seconds(5) == [
            WakeWordTimedOut(position_sample=deadline),
            WakeWaitStarted(position_sample=deadline),
        ]
        assert stream.mode.state is WakeState.WAITING
        stream.word()
        deadline = stream.position + 5 * SECOND


def test_speech_in_the_last_window_before_the_timeout_counts() -> None:
    stream = Stream()
    stream.begin()
    stream.word()
    stream.windows(5 * SECOND // WINDOW_SAMPLES)
    assert stream.speech() + stream.seconds(10) == []


@pytest.mark.contract("4.10")
def test_no_word_is_needed_in_the_activation_delay() -> None:
    stream = Stream(wake_word_activation_delay=3.0)
    assert stream.begin() == []
    assert (stream.mode.state, stream.mode.waiting) == (WakeState.DELAY, False)
    assert stream.seconds(2.9) == []
    assert stream.speech() + stream.seconds(8) == []


@pytest.mark.contract("4.10")
def test_delay_elapses_once_per_wait() -> None:
    stream = Stream(wake_word_activation_delay=3.0)
    stream.begin()
    elapsed = [WakeWordTimedOut(position_sample=3 * SECOND), WakeWaitStarted(position_sample=3 * SECOND)]
    assert stream.seconds(60) == elapsed
    assert kinds(stream.word() + stream.seconds(60)) == [
        "WakeWordDetected",
        "WakeWaitEnded",
        "WakeWordTimedOut",
        "WakeWaitStarted",
    ]
    stream.word()
    stream.speech()
    assert stream.end() == []
    assert stream.mode.state is WakeState.DELAY
    again = stream.position + 3 * SECOND
    assert stream.seconds(60) == [WakeWordTimedOut(position_sample=again), WakeWaitStarted(position_sample=again)]


@pytest.mark.contract("4.10")
def test_followup_window_restarts_after_each_utterance_and_expires() -> None:
    stream = Stream(wake_word_followup_window=4.0, wake_word_activation_delay=1.0)
    stream.begin()
    stream.speech()
    for _ in range(2):
        assert stream.end() == [FollowupStarted(position_sample=stream.position, duration_samples=4 * SECOND)]
        assert stream.mode.state is WakeState.FOLLOWUP
        assert stream.seconds(3.9) + stream.speech() + stream.seconds(9) == []
    stream.end()
    expiry = stream.position + 4 * SECOND
    assert stream.seconds(60) == [FollowupExpired(position_sample=expiry), WakeWaitStarted(position_sample=expiry)]


def test_rejected_utterance_opens_no_followup_window() -> None:
    stream = Stream(wake_word_followup_window=4.0)
    stream.begin()
    stream.word()
    stream.speech()
    stream.mode.reject()
    assert kinds(stream.end()) == ["WakeWaitStarted"]
    stream.word()
    stream.speech()
    assert kinds(stream.end()) == ["FollowupStarted"], "the next one is accepted"


def test_forced_cut_in_speech_continues_without_a_wake_word() -> None:
    stream = Stream()
    stream.begin()
    stream.word()
    stream.speech()
    started = UtteranceStarted(utterance=2, start_sample=1, trigger_sample=1, speech_sample=1)
    assert stream.window(stream.ended(forced=True), started) + stream.seconds(30) == []
    assert kinds(stream.end()) == ["WakeWaitStarted"]


@pytest.mark.parametrize("followup", [0.0, 4.0])
def test_forced_cut_in_a_pause_leaves_the_rest_of_the_silence(followup: float) -> None:
    stream = Stream(wake_word_followup_window=followup, post_speech_silence_duration=0.6)
    stream.begin()
    stream.word()
    stream.speech()
    assert stream.end(forced=True) + stream.seconds(0.5) == []
    assert not stream.mode.waiting
    assert stream.speech() + stream.seconds(10) == []
    talk_end = stream.position + round(0.6 * SECOND)
    stream.end(forced=True)
    (over,) = stream.seconds(0.6)
    assert isinstance(over, FollowupStarted if followup else WakeWaitStarted)
    assert over.position_sample == talk_end


def test_stop_ends_the_wait_and_detection() -> None:
    stream = Stream()
    stream.begin()
    assert stream.mode.stop(7) == [WakeWaitEnded(position_sample=7)]
    assert (stream.mode.state, stream.mode.waiting) == (WakeState.OFF, True)
    assert stream.word() + stream.seconds(20) == []
    assert stream.mode.clear(stream.position) == []


def test_stop_cancels_every_deadline_without_an_event() -> None:
    stream = Stream(wake_word_followup_window=4.0)
    stream.begin()
    stream.word()
    assert stream.mode.stop(stream.position) + stream.seconds(20) == []
    stream.begin()
    stream.word()
    stream.speech()
    stream.end()
    assert stream.mode.stop(stream.position) + stream.seconds(20) == []


def test_clear_begins_a_new_wait_from_any_state() -> None:
    stream = Stream(wake_word_followup_window=4.0)
    stream.begin()
    assert stream.mode.clear(5) == [WakeWaitStarted(position_sample=5)]
    stream.word()
    assert kinds(stream.mode.clear(stream.position) + stream.seconds(20)) == ["WakeWaitStarted"]
    stream.word()
    stream.speech()
    assert kinds(stream.mode.clear(stream.position) + stream.seconds(20)) == ["WakeWaitStarted"]
    stream.word()
    stream.speech()
    stream.end()
    assert kinds(stream.mode.clear(stream.position) + stream.seconds(20)) == ["WakeWaitStarted"]


def test_each_wait_begins_with_a_reset_detector() -> None:
    stream = Stream()
    for wait in (stream.begin, lambda: stream.mode.clear(0), lambda: stream.word() + stream.seconds(6)):
        before = stream.detector.resets
        assert kinds(wait())[-1] == "WakeWaitStarted"
        assert stream.detector.resets > before


class AnyOrder(RuleBasedStateMachine):
    """Invariants of the wake cycle's events under words, speech, time and commands in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream(wake_word_followup_window=2.0, wake_word_activation_delay=1.0)
        self.waiting = self.recording = False
        self.last_position = 0

    def check(self, events: list[WakeEvent]) -> list[WakeEvent]:
        for event, following in zip_longest(events, events[1:]):
            assert self.last_position <= event.position_sample <= self.stream.position
            self.last_position = event.position_sample
            match event:
                case WakeWaitStarted():
                    assert not self.waiting
                    self.waiting = True
                case WakeWaitEnded():
                    assert self.waiting
                    self.waiting = False
                case WakeWordDetected():
                    assert self.waiting
                    assert isinstance(following, WakeWaitEnded)
                case WakeWordTimedOut() | FollowupExpired():
                    assert not self.waiting
                    assert not self.recording
                    assert isinstance(following, WakeWaitStarted)
        return events

    @rule()
    def begin(self) -> None:
        self.waiting = self.waiting and self.recording
        self.check(self.stream.begin())

    @rule()
    def stop(self) -> None:
        self.check(self.stream.mode.stop(self.stream.position))
        self.recording = False
        assert not self.waiting

    @rule()
    def clear(self) -> None:
        self.waiting = self.recording = False
        self.check(self.stream.mode.clear(self.stream.position))

    @rule(count=st.integers(1, 200))
    def time(self, count: int) -> None:
        self.check(self.stream.windows(count))

    @rule()
    def word(self) -> None:
        self.check(self.stream.word())

    @precondition(lambda self: not self.stream.mode.waiting and not self.recording)
    @rule()
    def speech(self) -> None:
        assert self.check(self.stream.speech()) == []
        self.recording = True

    @precondition(lambda self: self.recording)
    @rule(forced=st.booleans(), refused=st.booleans())
    def end(self, forced: bool, refused: bool) -> None:
        if refused:
            self.stream.mode.reject()
        self.recording = False
        self.check(self.stream.end(forced=forced))

    @invariant()
    def waiting_state_agrees_with_its_events(self) -> None:
        assert self.waiting == (self.stream.mode.state is WakeState.WAITING)

    def teardown(self) -> None:
        """After any sequence, silence leads back to the wait for a word."""
        if self.recording:
            self.end(forced=False, refused=False)
        if self.stream.mode.state is not WakeState.OFF:
            self.check(self.stream.seconds(10))
            assert self.waiting


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=60, stateful_step_count=40)
