"""Receives what one client sends: parses and checks packets and commands, and passes them on in order.

It owns which audio and commands are refused, and why. It never waits for recognition.
"""

from dataclasses import dataclass

import trio

from trio_stt.dsp import g711
from trio_stt.dsp.downmix import Downmixer
from trio_stt.errors import CommandError, ResumeError, WireError
from trio_stt.protocol.commands import Command, Flush, Resume, Start, parse_command
from trio_stt.protocol.event_objects import Where
from trio_stt.protocol.packets import AudioPacket, SampleFormat, parse_packet
from trio_stt.session.audio_processor import AudioProcessor
from trio_stt.session.connection import Connection, Detection, Discard, Mark
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.finals import Finals
from trio_stt.session.host import ResumableSession
from trio_stt.session.inbox import Audio, Gap
from trio_stt.token_bucket import TokenBucket

MAX_OPEN_FLUSHES = 64
"""Unanswered `flush` commands of one session: more are refused, so that a client cannot fill the memory with them."""
AUDIO_RATE_WINDOW_S = 10.0
"""Seconds over which `max_audio_speed` is averaged: shorter bursts may be faster."""
_PARSED = (Command, Start, Flush, Discard, Detection, Mark)
_KEEP_ALIVE = frozenset({Command.PING, Command.METRICS})
"""Commands that clients send on a timer: they do not count as activity for `idle_timeout_s`."""

_LAWS: dict[SampleFormat, g711.Law] = {SampleFormat.MULAW: "mulaw", SampleFormat.ALAW: "alaw"}


@dataclass(frozen=True, slots=True)
class ResumeTarget:
    """The session that a client wants to resume, and its `resume` command."""

    session: ResumableSession
    resume: Resume


class Receiver:
    """The receiving side of a session, over the connection that it has now.

    Attributes:
        packets: Binary frames accepted so far.
        commands: Text frames accepted so far.

    Args:
        context: Its inbox takes commands.
        publisher: Publishes errors and answers.
        audio_processor: Takes audio.
        finals: Audio is refused while more than `max_backlog_seconds` of it wait here.
    """

    def __init__(
        self, context: SessionContext, publisher: EventPublisher, audio_processor: AudioProcessor, finals: Finals
    ) -> None:
        settings = context.settings
        self.packets = 0
        self.commands = 0
        self._id = context.session_id
        self._host = context.host
        self._inbox = context.inbox
        self._counters = context.counters
        self._publisher = publisher
        self._audio_processor = audio_processor
        self._finals = finals
        self._max_backlog_s = settings.max_backlog_seconds
        # As of what was received; `SessionState.streaming` follows when the command before it is processed.
        self._accepting = False
        self._refusing_audio = False
        self._downmixer = Downmixer()
        self._rate = TokenBucket(settings.max_audio_speed, AUDIO_RATE_WINDOW_S) if settings.max_audio_speed else None
        self._closed = False
        self._active = trio.Event()
        self._active_s = trio.current_time()

    @property
    def active_s(self) -> float:
        """When the client was last active, on trio's clock; keep-alive commands do not count."""
        return self._active_s

    @property
    def never_active(self) -> bool:
        """Whether the client never sent anything to this session."""
        return not self._active.is_set()

    async def wait_active(self) -> None:
        """Wait for the client's first message to this session."""
        await self._active.wait()

    @property
    def accepting(self) -> bool:
        """Whether audio is accepted, as of what was received."""
        return self._accepting

    def close(self) -> None:
        """Accept no more audio, and end the running utterance after the audio that was received."""
        self._closed = True
        self._accepting = False
        self._inbox.put_marker(Command.STOP)

    async def run(self, connection: Connection) -> ResumeTarget:
        """Receive until cancelled, or until the client of a new session asks to resume another one.

        Raises:
            ConnectionClosed: The client is gone.
        """
        self._active_s = trio.current_time()
        while True:
            message = await connection.receive()
            try:
                if isinstance(message, bytes | AudioPacket):
                    self._active_s = trio.current_time()
                    await self._accept_packet(message)
                else:
                    # A command without fields is a `str`, too.
                    command = message if isinstance(message, _PARSED) else parse_command(message)
                    if isinstance(command, Resume):
                        return await self._find_target(command)
                    self._execute(command)
            except WireError as error:
                self._publisher.error(Where(error.where), str(error))
            # Counted after the message was accepted: one that a lost connection interrupts is sent again on resume.
            is_audio = isinstance(message, bytes | AudioPacket)
            self.commands += not is_audio
            self.packets += is_audio
            if self.never_active:
                self._active.set()
                # Only now is it certain that this client does not resume a session that eviction would end.
                self._host.registry.evict_over_limit()

    async def _find_target(self, resume: Resume) -> ResumeTarget:
        if not self.never_active:
            raise ResumeError("resume must be the first message of a connection")
        return ResumeTarget(await self._host.registry.find(resume, other_than=self._id), resume)

    def _execute(self, command: Command | Start | Flush | Discard | Detection | Mark) -> None:
        if command not in _KEEP_ALIVE:
            self._active_s = trio.current_time()
        match command:
            case Start() if self._closed:
                pass  # a warning was published when the session began to drain
            case Command.PING:
                self._publisher.pong()
            case Command.METRICS:
                self._publisher.metrics()
            case Start() | Command.STOP:
                self._accepting = command is not Command.STOP
                self._inbox.put_marker(command)
            case Command.CLEAR:
                self._inbox.drop_audio()
                self._inbox.put_marker(command)
            case Discard() | Detection() | Mark():
                self._inbox.put_marker(command)
            case Flush():
                if self._counters.open_flushes >= MAX_OPEN_FLUSHES:
                    raise CommandError(f"more than {MAX_OPEN_FLUSHES} flush commands wait for their answer")
                self._counters.open_flushes += 1
                self._inbox.put_marker(command)

    async def _accept_packet(self, packet: bytes | AudioPacket) -> None:
        if isinstance(packet, bytes):
            packet = parse_packet(packet, max_payload_bytes=self._host.settings.max_audio_packet_bytes)
        if not packet.payload:
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
        pcm: memoryview | bytes = packet.payload
        if law := _LAWS.get(packet.format):
            pcm = g711.decode(pcm, law).astype("<i2").tobytes()
        samples = self._downmixer.push(pcm, channels=packet.channels, rate_hz=packet.rate_hz)
        audio = Audio(samples, packet.rate_hz)
        length_us = audio.length_us
        if self._rate and (wait_s := self._rate.acquire(length_us / 1_000_000, self._active_s)):
            await trio.sleep(wait_s)  # nothing is received meanwhile, so that TCP slows the client down
        shed = await self._audio_processor.accept(audio)
        self._counters.received_us += length_us
        if shed:
            self._counters.dropped_audio_chunks += shed
            self._publisher.warning(f"{shed} windows of 32 ms of audio were dropped: the server does not keep up.")

    def _refuses_audio(self) -> bool:
        """Whether too much speech waits for transcription; the client gets one error each time that this begins."""
        max_s = self._max_backlog_s
        refuses = self._finals.backlog_s > max_s
        if refuses and not self._refusing_audio:
            self._publisher.error(
                Where.AUDIO, f"audio is refused while more than {max_s:g} s of speech wait to be transcribed"
            )
            self._inbox.put_marker(Gap.GAP)  # audio accepted later must not continue this utterance
        self._refusing_audio = refuses
        return refuses
