"""What one session does now: the source of its `status` events and of its entry in reports.

Other parts of the session keep its attributes up to date, and call `publish` when the client should know.
"""

import time

from msgspec.structs import replace

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import State, Status, WakeWordStatus
from trio_stt.protocol.reports import SessionReport
from trio_stt.protocol.segment import iso
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.counters import SessionCounters
from trio_stt.session.host import SessionHost
from trio_stt.session.inbox import Inbox
from trio_stt.session.outbox import Outbox
from trio_stt.settings import Settings
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.wake_mode import WakeState

_STATE_OF_WAKE = {
    WakeState.WAITING: State.WAKEWORD_WAIT,
    WakeState.DETECTED: State.WAKEWORD_DETECTED,
    WakeState.FOLLOWUP: State.WAKEWORD_DETECTED,
}
"""State of a session that streams without a running utterance; without wake words it is `listening`."""


class SessionStatus:
    """The state of one session.

    Attributes:
        streaming: Whether the client streams, as of the audio processed so far.
        utterance: The running utterance.
        next_segment_id: Number of the next utterance on the wire.
        waiting_finals: Ended utterances that wait for their final, without the one being transcribed.
        degraded: Whether partials come less often because the lane is overloaded.

    Args:
        session_id: 32 hexadecimal digits.
        host: The server.
        settings: Of the session.
        outbox: Takes the events.
        inbox: Of the session.
        counters: Of the session.
        pipeline: Of the session.
    """

    def __init__(
        self,
        *,
        session_id: str,
        host: SessionHost,
        settings: Settings,
        outbox: Outbox,
        inbox: Inbox,
        counters: SessionCounters,
        pipeline: SpeechPipeline,
    ) -> None:
        self.streaming = False
        self.utterance: ActiveUtterance | None = None
        self.next_segment_id = 1
        self.waiting_finals = 0
        self.degraded = False
        self._id = session_id
        self._host = host
        self._outbox = outbox
        self._inbox = inbox
        self._counters = counters
        self._pipeline = pipeline
        self._wake_words = WakeWordStatus(
            enabled=settings.wake_words_enabled, backend=settings.wakeword_backend, wake_words=settings.wake_words
        )
        self._published = State.IDLE

    @property
    def published(self) -> State:
        """The state published last."""
        return self._published

    @property
    def _queue_depth(self) -> int:
        return self._inbox.queued_windows + self.waiting_finals

    def publish(self, state: State) -> None:
        """Publish a `status` event with this state."""
        self._published = state
        now = time.time()
        self._outbox.put(
            Status(
                session_id=self._id,
                state=state,
                timestamp=now,
                timestamp_iso=iso(now),
                active_client_id=self._id if self.streaming else None,
                queue_depth=self._queue_depth,
                dropped_chunks=self._counters.dropped_audio_chunks,
                coalesced_realtime=self._counters.coalesced_realtime,
                stale_realtime_discarded=self._counters.stale_realtime_discarded,
                active_sessions=self._host.registry.active_sessions,
                active_speakers=self._host.active_speakers,
                wake_word_enabled=self._wake_words.enabled,
                wake_word=replace(self._wake_words, state=state if state.is_about_wake_words else None),
                degraded=self.streaming and self.degraded,
            )
        )

    def publish_current(self) -> None:
        """Publish what the session does now, transcription of ended utterances aside."""
        if self.utterance is not None:
            state = State.RECORDING
        elif self.streaming:
            state = _STATE_OF_WAKE.get(self._pipeline.wake_state, State.LISTENING)
        else:
            state = State.IDLE
        self.publish(state)

    def report(self) -> SessionReport:
        """The session's entry in `/api/metrics`; it holds no transcript text."""
        utterance = self.utterance
        recorded_samples = self._pipeline.position_sample - utterance.trigger_sample if utterance else 0
        return self._counters.report(
            session_id=self._id,
            streaming=self.streaming,
            recording=utterance is not None,
            state=self._published,
            wake_word_enabled=self._wake_words.enabled,
            current_segment_id=utterance.segment_id if utterance else self.next_segment_id,
            current_segment=utterance.segment if utterance else None,
            queue_depth=self._queue_depth,
            recording_seconds=recorded_samples / SAMPLE_RATE_HZ,
        )
