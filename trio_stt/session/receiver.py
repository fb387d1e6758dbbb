"""What one client sends: commands and packets, checked and put in order for whoever hears them.

It owns what is refused and why. It never waits for recognition, and must not hear or answer for others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from trio_stt.dsp import kernels
from trio_stt.errors import CommandError, ResumeError, WireError
from trio_stt.protocol.commands import Command, Flush, Resume, parse_command
from trio_stt.protocol.events import Where
from trio_stt.protocol.packets import parse_packet
from trio_stt.protocol.reports import SessionReport
from trio_stt.server.server_state import ServerState
from trio_stt.server.session_handle import SessionHandle
from trio_stt.session.connection import Connection
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.finals import Finals
from trio_stt.session.inbox import Audio, Gap, Inbox
from trio_stt.settings import Settings
from trio_stt.token_bucket import TokenBucket

MAX_OPEN_FLUSHES = 64
PACE_WINDOW_S = 10.0
"""Audio may come faster than `max_audio_speed` in a burst, not over a window of this length."""
_KEEP_ALIVE = frozenset({Command.PING, Command.METRICS})
"""A page sends these by itself: they do not show that somebody is there."""


@dataclass(frozen=True, slots=True)
class ResumeTarget:
    """The client belongs to another session, and asked for it."""

    session: SessionHandle
    resume: Resume


class Receiver:
    """The receiving side of a session, over whichever connection it has.

    Attributes:
        packets: Binary frames that were taken.
        commands: Text frames that were taken.

    Args:
        session_id: The session, as the house knows it.
        house: What all sessions share.
        settings: Of the session.
        inbox: Where audio and commands go.
        counters: Of the session.
        announcer: Of the session.
        finals: Of the session: too many that wait, and audio is refused.
        report: Gives the answer to `metrics`.
    """

    def __init__(
        self,
        *,
        session_id: str,
        server_state: ServerState,
        settings: Settings,
        inbox: Inbox,
        counters: SessionCounters,
        publisher: EventPublisher,
        finals: Finals,
        report: Callable[[], SessionReport],
    ) -> None:
        self.packets = 0
        self.commands = 0
        self._id = session_id
        self._server_state = server_state
        self._longest_backlog_s = settings.max_backlog_seconds
        self._inbox = inbox
        self._counters = counters
        self._publisher = publisher
        self._finals = finals
        self._report = report
        self._accepting = False  # as of what was received, ahead of what is heard
        self._refusing_audio = False  # since the backlog is too long
        self._pace = TokenBucket(settings.max_audio_speed, PACE_WINDOW_S) if settings.max_audio_speed else None
        self._closed = False
        self._begun = trio.Event()
        self._active_s = trio.current_time()

    @property
    def active_s(self) -> float:
        """When the client last did something that a page does not do by itself, on trio's clock."""
        return self._active_s

    @property
    def has_begun(self) -> bool:
        """Whether the client ever sent anything to this session."""
        return self._begun.is_set()

    async def wait_begun(self) -> None:
        """Wait until the client sends something to this session."""
        await self._begun.wait()

    @property
    def accepting(self) -> bool:
        """Whether audio is taken, as of what was received."""
        return self._accepting

    def close(self) -> None:
        """Take nothing more: what was received ends here, and the client was told."""
        self._closed = True
        self._accepting = False
        self._inbox.put_marker(Command.STOP)

    async def run(self, connection: Connection) -> ResumeTarget:
        """Receive until cancelled, or until the client asks for another session than this new one.

        Raises:
            ConnectionClosed: The client is gone.
        """
        self._active_s = trio.current_time()
        while True:
            message = await connection.receive()
            try:
                if isinstance(message, str):
                    command = parse_command(message)
                    if isinstance(command, Resume):
                        return self._hand_over(command)
                    self._obey(command)
                else:
                    self._active_s = trio.current_time()
                    await self._take_packet(message)
            except WireError as error:
                self._publisher.error(Where(error.where), str(error))
            # Counted when it was taken: what a lost connection interrupts is sent again.
            self.commands += isinstance(message, str)
            self.packets += not isinstance(message, str)
            if not self.has_begun:
                self._begun.set()
                self._server_state.evict_over_limit()

    def _hand_over(self, resume: Resume) -> ResumeTarget:
        if self.has_begun:
            raise ResumeError("resume must be the first message of a connection")
        return ResumeTarget(self._server_state.find(resume, other_than=self._id), resume)

    def _obey(self, command: Command | Flush) -> None:
        if command not in _KEEP_ALIVE:
            self._active_s = trio.current_time()
        match command:
            case Command.START if self._closed:
                pass  # the client knows
            case Command.PING:
                self._publisher.pong()
            case Command.METRICS:
                self._publisher.metrics(self._report())
            case Command.START | Command.STOP:
                self._accepting = command is Command.START
                self._inbox.put_marker(command)
            case Command.CLEAR:
                self._inbox.drop_audio()
                self._inbox.put_marker(command)
            case Flush():
                if self._counters.open_flushes >= MAX_OPEN_FLUSHES:
                    raise CommandError(f"more than {MAX_OPEN_FLUSHES} flush commands wait for their answer")
                self._counters.open_flushes += 1
                self._inbox.put_marker(command)

    async def _take_packet(self, frame: bytes) -> None:
        packet = parse_packet(frame, max_pcm_bytes=self._server_state.settings.max_audio_packet_bytes)
        if not packet.pcm:
            return
        if self._closed:
            self._counters.rejected_audio_chunks += 1
            return
        if not self._accepting:
            self._counters.rejected_audio_chunks += 1
            self._publisher.warning("Audio was ignored: send the start command first.")
            return
        if self._refuses_audio():
            self._counters.rejected_audio_chunks += 1
            return
        samples = kernels.downmix_pcm16(packet.pcm, packet.channels)
        audio = Audio(samples, packet.rate_hz)
        length_us = audio.length_us
        if self._pace and (wait_s := self._pace.acquire(length_us / 1_000_000, self._active_s)):
            await trio.sleep(wait_s)  # its sender waits on the socket
        shed = await self._inbox.put_audio(audio)
        self._counters.received_us += length_us
        if shed:
            self._counters.dropped_audio_chunks += shed
            self._publisher.warning(f"{shed} windows of 32 ms of audio were dropped: the server does not keep up.")

    def _refuses_audio(self) -> bool:
        """Whether too much speech waits to be transcribed; the client is told once each time that begins."""
        longest_s = self._longest_backlog_s
        refuses = self._finals.backlog_s > longest_s
        if refuses and not self._refusing_audio:
            self._publisher.error(
                Where.AUDIO, f"audio is refused while more than {longest_s:g} s of speech wait to be transcribed"
            )
            self._inbox.put_marker(Gap.GAP)  # what is taken again later does not continue this
        self._refusing_audio = refuses
        return refuses
