"""Processes a session's received audio and commands in order: runs the speech pipeline and passes its events on.

It decides nothing about utterances (`utterances` does), and neither receives nor sends.
"""

import logging
import math
import time

import trio
from msgspec import UNSET

from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.event_objects import State
from trio_stt.session.connection import MARKED, Detection, Discard, Mark
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.inbox import Audio, Gap, Marker
from trio_stt.session.utterances import Utterances
from trio_stt.settings import Settings
from trio_stt.speech.events import WakeEvent
from trio_stt.speech.segmenter_config import SegmenterConfig

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 0.5
"""Seconds for which a live session waits for the answer to a question, with its audio in the inbox. It is needed when
the silence of `post_speech_silence_duration` is over, so it has had that long already."""

_STEP_S = 0.1
"""Seconds of audio processed between two checkpoints, about 0.5 ms of work."""


class AudioProcessor:
    """Accept audio with `accept`; `run` processes what had to be queued. `utterances` handles the pipeline's events."""

    def __init__(self, context: SessionContext, publisher: EventPublisher, utterances: Utterances) -> None:
        self._inbox = context.inbox
        self._pipeline = context.pipeline
        self._state = context.state
        self._connection_status = context.connection_status
        self._utterances = utterances
        self._publisher = publisher
        self._settings = context.settings
        self._resumes_turns = context.resumes_turns
        self._longest_wait_s = _LONGEST_WAIT_S if context.live else math.inf
        self._stall_timeout_s = context.settings.stream_stall_timeout_s if context.live else 0.0
        self._streaming_started = trio.Event()
        self._stall_scope = trio.CancelScope()
        self._waiting_since_s = 0.0

    async def wait_streaming(self) -> None:
        """Wait until the client streams."""
        await self._streaming_started.wait()

    async def accept(self, audio: Audio) -> int:
        """Take one packet from the receiver: process it now if nothing is before it, otherwise queue it.

        Waking the task that runs `run` for each packet costs about as much as processing silence, so a short packet is
        processed in the receiver's own step while that task waits for an empty inbox. Order is kept: nothing is queued.

        Returns:
            Windows of queued audio that were shed to make room; usually 0.
        """
        waits = not self._inbox.reader_is_idle or self._pipeline.waits_for_answer
        if waits or audio.samples.size > _STEP_S * audio.rate_hz:
            return await self._inbox.put_audio(audio)
        try:
            self._push(audio)
        except Exception as error:  # noqa: BLE001 - logged there
            self._abandon_utterance(error)
        self._restart_stall_timer()
        return 0

    async def run(self) -> None:
        """Process queued items in order until cancelled."""
        while True:
            item = await self._next()
            await self._wait_for_answer()
            try:
                if isinstance(item, Audio):
                    await self._process(item)
                else:
                    self._execute(item)
            except Exception as error:  # noqa: BLE001 - logged there
                self._abandon_utterance(error)

    async def answer_questions(self) -> None:
        """Apply the answers to questions of adaptive endpointing until cancelled."""
        while True:
            question, turn_state = await self._utterances.turns.next_answer()
            try:
                self._utterances.answer(question, turn_state)
            except Exception as error:  # noqa: BLE001 - logged there
                self._abandon_utterance(error)

    async def _wait_for_answer(self) -> None:
        """Wait while what the audio causes may depend on an answer, so that it depends on no clock.

        A live session goes on without a late answer.
        """
        while self._pipeline.waits_for_answer:
            with trio.move_on_after(self._longest_wait_s):
                await self._utterances.turns.wait_closed()
            if self._pipeline.waits_for_answer:
                self._utterances.give_up_question()

    async def _next(self) -> Audio | Marker | None:
        """The next item; None when an utterance is running and no audio came for `stream_stall_timeout_s`."""
        while True:
            self._stall_scope = trio.CancelScope()
            self._restart_stall_timer()
            with self._stall_scope:
                return await self._inbox.get()
            # A client that was disconnected meanwhile has not stalled: it may resume and go on.
            if self._connection_status.was_connected_since(self._waiting_since_s):
                return None

    def _restart_stall_timer(self) -> None:
        """Restart the timer of `stream_stall_timeout_s` while speech lasts; otherwise stop it."""
        if self._pipeline.speaking and self._stall_timeout_s:
            self._waiting_since_s = trio.current_time()
            self._stall_scope.deadline = self._waiting_since_s + self._stall_timeout_s
        elif self._stall_scope.deadline < math.inf:  # called for every packet, and reading is cheaper than setting
            self._stall_scope.deadline = math.inf

    async def _process(self, audio: Audio) -> None:
        step = max(1, round(_STEP_S * audio.rate_hz))
        for start in range(0, audio.samples.size, step):
            if start:
                await trio.lowlevel.checkpoint()
                await self._wait_for_answer()
            self._push(Audio(audio.samples[start : start + step], audio.rate_hz))

    def _push(self, audio: Audio) -> None:
        events = self._pipeline.push(audio.samples, audio.rate_hz)
        self._utterances.handle(events, just_received=True)

    def _execute(self, marker: Marker | None) -> None:
        match marker:
            case Start():
                self._start(marker)
            case Command.STOP:
                self._stop()
            case Command.CLEAR:
                self._clear()
            case Flush():
                self._end_utterance()
                self._utterances.finals.flush(marker)
            case Discard():
                events = self._pipeline.clear()
                self._utterances.discard_running()
                self._utterances.handle(events)
            case Detection(settings):
                self._configure(settings)
            case Mark():
                self._publisher.timeline(MARKED, time.time())
            case Gap() | None:
                warning = self._warning(marker)
                self._end_utterance(warning)
            case Command.PING | Command.METRICS:  # answered by the receiver
                pass

    def _warning(self, marker: Gap | None) -> str:
        """What the client is told when an utterance is ended from outside; empty for nothing."""
        match marker:
            case Gap.GAP:
                return ""
            case Gap.SPEAKER_TAKEN:
                return (
                    "The utterance was ended while you were disconnected: another session needed its place "
                    "(max_active_speakers)."
                )
            case None:
                return f"No audio came for {self._stall_timeout_s:g} s: the utterance was ended."

    def _abandon_utterance(self, error: Exception) -> None:
        """Discard the running utterance after an error in processing, which must not end the session."""
        logger.error("audio could not be processed", exc_info=error)
        events = self._pipeline.clear()
        self._utterances.abandon(f"audio could not be processed: {error}")
        self._utterances.handle(events)
        self._publisher.current_status()

    def _configure(self, settings: Settings) -> None:
        self._pipeline.configure(SegmenterConfig.from_settings(settings, resumes=self._resumes_turns))

    def _start(self, start: Start) -> None:
        self._utterances.hints.choose(start)
        if start.endpointing is not UNSET:
            endpointing = start.endpointing or self._settings.endpointing
            settings = self._settings.model_copy(update={"endpointing": endpointing})
            self._configure(settings)
        events = []
        if not self._state.streaming:
            self._state.streaming = True
            self._streaming_started.set()
            self._utterances.begin()
            events = self._pipeline.begin()
            self._utterances.handle(events, just_received=True)
        if not events:  # with wake words, the event that a wait began has published a status
            self._publisher.current_status()

    def _end_utterance(self, warning: str = "") -> None:
        """End the running utterance, with a warning if it was accepted; the stream goes on."""
        if warning and self._state.utterance is not None:  # an utterance that was refused leaves no trace
            self._publisher.warning(warning)
        if self._state.streaming:
            self._utterances.handle(self._pipeline.flush())

    def _stop(self) -> None:
        self._state.streaming = False
        self._streaming_started = trio.Event()
        self._utterances.handle(self._pipeline.stop())
        self._publisher.status(State.IDLE)

    def _clear(self) -> None:
        events = self._pipeline.clear()
        self._utterances.clear()
        self._utterances.handle(events)
        if not any(isinstance(event, WakeEvent) for event in events):  # as in `_start`
            self._publisher.current_status()
