"""What a session tells about its wake words: where it is between waiting and speaking, and when it got there.

It owns that state as clients see it. It must not decide when a word was heard: the listener does.
See docs/protocol.md, Wake words.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import State
from trio_stt.protocol.segment import WakeWord, iso
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
    """The wake-word side of one session.

    Args:
        settings: Of the session.
        announcer: Of the session.
        wall_time: Turns a position of the stream into seconds since the epoch.
    """

    def __init__(self, *, settings: Settings, publisher: EventPublisher, wall_time: Callable[[int], float]) -> None:
        self._publisher = publisher
        self._wall_time = wall_time
        self._enabled = settings.wake_words_enabled
        self._initial = WakeWord(
            enabled=self._enabled,
            backend=settings.wakeword_backend,
            wake_words=settings.wake_words,
            state="waiting_for_wake_word",
        )
        self._facts = self._initial

    @property
    def enabled(self) -> bool:
        """Whether this session has wake words."""
        return self._enabled

    @property
    def of_recording(self) -> WakeWord | msgspec.UnsetType:
        """What a segment that begins now carries; nothing without wake words."""
        return replace(self._facts, state="recording") if self._enabled else msgspec.UNSET

    def reset(self) -> None:
        """Nothing that was heard before counts any more."""
        self._facts = self._initial

    def follow(self, event: WakeEvent) -> None:
        """Tell the client of an event."""
        at = self._wall_time(event.position_sample)
        match event:
            case WakeWaitStarted():
                self._facts = replace(self._initial, wait_started_at=at, wait_started_at_iso=iso(at))
                self._publisher.wake("wakeword_wait_started", at, wake_word=self._facts)
                self._publisher.status(State.WAKEWORD_WAIT)
            case WakeWordDetected(word=word):
                state = "wake_word_detected_waiting_for_voice"
                self._facts = replace(self._facts, state=state, word=word, detected_at=at, detected_at_iso=iso(at))
                self._publisher.wake("wakeword_detected", at, wake_word=self._facts)
                self._publisher.status(State.WAKEWORD_DETECTED)
            case WakeWaitEnded():
                state = "wake_word_wait_ended"
                self._facts = replace(self._facts, state=state, wait_ended_at=at, wait_ended_at_iso=iso(at))
                self._publisher.wake("wakeword_wait_ended", at, wake_word=self._facts)
            case WakeWordTimedOut():
                self._facts = replace(self._facts, state="wake_word_timeout", timeout_at=at, timeout_at_iso=iso(at))
                self._publisher.wake("wakeword_timeout", at, wake_word=self._facts)
                self._publisher.status(State.WAKEWORD_TIMEOUT)
            case FollowupStarted(duration_samples=samples):
                self._publisher.wake("wakeword_followup_started", at, duration_seconds=samples / SAMPLE_RATE_HZ)
                self._publisher.status(State.WAKEWORD_DETECTED)
            case FollowupExpired():
                self._publisher.wake("wakeword_followup_timeout", at)
