"""The utterances of one session: opens, ends and discards them, and feeds their partials and finals.

It owns the running utterance and the segment numbers. `AudioProcessor` runs the pipeline and hands its events over.
"""

import time
from collections.abc import Sequence

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.event_objects import State, Where
from trio_stt.session.active_utterance import ActiveUtterance, open_utterance
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.finals import Finals
from trio_stt.session.hints import SessionHints
from trio_stt.session.partials import Partials
from trio_stt.session.turn_questions import TurnQuestions
from trio_stt.session.wake_word_reporter import WakeWordReporter
from trio_stt.speech.endpointing import TurnState
from trio_stt.speech.events import (
    SilenceConfirmed,
    SpeculationDue,
    SpeechEvent,
    SpeechResumed,
    TurnFinished,
    TurnQuestion,
    UtteranceEnded,
    UtteranceStarted,
    WakeEvent,
)


class Utterances:
    """Applies the pipeline's events to the utterances of one session, and to its `finals` and `partials`.

    Attributes:
        hints: What the client chose for its session.
        finals: The finals of ended utterances.
        partials: The partials of the running one.
    """

    def __init__(self, context: SessionContext, publisher: EventPublisher) -> None:
        self._id = context.session_id
        self._host = context.host
        self._settings = context.settings
        self._live = context.live
        self._pipeline = context.pipeline
        self._counters = context.counters
        self._state = context.state
        self._publisher = publisher
        self._received_at_s = time.time()  # of the last sample
        self._wake_words = WakeWordReporter(context.settings, publisher)
        self.turns = TurnQuestions(context)
        self.hints = SessionHints(context, publisher)
        self.finals = Finals(context, publisher)
        self.partials = Partials(context, publisher)

    def handle(self, events: Sequence[SpeechEvent], *, just_received: bool = False) -> None:
        """Apply events of the pipeline.

        Args:
            events: In order.
            just_received: Whether their audio was received just now, so that its last sample counts as spoken now.
        """
        if just_received:
            self._received_at_s = time.time()
        for event in events:
            self._apply(event)
        utterance = self._state.utterance
        if utterance is not None:
            utterance.spoken, utterance.doubtful = self._pipeline.spoken, self._pipeline.doubtful
        self.partials.update(utterance, self._pipeline.position_sample)

    def begin(self) -> None:
        """Note that the client starts streaming."""
        self._wake_words.reset()

    def abandon(self, reason: str) -> None:
        """Discard the running utterance after an error; the caller has cleared the pipeline."""
        self._publisher.failure(Where.AUDIO, reason)
        self._wake_words.reset()
        utterance = self._state.utterance
        if utterance is not None:
            if utterance.running:
                self._publisher.segment_closed(utterance, "failed")
            self._discard(utterance)
        self.finals.void_speculation()

    def clear(self) -> None:
        """Discard everything for a `clear`; the caller has cleared the pipeline."""
        utterance = self._state.utterance
        number_taken = utterance is not None or not self.finals.idle
        self._wake_words.reset()
        if utterance is not None:
            self._discard(utterance)
        self.finals.clear()
        self._counters.cancelled_jobs += self._host.lanes.cancel_session(self._id)
        # A clear must change the number of the next utterance, so that clients can tell old events from new ones. An
        # utterance takes its number when it starts: if one was discarded here, the next number is new already.
        self._state.next_segment_id += not number_taken
        self._publisher.cleared(self._state.next_segment_id)

    def discard_running(self) -> None:
        """Discard the running utterance only; the caller has cleared the pipeline."""
        self._wake_words.reset()
        if self._state.utterance is not None:
            self._discard(self._state.utterance)
        self.finals.void_speculation()
        self._publisher.cleared(self._state.next_segment_id)

    def close(self) -> None:
        """Discard everything: the session is over. This also frees the utterance's stream in a streaming engine."""
        self._release_utterance()
        self.partials.close()
        self.finals.close()

    def _apply(self, event: SpeechEvent) -> None:
        if isinstance(event, WakeEvent):
            self._wake_words.publish(event, self._wall_time(event.position_sample))
            return
        if isinstance(event, UtteranceStarted):
            self._start(event)
            return
        utterance = self._state.utterance
        if utterance is None or event.utterance != utterance.number:
            return  # of an utterance that was refused because of `max_active_speakers`, which leaves no trace
        match event:
            case SilenceConfirmed():
                utterance.silent = True
            case SpeechResumed():
                self._resume(utterance)
            case SpeculationDue():
                self._speculate(utterance, event)
            case TurnFinished():
                self._end_early(utterance, event.question)
            case UtteranceEnded():
                self._end(utterance, event)

    def _speculate(self, utterance: ActiveUtterance, event: SpeculationDue) -> None:
        clip = self._pipeline.clip(event.start_sample, event.end_sample)
        ticket = self.finals.speculate(utterance, clip, event.end_sample)
        if isinstance(event, TurnQuestion):
            self.turns.ask(event, clip, ticket)
        elif ticket is not None:
            self.partials.show_speculation(utterance, event.end_sample, ticket)

    def _resume(self, utterance: ActiveUtterance) -> None:
        self.turns.void()
        if utterance.running:
            utterance.silent = False
            self.finals.void_speculation()
        else:  # its final was published
            utterance.resume()
            self._publisher.turn_resumed(utterance)

    def _start(self, event: UtteranceStarted) -> None:
        wake_word = self._wake_words.take_for_segment()
        if self._live and not self._host.take_speaker(self._id):
            self._counters.rejected_audio_chunks += 1
            self._pipeline.reject_utterance()
            limit = self._host.settings.max_active_speakers
            self._publisher.warning(f"An utterance was ignored: the active speaker limit of {limit} is reached.")
            return
        utterance = open_utterance(
            event,
            segment_id=self._state.next_segment_id,
            started_at=self._wall_time(event.trigger_sample),
            wake_word=wake_word,
            settings=self._settings,
            streamed=self._host.lanes.lane_for(JobKind.PARTIAL).streaming,
            hints=self.hints.for_utterance(),
        )
        self._state.utterance = utterance
        self._state.next_segment_id += 1
        self._publisher.recording_started(utterance)

    def answer(self, question: TurnQuestion, turn_state: TurnState) -> None:
        """Apply the answer to the newest question, and process the audio that waited for it."""
        self.turns.void()
        self.handle(self._pipeline.answer(question, turn_state))

    def give_up_question(self) -> None:
        """Go on without an answer, because it comes too late, and process the audio that waited for it."""
        self.turns.void()
        self.handle(self._pipeline.give_up_question())

    def _end_early(self, utterance: ActiveUtterance, question: TurnQuestion) -> None:
        """Publish the final of an utterance in a pause, in which speech may still resume it.

        For a file, nothing is gained by that. While earlier finals are due, it comes in its turn.
        """
        if self._live and (result := self.finals.take_speculative(question.end_sample)):
            utterance.finish(question)
            self._publish_end(utterance)
            self.finals.publish_early(utterance, result)

    def _publish_end(self, utterance: ActiveUtterance, *, forced: bool = False) -> None:
        if self._state.streaming and not forced:
            self._publisher.status(State.SILENCE)
        self._publisher.recording_ended(utterance)
        if self._state.streaming:  # otherwise `stop` publishes the state after this
            self._publisher.current_status()

    def _end(self, utterance: ActiveUtterance, event: UtteranceEnded) -> None:
        self._release_utterance()
        if not utterance.running:
            return  # its final was published in this pause
        utterance.doubtful = event.doubtful
        utterance.finish(event)
        self._publish_end(utterance, forced=event.forced)
        if event.forced:
            self._counters.forced_finalizations += 1
            longest_s = self._settings.max_audio_queue_seconds_per_session
            self._publisher.warning(
                f"Maximum per-session audio buffer reached: the utterance was cut at {longest_s:g} s."
            )
        if event.spoken:
            clip = self._pipeline.clip(event.start_sample, event.clip_end_sample)
            self.finals.add(utterance, clip, event.clip_end_sample)
        else:
            self.finals.add_unspoken(utterance)

    def _discard(self, utterance: ActiveUtterance) -> None:
        utterance.running = False
        self._release_utterance()

    def _release_utterance(self) -> None:
        self.turns.void()
        self._state.utterance = None
        self._host.release_speaker(self._id)

    def _wall_time(self, sample: int) -> float:
        """When a sample was spoken, in seconds since the epoch, taking the last one as spoken when it was received."""
        return self._received_at_s - (self._pipeline.position_sample - sample) / SAMPLE_RATE_HZ
