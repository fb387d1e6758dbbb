"""What one client sends: commands and packets, checked and put in order for whoever hears them.

It owns what is refused and why. It never waits for recognition, and must not hear or answer for others.
"""

from collections.abc import Callable

import trio

from trio_stt.dsp import kernels
from trio_stt.errors import CommandError, PacketError
from trio_stt.protocol.commands import Command, Flush, parse_command
from trio_stt.protocol.events import Where
from trio_stt.protocol.packets import parse_packet
from trio_stt.protocol.reports import SessionReport
from trio_stt.session.announcer import Announcer
from trio_stt.session.connection import Connection
from trio_stt.session.counters import SessionCounters
from trio_stt.session.finals import Finals
from trio_stt.session.house import House
from trio_stt.session.inbox import Audio, Gap, Inbox
from trio_stt.settings import Settings

MAX_OPEN_FLUSHES = 64
_KEEP_ALIVE = frozenset({Command.PING, Command.METRICS})
"""A page sends these by itself: they do not show that somebody is there."""


class Receiver:
    """The receiving side of a session.

    Args:
        house: What all sessions share.
        settings: Of the session.
        connection: To the client.
        inbox: Where audio and commands go.
        counters: Of the session.
        announcer: Of the session.
        finals: Of the session: too many that wait, and audio is refused.
        report: Gives the answer to `metrics`.
    """

    def __init__(
        self,
        *,
        house: House,
        settings: Settings,
        connection: Connection,
        inbox: Inbox,
        counters: SessionCounters,
        announcer: Announcer,
        finals: Finals,
        report: Callable[[], SessionReport],
    ) -> None:
        self._house = house
        self._longest_backlog_s = settings.max_backlog_seconds
        self._connection = connection
        self._inbox = inbox
        self._counters = counters
        self._announcer = announcer
        self._finals = finals
        self._report = report
        self._accepting = False  # as of what was received, ahead of what is heard
        self._refusing_audio = False  # since the backlog is too long
        self._closed = False
        self._active_s = trio.current_time()

    @property
    def active_s(self) -> float:
        """When the client last did something that a page does not do by itself, on trio's clock."""
        return self._active_s

    def close(self) -> None:
        """Take nothing more: what was received ends here, and the client was told."""
        self._closed = True
        self._accepting = False
        self._inbox.put_marker(Command.STOP)

    async def run(self) -> None:
        """Receive until cancelled.

        Raises:
            ConnectionClosed: The client is gone.
        """
        while True:
            message = await self._connection.receive()
            try:
                if isinstance(message, str):
                    self._obey(parse_command(message))
                else:
                    self._active_s = trio.current_time()
                    await self._take_packet(message)
            except (CommandError, PacketError) as error:
                self._announcer.error(Where(error.where), str(error))

    def _obey(self, command: Command | Flush) -> None:
        if command not in _KEEP_ALIVE:
            self._active_s = trio.current_time()
        match command:
            case Command.START if self._closed:
                pass  # the client knows
            case Command.PING:
                self._announcer.pong()
            case Command.METRICS:
                self._announcer.metrics(self._report())
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
        packet = parse_packet(frame, max_pcm_bytes=self._house.settings.max_audio_packet_bytes)
        if not packet.pcm:
            return
        if self._closed:
            self._counters.rejected_audio_chunks += 1
            return
        if not self._accepting:
            self._counters.rejected_audio_chunks += 1
            self._announcer.warning("Audio was ignored: send the start command first.")
            return
        if self._refuses_audio():
            self._counters.rejected_audio_chunks += 1
            return
        samples = kernels.downmix_pcm16(packet.pcm, packet.channels)
        audio = Audio(samples, packet.rate_hz)
        self._counters.received_us += audio.length_us
        shed = await self._inbox.put_audio(audio)
        if shed:
            self._counters.dropped_audio_chunks += shed
            self._announcer.warning(f"{shed} windows of 32 ms of audio were dropped: the server does not keep up.")

    def _refuses_audio(self) -> bool:
        """Whether too much speech waits to be transcribed; the client is told once each time that begins."""
        longest_s = self._longest_backlog_s
        refuses = self._finals.backlog_s > longest_s
        if refuses and not self._refusing_audio:
            self._announcer.error(
                Where.AUDIO, f"audio is refused while more than {longest_s:g} s of speech wait to be transcribed"
            )
            self._inbox.put_marker(Gap.GAP)  # what is taken again later does not continue this
        self._refusing_audio = refuses
        return refuses
