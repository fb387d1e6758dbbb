"""What becomes of the utterances that one session hears: their numbers, their partials, their finals.

It owns the running utterance and the numbers of segments. It must not hear: `hearing` does, and hands over the events.
"""

import time
from collections.abc import Sequence

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import Hints
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.events import State, Where
from trio_stt.server.server_state import ServerState
from trio_stt.session.active_utterance import ActiveUtterance, finish_utterance, open_utterance
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.finals import Finals
from trio_stt.session.partials import Partials
from trio_stt.session.wake_word_reporter import WakeWordReporter
from trio_stt.session.weak_callback import weak_callback
from trio_stt.settings import Settings
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechEvent,
    SpeechResumed,
    UtteranceEnded,
    UtteranceStarted,
    WakeEvent,
)
from trio_stt.speech.pipeline import SpeechPipeline
from trio_stt.speech.wake_mode import WakeState

_STATE_OF_WAKE = {
    WakeState.WAITING: State.WAKEWORD_WAIT,
    WakeState.DETECTED: State.WAKEWORD_DETECTED,
    WakeState.FOLLOWUP: State.WAKEWORD_DETECTED,
}
"""What a session that streams and does not record is doing; without wake words it listens."""


class Utterances:
    """The utterances of a session, and the `finals` and `partials` that they feed.

    Attributes:
        streaming: Whether the client streams, in the order of its audio; set by whoever hears.

    Args:
        session_id: The session, as house and lanes know it.
        house: What all sessions share.
        settings: Of the session.
        listener: Its audio, for clips and positions.
        counters: Of the session.
        announcer: Of the session.
    """

    def __init__(
        self,
        *,
        session_id: str,
        server_state: ServerState,
        settings: Settings,
        pipeline: SpeechPipeline,
        counters: SessionCounters,
        publisher: EventPublisher,
    ) -> None:
        self._id = session_id
        self._server_state = server_state
        self._settings = settings
        self._pipeline = pipeline
        self._counters = counters
        self._publisher = publisher
        self.streaming = False
        self._recording: ActiveUtterance | None = None
        self._next_segment_id = 1
        self._heard_at_s = time.time()
        self.wake_word_reporter = WakeWordReporter(
            settings=settings, publisher=publisher, wall_time=weak_callback(self._wall_time)
        )
        self.finals = Finals(
            session_id=session_id,
            lane=server_state.lanes.lane_for(JobKind.FINAL),
            hints=Hints(prompt=settings.initial_prompt, vad_filter=settings.vad_filter),
            counters=counters,
            publisher=publisher,
            evict_over_limit=weak_callback(self.publish_state),
        )
        self.partials = Partials(
            session_id=session_id,
            lane=server_state.lanes.lane_for(JobKind.PARTIAL),
            hints=Hints(prompt=settings.initial_prompt_realtime, vad_filter=settings.vad_filter),
            counters=counters,
            publisher=publisher,
            max_age_s=lambda: server_state.settings.max_realtime_queue_age_ms / 1000,
            read_clip=self._pipeline.clip,
            publish_state=weak_callback(self.publish_state),
        )

    @property
    def recording(self) -> ActiveUtterance | None:
        """The running utterance."""
        return self._recording

    @property
    def current_segment_id(self) -> int:
        """The running utterance's number, or the next one's."""
        return self._recording.segment_id if self._recording else self._next_segment_id

    @property
    def recorded_s(self) -> float:
        """Length of the running utterance, its pre-roll aside."""
        if self._recording is None:
            return 0.0
        return (self._pipeline.position_sample - self._recording.trigger_sample) / SAMPLE_RATE_HZ

    def publish_state(self) -> None:
        """What the session does now, apart from transcribing."""
        if self._recording is not None:
            state = State.RECORDING
        elif self.streaming:
            state = _STATE_OF_WAKE.get(self._pipeline.wake_state, State.LISTENING)
        else:
            state = State.IDLE
        self._publisher.status(state)

    def follow(self, events: Sequence[SpeechEvent], *, heard_now: bool = False) -> None:
        """Carry out what the listener heard.

        Args:
            events: In order.
            heard_now: Whether their audio has just been heard, so that its last sample is taken as spoken now.
        """
        if heard_now:
            self._heard_at_s = time.time()
        for event in events:
            self._react(event)
        if self._recording is not None:
            self._recording.spoken = self._pipeline.spoken
        self.partials.heard(self._recording, self._pipeline.position_sample)

    def abandon(self, reason: str) -> None:
        """Give up the running utterance and tell the client; the listener is cleared by the caller, before."""
        self._publisher.error(Where.AUDIO, reason)
        if self._recording is not None:
            self._publisher.segment_closed(self._recording, "failed")
            self._abort(self._recording)
        self.finals.void_speculation()

    def clear(self) -> None:
        """Discard all that was said; the listener is cleared by the caller, before."""
        number_taken = self._recording is not None or not self.finals.idle
        if self._recording is not None:
            self._abort(self._recording)
        self.finals.clear()
        self._counters.cancelled_jobs += self._server_state.lanes.cancel_session(self._id)
        # An utterance that had no final yet took its number when it began: the next one is new already.
        self._next_segment_id += not number_taken
        self._publisher.cleared(self._next_segment_id)

    def close(self) -> None:
        """The session is over: give up what was said, and with it the streams of engines that heard it."""
        self._leave_recording()
        self.partials.close()
        self.finals.close()

    def _react(self, event: SpeechEvent) -> None:
        if isinstance(event, WakeEvent):
            self.wake_word_reporter.follow(event)
            return
        if isinstance(event, UtteranceStarted):
            self._utterance_started(event)
            return
        recording = self._recording
        if recording is None or event.utterance != recording.utterance:
            return  # refused by the speaker limit: it leaves no trace
        match event:
            case SilenceConfirmed():
                recording.silent = True
            case SpeechResumed():
                recording.silent = False
                self.finals.void_speculation()
            case SpeculationDue(start_sample=start, end_sample=end):
                ticket = self.finals.speculate(recording, self._pipeline.clip(start, end), end)
                if ticket is not None:
                    self.partials.computed_ahead(recording, end, ticket)
            case UtteranceEnded():
                self._utterance_ended(recording, event)

    def _utterance_started(self, event: UtteranceStarted) -> None:
        if not self._server_state.take_speaker(self._id):
            self._counters.rejected_audio_chunks += 1
            self._pipeline.reject_utterance()
            limit = self._server_state.settings.max_active_speakers
            self._publisher.warning(f"An utterance was ignored: the active speaker limit of {limit} is reached.")
            return
        if self._pipeline.wake_state is WakeState.DELAY:  # it began without a word
            self.wake_word_reporter.reset()
        self._recording = open_utterance(
            event,
            segment_id=self._next_segment_id,
            started_at=self._wall_time(event.trigger_sample),
            wake_word=self.wake_word_reporter.of_recording,
            settings=self._settings,
            streamed=self._server_state.lanes.lane_for(JobKind.PARTIAL).streaming,
        )
        self._next_segment_id += 1
        self._publisher.recording_started(self._recording)

    def _utterance_ended(self, recording: ActiveUtterance, event: UtteranceEnded) -> None:
        finish_utterance(recording, event)
        self._leave_recording()
        if self.streaming and not event.forced:
            self._publisher.status(State.SILENCE)
        self._publisher.recording_ended(recording)
        if self.streaming:  # else `stop` says the state when all is flushed
            self.publish_state()
        if event.forced:
            self._counters.forced_finalizations += 1
            longest_s = self._settings.max_audio_queue_seconds_per_session
            self._publisher.warning(
                f"Maximum per-session audio buffer reached: the utterance was cut at {longest_s:g} s."
            )
        if event.spoken:
            clip = self._pipeline.clip(event.start_sample, event.clip_end_sample)
            self.finals.add(recording, clip, event.clip_end_sample)
        else:
            self.finals.add_unspoken(recording)

    def _abort(self, recording: ActiveUtterance) -> None:
        recording.running = False
        self._leave_recording()

    def _leave_recording(self) -> None:
        self._recording = None
        self._server_state.release_speaker(self._id)

    def _wall_time(self, sample: int) -> float:
        """Seconds since the epoch at which a sample was spoken, taking what was just heard as spoken now."""
        return self._heard_at_s - (self._pipeline.position_sample - sample) / SAMPLE_RATE_HZ
