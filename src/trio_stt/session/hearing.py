"""What one session hears: its audio and commands in order, and what becomes of the utterances in them.

It owns the running utterance and the numbers of segments, and moves utterances on to partials and finals. It must not
receive or send: the session does.
"""

import logging
import time
from collections.abc import Sequence

import trio

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.commands import Command
from trio_stt.protocol.events import State, Where
from trio_stt.session.announcer import Announcer
from trio_stt.session.counters import SessionCounters
from trio_stt.session.finals import Finals
from trio_stt.session.house import House
from trio_stt.session.inbox import Audio, Inbox
from trio_stt.session.partials import Partials
from trio_stt.session.recording import Recording, close_recording, open_recording
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
from trio_stt.speech.listener import Listener
from trio_stt.speech.segmenter import SegmenterConfig

logger = logging.getLogger(__name__)

_PIECE_S = 0.1  # audio judged between two checkpoints: some 0.5 ms of work


class Hearing:
    """The listening side of a session; `run` it, and the `finals` and `partials` that it feeds.

    Args:
        session_id: The session, as house and lanes know it.
        house: What all sessions share.
        settings: Of the session.
        inbox: What the client sent.
        counters: Of the session.
        announcer: Of the session.
    """

    def __init__(
        self,
        *,
        session_id: str,
        house: House,
        settings: Settings,
        inbox: Inbox,
        counters: SessionCounters,
        announcer: Announcer,
    ) -> None:
        self._id = session_id
        self._house = house
        self._settings = settings
        self._inbox = inbox
        self._counters = counters
        self._announcer = announcer
        self._streaming = False
        self._recording: Recording | None = None
        self._next_segment_id = 1
        self._heard_at_s = time.time()
        self._listener = Listener(SegmenterConfig.of(settings), house.new_detector())
        self.finals = Finals(
            session_id=session_id,
            lane=house.lanes.lane_for(JobKind.FINAL),
            counters=counters,
            announcer=announcer,
            settle=self.publish_state,
        )
        self.partials = Partials(
            session_id=session_id,
            lane=house.lanes.lane_for(JobKind.PARTIAL),
            counters=counters,
            announcer=announcer,
            max_age_s=lambda: house.settings.max_realtime_queue_age_ms / 1000,
            read_clip=self._listener.clip,
        )

    @property
    def streaming(self) -> bool:
        """Whether the client streams, in the order of its audio."""
        return self._streaming

    @property
    def recording(self) -> Recording | None:
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
        return (self._listener.position_sample - self._recording.trigger_sample) / SAMPLE_RATE_HZ

    def publish_state(self) -> None:
        """What the session does now, apart from transcribing."""
        if self._recording is not None:
            self._announcer.status(State.RECORDING)
        else:
            self._announcer.status(State.LISTENING if self._streaming else State.IDLE)

    async def run(self) -> None:
        """Hear what the inbox holds, in order, until cancelled."""
        while True:
            item = await self._inbox.get()
            if isinstance(item, Audio):
                try:
                    await self._hear(item)
                except Exception as error:  # a fault of ours in one packet must not end the conversation
                    logger.exception("session %s: audio could not be processed", self._id)
                    self._abandon(f"audio could not be processed: {error}")
            elif item is Command.START:
                self._start()
            elif item is Command.STOP:
                self._stop()
            else:
                self._clear()
            await trio.lowlevel.checkpoint()

    async def _hear(self, audio: Audio) -> None:
        piece = max(1, round(_PIECE_S * audio.rate_hz))
        for start in range(0, audio.samples.size, piece):
            events = self._listener.push(audio.samples[start : start + piece], audio.rate_hz)
            self._heard_at_s = time.time()
            self._follow(events)
            await trio.lowlevel.checkpoint()

    def _abandon(self, reason: str) -> None:
        """Give up the running utterance, tell the client, and go on with what comes."""
        self._announcer.error(Where.AUDIO, reason)
        if self._recording is not None:
            self._announcer.segment_closed(self._recording, "failed")
            self._abort(self._recording)
        self._follow(self._listener.clear())
        self.finals.void_speculation()
        self.publish_state()

    def _start(self) -> None:
        if not self._streaming:
            self._streaming = True
            self._listener.begin()
        self.publish_state()

    def _stop(self) -> None:
        self._streaming = False
        self._follow(self._listener.stop())
        self._announcer.status(State.IDLE)

    def _clear(self) -> None:
        number_taken = self._recording is not None or not self.finals.idle
        self._follow(self._listener.clear())
        self.finals.clear()
        self._counters.cancelled_jobs += self._house.lanes.cancel_session(self._id)
        # An utterance that had no final yet took its number when it began: the next one is new already.
        self._next_segment_id += not number_taken
        self._announcer.cleared(self._next_segment_id)
        self.publish_state()

    def _follow(self, events: Sequence[SpeechEvent]) -> None:
        for event in events:
            self._react(event)
        self.partials.heard(self._recording, self._listener.position_sample)

    def _react(self, event: SpeechEvent) -> None:
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
                self.finals.speculate(recording, self._listener.clip(start, end), end)
            case UtteranceEnded():
                self._utterance_ended(recording, event)
            case UtteranceAborted():
                self._abort(recording)

    def _utterance_started(self, event: UtteranceStarted) -> None:
        if not self._house.take_speaker(self._id):
            self._counters.rejected_audio_chunks += 1
            limit = self._house.settings.max_active_speakers
            self._announcer.warning(f"An utterance was ignored: the active speaker limit of {limit} is reached.")
            return
        self._recording = open_recording(
            event,
            segment_id=self._next_segment_id,
            started_at=self._wall_time(event.trigger_sample),
            settings=self._settings,
        )
        self._next_segment_id += 1
        self._announcer.recording_started(self._recording)

    def _utterance_ended(self, recording: Recording, event: UtteranceEnded) -> None:
        close_recording(recording, event)
        self._leave_recording()
        if self._streaming and not event.forced:
            self._announcer.status(State.SILENCE)
        self._announcer.recording_ended(recording)
        if self._streaming:  # else `stop` says the state when all is flushed
            self.publish_state()
        if event.forced:
            self._counters.forced_finalizations += 1
            longest_s = self._settings.max_audio_queue_seconds_per_session
            self._announcer.warning(
                f"Maximum per-session audio buffer reached: the utterance was cut at {longest_s:g} s."
            )
        clip = self._listener.clip(event.start_sample, event.clip_end_sample)
        self.finals.add(recording, clip, event.clip_end_sample)

    def _abort(self, recording: Recording) -> None:
        recording.running = False
        self._leave_recording()

    def _leave_recording(self) -> None:
        self._recording = None
        self._house.release_speaker(self._id)

    def _wall_time(self, sample: int) -> float:
        """Seconds since the epoch at which a sample was spoken, taking what was just heard as spoken now."""
        return self._heard_at_s - (self._listener.position_sample - sample) / SAMPLE_RATE_HZ
