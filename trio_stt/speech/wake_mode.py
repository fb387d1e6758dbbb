"""Wake mode: decides when speech may start an utterance: after a wake word, and for a while after an utterance.

See docs/protocol.md, Wake words.

    begin ─► delay ─(elapses)─► waiting ─(word)─► detected ─(speech)─► recording ─► followup ─(expires)─► waiting
               └─(speech)─► recording                └─(timeout)─► waiting   └─ or, without a window, as after begin

It owns that state, the deadlines (counted in samples) and the resets of the wake-word detector. The segmenter decides
where utterances begin, and only while `waiting` is false.
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
    """State of a stream; while an utterance runs, the state in which it began."""

    OFF = "off"
    """There are no wake words, or the client does not stream."""
    DELAY = "delay"
    """Activation delay: no wake word is needed yet."""
    WAITING = "waiting"
    """Only a wake word counts."""
    DETECTED = "detected"
    """A wake word was detected; speech starts an utterance."""
    FOLLOWUP = "followup"
    """An utterance ended; the next one needs no wake word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeConfig:
    """Settings of the wake mode, in samples.

    Attributes:
        delay_samples: Activation delay: time at the beginning of each wait in which no word is needed.
        timeout_samples: Time after a word in which speech must begin.
        tail_samples: Time after a detection in which continuing speech still counts as the word. If not 0, no utterance
            contains audio from before the detection.
        followup_samples: Time after an utterance in which no word is needed.
        silence_samples: Silence that ends an utterance.
    """

    delay_samples: int
    timeout_samples: int
    tail_samples: int
    followup_samples: int
    silence_samples: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Read the settings."""
        return cls(
            delay_samples=samples_of(settings.wake_word_activation_delay),
            timeout_samples=samples_of(settings.wake_word_timeout),
            tail_samples=samples_of(settings.wake_word_buffer_duration),
            followup_samples=samples_of(settings.wake_word_followup_window),
            silence_samples=samples_of(settings.post_speech_silence_duration),
        )


class WakeMode:
    """Wake-word state machine of one stream. A position is that after the window in question."""

    def __init__(self, config: WakeConfig, detector: WakeWordDetector) -> None:
        """Start in the state OFF, until `begin`."""
        self.config = config
        self._detector = detector
        self._state = WakeState.OFF
        self._deadline_sample: int | None = None
        self._recording = False
        self._rejected = False
        self._cut = False  # an utterance was cut at its maximum length in a pause: the deadline ends the speech

    @property
    def state(self) -> WakeState:
        """State of the stream."""
        return self._state

    @property
    def waiting(self) -> bool:
        """Whether windows go to `process`, and no utterance may start."""
        return self._state in (WakeState.OFF, WakeState.WAITING)

    def begin(self, position_sample: int) -> list[WakeEvent]:
        """Note that the client starts streaming."""
        return [] if self._recording else self._arm(position_sample)

    def stop(self, position_sample: int) -> list[WakeEvent]:
        """Note that the client stops; the running utterance has ended before."""
        waited = self._state is WakeState.WAITING
        self._enter(WakeState.OFF)
        return [WakeWaitEnded(position_sample=position_sample)] if waited else []

    def clear(self, position_sample: int) -> list[WakeEvent]:
        """Start again as after `begin`, because all audio was discarded."""
        return [] if self._state is WakeState.OFF else self._arm(position_sample)

    def reject(self) -> None:
        """Note that the running utterance was rejected: no follow-up window opens at its end."""
        self._rejected = self._recording

    def process(self, window: NDArray[np.int16], position_sample: int) -> list[WakeEvent]:
        """Process the next window, int16, shape (512,), while `waiting`; returns the events of a detection, if any."""
        word = self._detector.process(window) if self._state is WakeState.WAITING else None
        if word is None:
            return []
        self._enter(WakeState.DETECTED, position_sample + self.config.timeout_samples)
        return [
            WakeWordDetected(word=word, position_sample=position_sample),
            WakeWaitEnded(position_sample=position_sample),
        ]

    def follow(self, events: Sequence[UtteranceEvent], position_sample: int) -> list[WakeEvent]:
        """Follow the segmenter's events for a window that did not go to `process`, and the passing of deadlines.

        An utterance that starts in the window in which a deadline passes still counts.
        """
        wake_events: list[WakeEvent] = []
        for event in events:
            if isinstance(event, UtteranceStarted):
                self._recording, self._rejected, self._cut, self._deadline_sample = True, False, False, None
            elif isinstance(event, UtteranceEnded):
                wake_events += self._utterance_ended(event)
        while self._deadline_sample is not None and self._deadline_sample <= position_sample:
            wake_events += self._deadline_passed(self._deadline_sample)
        return wake_events

    def _utterance_ended(self, event: UtteranceEnded) -> list[WakeEvent]:
        self._recording = False
        if not event.forced:
            return self._speech_ended(event.end_sample)
        # Speech may continue at once in the next utterance. If it does not, the rest of the silence ends it.
        self._cut = True
        self._deadline_sample = event.speech_end_sample + self.config.silence_samples
        return []

    def _speech_ended(self, position_sample: int) -> list[WakeEvent]:
        length = self.config.followup_samples
        if not length or self._rejected:
            return self._arm(position_sample)
        self._enter(WakeState.FOLLOWUP, position_sample + length)
        return [FollowupStarted(position_sample=position_sample, duration_samples=length)]

    def _deadline_passed(self, deadline_sample: int) -> list[WakeEvent]:
        if self._cut:
            return self._speech_ended(deadline_sample)
        expired: WakeEvent = (
            FollowupExpired(position_sample=deadline_sample)
            if self._state is WakeState.FOLLOWUP
            else WakeWordTimedOut(position_sample=deadline_sample)
        )
        return [expired, *self._wait(deadline_sample)]

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
