"""One client's session: its tasks, and what happens to its utterances between the segmenter, the lanes and the client.

It owns the order of things. It must not know sockets (`connection`), build events (`announcer`) or outlive its
nursery.
"""

import logging
import time

import trio

from trio_stt.configuration import public_settings, runtime_settings
from trio_stt.dsp import SAMPLE_RATE_HZ, kernels
from trio_stt.errors import CommandError, PacketError
from trio_stt.lanes.engines.registry import engine_names
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.commands import Command, parse_command
from trio_stt.protocol.events import Error, Event, Hello, Metrics, Ready, State, Where
from trio_stt.protocol.packets import parse_packet
from trio_stt.protocol.reports import SessionReport
from trio_stt.session.announcer import Announcer, StatusFacts
from trio_stt.session.connection import Connection, ConnectionClosed
from trio_stt.session.counters import SessionCounters
from trio_stt.session.finals import Finals
from trio_stt.session.house import House
from trio_stt.session.inbox import Audio, Inbox
from trio_stt.session.outbox import ClientStalled, Outbox
from trio_stt.session.partials import Partials
from trio_stt.session.recording import Recording, close_recording, open_recording
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


class Session:
    """A conversation with one client; `run` is the whole of it.

    Args:
        session_id: 32 hexadecimal digits.
        house: What all sessions share.
        connection: To the client.
        partials: Whether partials are made; transcribing a file needs none.
        sheds: Whether a listener that stands still costs the oldest audio; a file waits instead.
    """

    def __init__(
        self, *, session_id: str, house: House, connection: Connection, partials: bool = True, sheds: bool = True
    ) -> None:
        self._id = session_id
        self._house = house
        self._settings = settings = house.settings
        self._connection = connection
        self._makes_partials = partials
        self._accepting = False  # as the receiver sees it, ahead of the listener
        self._streaming = False  # as the listener sees it, in the order of the audio
        self._recording: Recording | None = None
        self._refused_utterance: int | None = None
        self._next_segment_id = 1
        self._heard_at_s = time.time()
        self._counters = SessionCounters()
        self._inbox = Inbox(settings.audio_queue_size, sheds=sheds)
        self._outbox = Outbox()
        self._listener = Listener(SegmenterConfig.of(settings), house.new_detector())
        self._announcer = Announcer(
            session_id=session_id, settings=settings, outbox=self._outbox, facts=self._status_facts
        )
        self._finals = Finals(
            session_id=session_id,
            lane=house.lanes.lane_for(JobKind.FINAL),
            counters=self._counters,
            announcer=self._announcer,
            settle=self._publish_state,
        )
        self._partials = Partials(
            session_id=session_id,
            lane=house.lanes.lane_for(JobKind.PARTIAL),
            counters=self._counters,
            announcer=self._announcer,
            max_age_s=lambda: house.settings.max_realtime_queue_age_ms / 1000,
            read_clip=self._listener.clip,
        )

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""
        return self._id

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less finished speech than this waits for finals."""
        await self._finals.wait_backlog_below(seconds)

    async def wait_drained(self) -> None:
        """Wait until all that was received has been heard, and all that it led to has been sent."""
        await self._inbox.wait_idle()
        await self._finals.wait_idle()
        await self._outbox.wait_idle()

    async def run(self) -> None:
        """Converse until the client leaves, or does not take what it is sent.

        Faults are logged here: beside a disconnect they would vanish.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._outbox.run, self._connection)
                nursery.start_soon(self._outbox.watch, self._connection)
                self._greet()
                if self._house.lanes.ready:
                    self._publish_ready()
                else:
                    nursery.start_soon(self._publish_ready_when_loaded)
                nursery.start_soon(self._listen)
                nursery.start_soon(self._finals.run)
                if self._makes_partials:
                    nursery.start_soon(self._partials.run)
                await self._receive()
        except* ConnectionClosed:
            logger.debug("session %s: the client left", self._id)
        except* ClientStalled as stalled:
            logger.warning("session %s: given up: %s", self._id, stalled.exceptions[0])
        except* Exception:
            logger.exception("session %s failed", self._id)
            raise
        finally:
            self._house.release_speaker(self._id)
            self._house.lanes.cancel_session(self._id)

    def report(self) -> SessionReport:
        """The session as metrics show it; no transcript text."""
        queue_delay, inference, total = self._counters.latencies()
        recording = self._recording
        counters = self._counters
        recorded = self._listener.position_sample - recording.trigger_sample if recording else 0
        return SessionReport(
            session_id=self._id,
            streaming=self._streaming,
            recording=recording is not None,
            state=self._announcer.state,
            wake_word_enabled=False,
            current_segment_id=recording.segment_id if recording else self._next_segment_id,
            current_segment=recording.segment if recording else None,
            queue_depth=self._status_facts().queue_depth,
            recording_seconds=recorded / SAMPLE_RATE_HZ,
            dropped_audio_chunks=counters.dropped_audio_chunks,
            rejected_audio_chunks=counters.rejected_audio_chunks,
            coalesced_realtime=counters.coalesced_realtime,
            stale_realtime_discarded=counters.stale_realtime_discarded,
            cancelled_jobs=counters.cancelled_jobs,
            realtime_submitted=counters.realtime.submitted,
            final_submitted=counters.final.submitted,
            realtime_completed=counters.realtime.completed,
            final_completed=counters.final.completed,
            realtime_rejected=counters.realtime.rejected,
            final_rejected=counters.final.rejected,
            forced_finalizations=counters.forced_finalizations,
            dropped_recorded_segments=0,  # finished utterances are never dropped
            queue_delay=queue_delay,
            inference_duration=inference,
            total_latency=total,
        )

    # --- what the client sends ---

    async def _receive(self) -> None:
        while True:
            message = await self._connection.receive()
            try:
                if isinstance(message, str):
                    self._obey(parse_command(message))
                else:
                    await self._take_packet(message)
            except (CommandError, PacketError) as error:
                self._announcer.error(Where(error.where), str(error))

    def _obey(self, command: Command) -> None:
        match command:
            case Command.PING:
                self._announcer.pong()
            case Command.METRICS:
                self._publish(Metrics(session_id=self._id, metrics=self.report()))
            case Command.START | Command.STOP:
                self._accepting = command is Command.START
                self._inbox.put_command(command)
            case Command.CLEAR:
                self._inbox.drop_audio()
                self._inbox.put_command(command)

    async def _take_packet(self, frame: bytes) -> None:
        packet = parse_packet(frame, max_pcm_bytes=self._house.settings.max_audio_packet_bytes)
        if not packet.pcm:
            return
        if not self._accepting:
            self._counters.rejected_audio_chunks += 1
            self._announcer.warning("Audio was ignored: send the start command first.")
            return
        longest_s = self._settings.max_backlog_seconds
        if self._finals.backlog_s > longest_s:
            self._counters.rejected_audio_chunks += 1
            self._announcer.error(
                Where.AUDIO, f"audio refused: more than {longest_s:g} s of speech wait to be transcribed"
            )
            return
        samples = kernels.downmix_pcm16(packet.pcm, packet.channels)
        shed = await self._inbox.put_audio(Audio(samples, packet.rate_hz))
        if shed:
            self._counters.dropped_audio_chunks += shed
            self._announcer.warning(f"{shed} windows of 32 ms of audio were dropped: the server does not keep up.")

    # --- what is heard ---

    async def _listen(self) -> None:
        while True:
            item = await self._inbox.get()
            if isinstance(item, Audio):
                await self._hear(item)
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
            for event in events:
                self._react(event)
            self._partials.heard(self._recording, self._listener.position_sample)
            await trio.lowlevel.checkpoint()

    def _start(self) -> None:
        if not self._streaming:
            self._streaming = True
            self._listener.begin()
        self._publish_state()

    def _stop(self) -> None:
        self._streaming = False
        for event in self._listener.stop():
            self._react(event)
        self._partials.heard(None, self._listener.position_sample)
        self._announcer.status(State.IDLE)

    def _clear(self) -> None:
        number_taken = self._recording is not None or not self._finals.idle
        for event in self._listener.clear():
            self._react(event)
        self._partials.heard(None, self._listener.position_sample)
        self._finals.clear()
        self._counters.cancelled_jobs += self._house.lanes.cancel_session(self._id)
        # An utterance that had no final yet took its number when it began: the next one is new already.
        self._next_segment_id += not number_taken
        self._announcer.cleared(self._next_segment_id)
        self._publish_state()

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
                self._finals.void_speculation()
            case SpeculationDue(start_sample=start, end_sample=end):
                self._finals.speculate(recording, self._listener.clip(start, end), end)
            case UtteranceEnded():
                self._utterance_ended(recording, event)
            case UtteranceAborted():
                recording.running = False
                self._leave_recording()

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
        close_recording(recording, event, ended_at=self._wall_time(event.end_sample))
        self._leave_recording()
        if self._streaming:
            self._announcer.status(State.SILENCE)
        self._announcer.recording_ended(recording)
        if event.forced:
            self._counters.forced_finalizations += 1
            longest_s = self._settings.max_audio_queue_seconds_per_session
            self._announcer.warning(
                f"Maximum per-session audio buffer reached: the utterance was cut at {longest_s:g} s."
            )
        self._publish_state()
        clip = self._listener.clip(event.start_sample, event.clip_end_sample)
        self._finals.add(recording, clip, event.clip_end_sample)

    def _leave_recording(self) -> None:
        self._recording = None
        self._house.release_speaker(self._id)

    # --- what the client hears ---

    def _publish(self, event: Event) -> None:
        self._outbox.put(event)

    def _publish_state(self) -> None:
        """What the session does now, apart from transcribing."""
        if self._recording is not None:
            self._announcer.status(State.RECORDING)
        else:
            self._announcer.status(State.LISTENING if self._streaming else State.IDLE)

    def _greet(self) -> None:
        self._publish(
            Hello(
                client_id=self._id,
                session_id=self._id,
                settings=public_settings(self._settings),
                limits=self._house.limits(),
                supported_engines=engine_names(),
                runtime_settings=runtime_settings(),
            )
        )

    async def _publish_ready_when_loaded(self) -> None:
        await self._house.lanes.wait_loaded()
        self._publish_ready()

    def _publish_ready(self) -> None:
        self._publish(
            Ready(
                session_id=self._id,
                settings=public_settings(self._settings),
                limits=self._house.limits(),
                runtime_settings=runtime_settings(),
                ok=self._house.lanes.ok,
            )
        )
        for error in self._house.startup_errors():
            self._publish(Error(message=error.message, where=Where(error.where)))

    def _wall_time(self, sample: int) -> float:
        """Seconds since the epoch at which a sample was spoken, taking what was just heard as spoken now."""
        return self._heard_at_s - (self._listener.position_sample - sample) / SAMPLE_RATE_HZ

    def _status_facts(self) -> StatusFacts:
        return StatusFacts(
            streaming=self._streaming,
            queue_depth=self._inbox.windows + self._finals.depth,
            dropped_chunks=self._counters.dropped_audio_chunks,
            coalesced_realtime=self._counters.coalesced_realtime,
            stale_realtime_discarded=self._counters.stale_realtime_discarded,
            active_sessions=self._house.active_sessions,
            active_speakers=self._house.active_speakers,
        )
