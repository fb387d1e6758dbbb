"""When speech counts: after a wake word, for a while after an utterance, or not at all.

See docs/protocol.md, Wake words.

    begin ─► delay ─(elapses)─► waiting ─(word)─► detected ─(speech)─► recording ─► followup ─(expires)─► waiting
               └─(speech)─► recording                └─(timeout)─► waiting   └─ or, without a window, as after begin

It owns that state, the deadlines, which count samples, and the wake-word detector's resets. It must not decide what
is speech or where an utterance begins: the segmenter does, and only while `waiting` is false.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import samples_of
from trio_stt.dsp.wake_words import WakeWordDetector
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


class WakeState(StrEnum):
    """Where a stream is; while an utterance runs, where it was when that began."""

    OFF = "off"
    """There are no wake words, or the client does not stream."""
    DELAY = "delay"
    """No wake word is needed yet."""
    WAITING = "waiting"
    DETECTED = "detected"
    FOLLOWUP = "followup"


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeConfig:
    """The settings that matter here, in samples.

    Attributes:
        delay_samples: Time at the beginning of each wait in which no word is needed.
        timeout_samples: Time after a word in which speech must begin.
        tail_samples: Time after a word in which speech that was going on is still that word, and no audio from before
            the detection is recorded; 0 for neither.
        followup_samples: Time after an utterance in which no word is needed.
        silence_samples: Silence that ends an utterance.
    """

    delay_samples: int
    timeout_samples: int
    tail_samples: int
    followup_samples: int
    silence_samples: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say."""
        return cls(
            delay_samples=samples_of(settings.wake_word_activation_delay),
            timeout_samples=samples_of(settings.wake_word_timeout),
            tail_samples=samples_of(settings.wake_word_buffer_duration),
            followup_samples=samples_of(settings.wake_word_followup_window),
            silence_samples=samples_of(settings.post_speech_silence_duration),
        )


class WakeMode:
    """The wake-word side of one stream. Positions are those after the window in question."""

    def __init__(self, config: WakeConfig, detector: WakeWordDetector) -> None:
        """Make one that is off until `begin`."""
        self.config = config
        self._detector = detector
        self._state = WakeState.OFF
        self._deadline_sample: int | None = None
        self._recording = False
        self._rejected = False
        self._cut = False  # at the maximum length, in a pause: the deadline is the end of the talk

    @property
    def state(self) -> WakeState:
        """Where the stream is."""
        return self._state

    @property
    def waiting(self) -> bool:
        """Whether windows go to `process`, and no utterance may start."""
        return self._state in (WakeState.OFF, WakeState.WAITING)

    def begin(self, position_sample: int) -> list[WakeEvent]:
        """The client starts streaming."""
        return [] if self._recording else self._arm(position_sample)

    def stop(self, position_sample: int) -> list[WakeEvent]:
        """The client stops; an utterance that was running has ended."""
        waited = self._state is WakeState.WAITING
        self._enter(WakeState.OFF)
        return [WakeWaitEnded(position_sample=position_sample)] if waited else []

    def clear(self, position_sample: int) -> list[WakeEvent]:
        """Everything heard so far was thrown away; what comes next is as after `begin`."""
        return [] if self._state is WakeState.OFF else self._arm(position_sample)

    def reject(self) -> None:
        """The running utterance is not taken: no follow-up window opens at its end."""
        self._rejected = self._recording

    def process(self, window: NDArray[np.int16], position_sample: int) -> list[WakeEvent]:
        """The next window, int16 of shape (512,), while `waiting`: no events, or those of a detection."""
        word = self._detector.process(window) if self._state is WakeState.WAITING else None
        if word is None:
            return []
        self._enter(WakeState.DETECTED, position_sample + self.config.timeout_samples)
        return [
            WakeWordDetected(word=word, position_sample=position_sample),
            WakeWaitEnded(position_sample=position_sample),
        ]

    def follow(self, events: Sequence[UtteranceEvent], position_sample: int) -> list[WakeEvent]:
        """What the segmenter made of a window that did not go to `process`, and the time that it took.

        A start in the window in which the time is up counts.
        """
        told: list[WakeEvent] = []
        for event in events:
            if isinstance(event, UtteranceStarted):
                self._recording, self._rejected, self._cut, self._deadline_sample = True, False, False, None
            elif isinstance(event, UtteranceEnded):
                told += self._utterance_ended(event)
        while self._deadline_sample is not None and self._deadline_sample <= position_sample:
            told += self._time_is_up(self._deadline_sample)
        return told

    def _utterance_ended(self, event: UtteranceEnded) -> list[WakeEvent]:
        self._recording = False
        if not event.forced:
            return self._talk_ended(event.end_sample)
        self._cut = True
        self._deadline_sample = event.speech_end_sample + self.config.silence_samples
        return []

    def _talk_ended(self, position_sample: int) -> list[WakeEvent]:
        length = self.config.followup_samples
        if not length or self._rejected:
            return self._arm(position_sample)
        self._enter(WakeState.FOLLOWUP, position_sample + length)
        return [FollowupStarted(position_sample=position_sample, duration_samples=length)]

    def _time_is_up(self, deadline_sample: int) -> list[WakeEvent]:
        if self._cut:
            return self._talk_ended(deadline_sample)
        over: WakeEvent = (
            FollowupExpired(position_sample=deadline_sample)
            if self._state is WakeState.FOLLOWUP
            else WakeWordTimedOut(position_sample=deadline_sample)
        )
        return [over, *self._wait(deadline_sample)]

    def _arm(self, position_sample: int) -> list[WakeEvent]:
        if not self.config.delay_samples:
            return self._wait(position_sample)
        self._enter(WakeState.DELAY, position_sample + self.config.delay_samples)
        return []

    def _wait(self, position_sample: int) -> list[WakeEvent]:
        self._enter(WakeState.WAITING)
        return [WakeWaitStarted(position_sample=position_sample)]

    def _enter(self, state: WakeState, deadline_sample: int | None = None) -> None:
        self._state, self._deadline_sample = state, deadline_sample
        self._recording = self._rejected = self._cut = False
        self._detector.reset()
