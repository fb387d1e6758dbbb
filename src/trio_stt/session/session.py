"""One client's session: its tasks, what it takes from the client, and the reports about it.

It owns the nursery. It must not know sockets (`connection` does), hear (`hearing`) or word events (`announcer`).
"""

import logging

import trio

from trio_stt.configuration import public_settings, runtime_settings
from trio_stt.dsp import kernels
from trio_stt.errors import CommandError, PacketError
from trio_stt.lanes.engines.registry import engine_names
from trio_stt.protocol.commands import Command, parse_command
from trio_stt.protocol.events import Error, Hello, Metrics, Ready, Where
from trio_stt.protocol.packets import parse_packet
from trio_stt.protocol.reports import SessionReport
from trio_stt.session.announcer import Announcer, StatusFacts
from trio_stt.session.connection import Connection, ConnectionClosed
from trio_stt.session.counters import SessionCounters
from trio_stt.session.hearing import Hearing
from trio_stt.session.house import House
from trio_stt.session.inbox import Audio, Inbox
from trio_stt.session.outbox import ClientStalled, Outbox

logger = logging.getLogger(__name__)


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
        self._accepting = False  # as the receiver sees it, ahead of what is heard
        self._counters = SessionCounters()
        self._inbox = Inbox(settings.audio_queue_size, sheds=sheds)
        self._outbox = Outbox()
        self._announcer = Announcer(
            session_id=session_id, settings=settings, outbox=self._outbox, facts=self._status_facts
        )
        self._hearing = Hearing(
            session_id=session_id,
            house=house,
            settings=settings,
            inbox=self._inbox,
            counters=self._counters,
            announcer=self._announcer,
        )

    @property
    def session_id(self) -> str:
        """32 hexadecimal digits."""
        return self._id

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less finished speech than this waits for finals."""
        await self._hearing.finals.wait_backlog_below(seconds)

    async def wait_drained(self) -> None:
        """Wait until all that was received has been heard, and all that it led to has been sent."""
        await self._inbox.wait_idle()
        await self._hearing.finals.wait_idle()
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
                nursery.start_soon(self._hearing.run)
                nursery.start_soon(self._hearing.finals.run)
                if self._makes_partials:
                    nursery.start_soon(self._hearing.partials.run)
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
        recording = self._hearing.recording
        counters = self._counters
        return SessionReport(
            session_id=self._id,
            streaming=self._hearing.streaming,
            recording=recording is not None,
            state=self._announcer.state,
            wake_word_enabled=False,
            current_segment_id=self._hearing.current_segment_id,
            current_segment=recording.segment if recording else None,
            queue_depth=self._status_facts().queue_depth,
            recording_seconds=self._hearing.recorded_s,
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
                self._outbox.put(Metrics(session_id=self._id, metrics=self.report()))
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
        if self._hearing.finals.backlog_s > longest_s:
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

    # --- what the client hears ---

    def _greet(self) -> None:
        self._outbox.put(
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
        if self._house.lanes.ready:  # else the server ended meanwhile
            self._publish_ready()

    def _publish_ready(self) -> None:
        self._outbox.put(
            Ready(
                session_id=self._id,
                settings=public_settings(self._settings),
                limits=self._house.limits(),
                runtime_settings=runtime_settings(),
                ok=self._house.lanes.ok,
            )
        )
        for error in self._house.startup_errors():
            self._outbox.put(Error(message=error.message, where=Where(error.where)))

    def _status_facts(self) -> StatusFacts:
        return StatusFacts(
            streaming=self._hearing.streaming,
            queue_depth=self._inbox.windows + self._hearing.finals.depth,
            dropped_chunks=self._counters.dropped_audio_chunks,
            coalesced_realtime=self._counters.coalesced_realtime,
            stale_realtime_discarded=self._counters.stale_realtime_discarded,
            active_sessions=self._house.active_sessions,
            active_speakers=self._house.active_speakers,
        )
