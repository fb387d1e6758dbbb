"""Publishes the wake-word state of one session: waiting, detected, follow-up, and when each began.

`WakeMode` decides; this module keeps what the wire shows of it: docs/protocol.md, Wake words.
"""

import msgspec
from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.event_objects import State, WakeWord, iso
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.settings import Settings
from trio_stt.speech.events import (
    FollowupExpired,
    FollowupStarted,
    WakeEvent,
    WakeWaitEnded,
    WakeWaitStarted,
    WakeWordDetected,
    WakeWordTimedOut,
)


class WakeWordReporter:
    """Follows the wake events of one session."""

    def __init__(self, settings: Settings, publisher: EventPublisher) -> None:
        self._publisher = publisher
        self._enabled = settings.wake_words_enabled
        self._initial = WakeWord(
            enabled=self._enabled,
            backend=settings.wakeword_backend,
            wake_words=settings.wake_words,
            state="waiting_for_wake_word",
        )
        self._facts = self._initial

    def reset(self) -> None:
        """Forget the last detection, because the stream starts again."""
        self._facts = self._initial

    def take_for_segment(self) -> WakeWord | msgspec.UnsetType:
        """`wakeWord` of a segment that begins now; UNSET where no wake word is set.

        The facts of a detection belong to the first segment after it, not to follow-ups.
        """
        facts, self._facts = self._facts, self._initial
        if not self._enabled:
            return msgspec.UNSET
        detected = isinstance(facts.detected_at, float)
        return replace(facts if detected else self._initial, state="recording")

    def publish(self, event: WakeEvent, at: float) -> None:
        """Publish an event that happened `at`, in seconds since the epoch."""
        match event:
            case WakeWaitStarted():
                self._facts = replace(self._initial, wait_started_at=at, wait_started_at_iso=iso(at))
                self._publisher.timeline("wakeword_wait_started", at, wake_word=self._facts)
                self._publisher.status(State.WAKEWORD_WAIT)
            case WakeWordDetected(word=word):
                state = "wake_word_detected_waiting_for_voice"
                self._facts = replace(self._facts, state=state, word=word, detected_at=at, detected_at_iso=iso(at))
                self._publisher.timeline("wakeword_detected", at, wake_word=self._facts)
                self._publisher.status(State.WAKEWORD_DETECTED)
            case WakeWaitEnded():
                state = "wake_word_wait_ended"
                self._facts = replace(self._facts, state=state, wait_ended_at=at, wait_ended_at_iso=iso(at))
                self._publisher.timeline("wakeword_wait_ended", at, wake_word=_without_detection(self._facts))
            case WakeWordTimedOut():
                self._facts = replace(self._facts, state="wake_word_timeout", timeout_at=at, timeout_at_iso=iso(at))
                self._publisher.timeline("wakeword_timeout", at, wake_word=_without_detection(self._facts))
                self._publisher.status(State.WAKEWORD_TIMEOUT)
            case FollowupStarted(duration_samples=samples):
                self._publisher.timeline("wakeword_followup_started", at, duration_seconds=samples / SAMPLE_RATE_HZ)
                self._publisher.status(State.WAKEWORD_DETECTED)
            case FollowupExpired():
                self._publisher.timeline("wakeword_followup_timeout", at)


def _without_detection(facts: WakeWord) -> WakeWord:
    # RealtimeSTT's page shows `detectedAt` as the time of any entry that has it.
    return replace(facts, detected_at=msgspec.UNSET, detected_at_iso=msgspec.UNSET)
