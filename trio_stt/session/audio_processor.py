"""What one session hears: its audio and what stands between it, in order.

It owns the order and the listener; what becomes of utterances is up to `utterances`. It must not receive or send.
"""

import logging
import math

import trio

from trio_stt.protocol.commands import Command, Flush
from trio_stt.protocol.events import State
from trio_stt.session.connection_status import ConnectionStatus
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.inbox import Audio, Gap, Inbox, Marker
from trio_stt.session.utterances import Utterances
from trio_stt.settings import Settings
from trio_stt.speech.events import WakeEvent
from trio_stt.speech.pipeline import SpeechPipeline

logger = logging.getLogger(__name__)

_PIECE_S = 0.1  # audio judged between two checkpoints: some 0.5 ms of work


class AudioProcessor:
    """The listening side of a session.

    Args:
        settings: Of the session.
        inbox: What the client sent.
        listener: Hears it.
        utterances: What comes of it.
        announcer: Of the session.
        presence: Of the client: nobody stalls who is not there.
        live: Whether silence on the line means that the client stalls; a file is read as fast as finals allow.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        inbox: Inbox,
        pipeline: SpeechPipeline,
        utterances: Utterances,
        publisher: EventPublisher,
        connection_status: ConnectionStatus,
        live: bool,
    ) -> None:
        self._inbox = inbox
        self._pipeline = pipeline
        self._utterances = utterances
        self._publisher = publisher
        self._connection_status = connection_status
        self._stall_timeout_s = settings.stream_stall_timeout_s if live else 0.0
        self._began_streaming = trio.Event()
        self._patience = trio.CancelScope()
        self._waits_since_s = 0.0

    async def wait_streaming(self) -> None:
        """Wait until the client streams."""
        await self._began_streaming.wait()

    async def run(self) -> None:
        """Hear what the inbox holds, in order, until cancelled."""
        while True:
            item = await self._next()
            try:
                if isinstance(item, Audio):
                    await self._hear(item)
                else:
                    self._obey(item)
            except Exception as error:  # noqa: BLE001 - logged there
                self._abandon(error)

    async def _next(self) -> Audio | Marker | None:
        """The next item; None when an utterance is running and nothing has come for too long."""
        while True:
            self._patience = trio.CancelScope()
            self._wait_anew()
            with self._patience:
                return await self._inbox.get(self._hear_at_once)
            if self._connection_status.was_connected_since(self._waits_since_s):
                return None

    def _wait_anew(self) -> None:
        """From now on, a client in the middle of an utterance that sends nothing stalls."""
        if self._pipeline.speaking and self._stall_timeout_s:
            self._waits_since_s = trio.current_time()
            self._patience.deadline = self._waits_since_s + self._stall_timeout_s
        elif self._patience.deadline < math.inf:
            self._patience.deadline = math.inf

    def _obey(self, marker: Marker | None) -> None:
        match marker:
            case Command.START:
                self._start()
            case Command.STOP:
                self._stop()
            case Command.CLEAR:
                self._clear()
            case Flush():
                self._end_utterance()
                self._utterances.finals.flush(marker)
            case Gap.GAP:
                self._end_utterance()
            case None:
                if self._utterances.recording is not None:  # else it was refused, and leaves no trace
                    self._publisher.warning(f"No audio came for {self._stall_timeout_s:g} s: the utterance was ended.")
                self._end_utterance()
            case Command.PING | Command.METRICS:  # answered on receipt
                pass

    async def _hear(self, audio: Audio) -> None:
        piece = max(1, round(_PIECE_S * audio.rate_hz))
        for start in range(0, audio.samples.size, piece):
            if start:
                await trio.lowlevel.checkpoint()
            events = self._pipeline.push(audio.samples[start : start + piece], audio.rate_hz)
            self._utterances.follow(events, heard_now=True)

    def _hear_at_once(self, audio: Audio) -> bool:
        """Hear a packet in its receiver's turn, if it is short."""
        if audio.samples.size > _PIECE_S * audio.rate_hz:
            return False
        try:
            self._utterances.follow(self._pipeline.push(audio.samples, audio.rate_hz), heard_now=True)
        except Exception as error:  # noqa: BLE001 - logged there
            self._abandon(error)
        self._wait_anew()
        return True

    def _abandon(self, error: Exception) -> None:
        """Give up the running utterance, tell the client, and go on: a fault of ours must not end the conversation."""
        logger.error("audio could not be processed", exc_info=error)
        events = self._pipeline.clear()
        self._utterances.abandon(f"audio could not be processed: {error}")
        self._utterances.follow(events)
        self._utterances.publish_state()

    def _start(self) -> None:
        events = []
        if not self._utterances.streaming:
            self._utterances.streaming = True
            self._began_streaming.set()
            events = self._pipeline.begin()
            self._utterances.follow(events, heard_now=True)
        if not events:  # a wait for a wake word that begins says so itself
            self._utterances.publish_state()

    def _end_utterance(self) -> None:
        """What was said so far is complete; the stream goes on."""
        if self._utterances.streaming:
            self._utterances.follow(self._pipeline.flush())

    def _stop(self) -> None:
        self._utterances.streaming = False
        self._began_streaming = trio.Event()
        self._utterances.follow(self._pipeline.stop())
        self._publisher.status(State.IDLE)

    def _clear(self) -> None:
        events = self._pipeline.clear()
        self._utterances.clear()
        self._utterances.follow(events)
        if not any(isinstance(event, WakeEvent) for event in events):  # as above
            self._utterances.publish_state()
