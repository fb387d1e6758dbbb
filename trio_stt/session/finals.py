"""The finals of one session: in the order of its utterances, none dropped, speculative where a silence allows it.

It owns the ended utterances that wait; where an utterance ends is decided elsewhere.
"""

import logging
import time
from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import EngineError, JobDropped, JobRefused
from trio_stt.lanes.job import Job, JobKind, JobResult, Ticket
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.event_objects import Where
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.session.speculation import Speculation
from trio_stt.speech.repetition import RejectedText, rejected_text
from trio_stt.speech.text import finalize_text

logger = logging.getLogger(__name__)

Clip = NDArray[np.float32]


@dataclass(slots=True, kw_only=True, eq=False)
class _Ended:
    """An ended utterance that waits for its final; `ticket` is None until the lane has room for it."""

    utterance: ActiveUtterance
    clip: Clip
    ticket: Ticket | None
    rejected: bool = False


class Finals:
    """Submits the finals of one session and publishes them in order."""

    def __init__(self, context: SessionContext, publisher: EventPublisher) -> None:
        settings = context.settings
        self._session_id = context.session_id
        self._live = context.live
        self._latencies = context.host.latencies
        self._lane = context.host.lanes.lane_for(JobKind.FINAL)
        self._keeps_sound_tags = settings.keep_sound_tags
        self._counters = context.counters
        self._state = context.state
        self._publisher = publisher
        # In order: what waits for a final; utterances without speech, which are closed in their turn; and flushes,
        # which are answered after the finals before them.
        self._waiting: deque[_Ended | ActiveUtterance | Flush] = deque()
        self._arrived = trio.Event()
        self._speculation = Speculation(context.counters)
        self._current: trio.CancelScope | None = None  # of the final being transcribed
        self._backlog_announced = False  # one warning until nothing waits any more
        self._progress = trio.Event()

    @property
    def backlog_s(self) -> float:
        """Seconds of waiting audio, without the utterance being transcribed."""
        if not self._waiting:  # the usual case; this is read for every packet
            return 0.0
        waiting = sum(item.clip.size for item in self._waiting if isinstance(item, _Ended))
        return waiting / SAMPLE_RATE_HZ

    @property
    def idle(self) -> bool:
        """Whether every ended utterance has its final."""
        return not self._waiting and self._current is None

    async def wait_idle(self) -> None:
        """Wait until every ended utterance has its final."""
        while not self.idle:
            await self._progress.wait()

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less audio than this waits."""
        while self.backlog_s >= seconds:
            await self._progress.wait()

    def speculate(self, utterance: ActiveUtterance, clip: Clip, clip_end_sample: int) -> Ticket | None:
        """Start the final of an utterance that may have ended.

        Streaming engines get none: their finals are cheap, and they cannot take back the end of an utterance. A lane
        that refuses the job costs nothing, because the final is submitted again at the end.

        Returns:
            Its ticket, to wait on and not to cancel; or None.
        """
        if self._lane.streaming:
            return None
        return self._speculation.start(utterance.number, clip_end_sample, partial(self._submit, utterance, clip))

    def void_speculation(self) -> None:
        """Cancel the speculative final: the utterance goes on."""
        self._speculation.void()

    def add(self, utterance: ActiveUtterance, clip: Clip, clip_end_sample: int) -> None:
        """Queue an ended utterance for its final; its speculative final becomes that if the clip is the same."""
        ticket = self._speculation.take(utterance.number, clip_end_sample)
        self._queue(_Ended(utterance=utterance, clip=clip, ticket=ticket))
        self._fill_lane()

    def take_speculative(self, clip_end_sample: int) -> JobResult | None:
        """Take the result of the speculative final of a clip, if it is there and no earlier final is due."""
        return self._speculation.take_result(clip_end_sample) if self.idle else None

    def publish_early(self, utterance: ActiveUtterance, result: JobResult) -> None:
        """Publish the speculative final of an utterance that may still go on."""
        self._publisher.transcription_started(utterance)
        utterance.early_text = self._deliver(utterance, result)
        self._publisher.current_status()

    def add_unspoken(self, utterance: ActiveUtterance) -> None:
        """Queue an ended utterance without speech, to be closed in its turn."""
        self.void_speculation()
        self._queue(utterance)

    def flush(self, command: Flush) -> None:
        """Answer a `flush` when every utterance that has ended by now has its final."""
        self._queue(command)

    def clear(self) -> None:
        """Discard all waiting finals and the one being transcribed; the caller cancels the jobs in the lanes."""
        for item in self._waiting:
            if isinstance(item, Flush):  # its client still waits for an answer
                self._answer(item)
        self._waiting.clear()
        self._count_waiting()
        self._speculation.forget()
        if self._current is not None:
            self._current.cancel()

    def close(self) -> None:
        """Discard all waiting finals: the session is over."""
        self._waiting.clear()
        self._count_waiting()

    async def run(self) -> None:
        """Publish finals in order until cancelled."""
        while True:
            while not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            item = self._waiting.popleft()
            self._count_waiting()
            match item:
                case Flush():
                    self._answer(item)
                case ActiveUtterance():
                    self._counters.suppressed_texts += 1
                    self._publisher.segment_closed(item, "no_speech")
                case _Ended():
                    # `clear` cancels this scope: the utterance is discarded, this task goes on with the next.
                    with trio.CancelScope() as self._current:
                        await self._finish(item, self._current)
                    self._current = None
            # While this task waits for the next item, this frame would keep the clip and the engine's stream alive.
            del item
            self._backlog_announced = self._backlog_announced and bool(self._waiting)
            self._fill_lane()
            self._progress.set()
            self._progress = trio.Event()

    def _queue(self, item: _Ended | ActiveUtterance | Flush) -> None:
        self._waiting.append(item)
        self._count_waiting()
        self._arrived.set()

    def _count_waiting(self) -> None:
        self._state.waiting_finals = sum(isinstance(item, _Ended) for item in self._waiting)

    def _fill_lane(self) -> None:
        """Submit waiting utterances in order until the lane refuses one."""
        for item in self._waiting:
            if isinstance(item, _Ended) and item.ticket is None and not self._offer(item):
                return

    def _offer(self, item: _Ended) -> bool:
        """Submit one utterance. If the lane is full, the utterance stays here, and the client gets a notice."""
        try:
            item.ticket = self._submit(item.utterance, item.clip)
        except JobRefused as reason:
            if self._lane.accepting:
                self._counters.final.rejected += (
                    not item.rejected
                )  # an utterance counts once, however often it is offered
                item.rejected = True
                self._announce_backlog(reason)
            return False
        return True

    def _answer(self, command: Flush) -> None:
        self._counters.open_flushes -= 1
        self._publisher.flushed(command)

    async def _finish(self, item: _Ended, scope: trio.CancelScope) -> None:
        utterance = item.utterance
        self._publisher.transcription_started(utterance)
        try:
            result = await self._transcribe(item)
        except (EngineError, JobDropped) as error:
            if scope.cancel_called:
                return
            logger.warning("segment %d: transcription failed: %s", utterance.segment_id, error)
            self._publisher.failure(Where.RECORDER, str(error))
            self._close(utterance, "failed")
        else:
            # A result that comes in the same scheduler pass as a `clear` is returned, although the wait was cancelled.
            if scope.cancel_called:
                return
            self._deliver(utterance, result)
        self._publisher.current_status()

    def _deliver(self, utterance: ActiveUtterance, result: JobResult) -> str:
        """Publish the final, and return its text; if that is empty or a hallucination, the segment is closed."""
        self._counters.final.deliver(result)
        transcript = result.transcript
        if not self._keeps_sound_tags:
            transcript = transcript.without_sound_tags()
        text = finalize_text(transcript.text)
        reason = rejected_text(text, doubtful=utterance.doubtful)
        if reason is None:
            language = transcript.language if self._detects_language(utterance) else None
            self._publisher.final(utterance, text, transcript.segments, language=language)
            if self._live:
                self._latencies.final.add(time.time() - utterance.spoken_until)
            return text
        if text:
            self._counters.suppressed_texts += 1
            logger.warning("segment %d: text withheld: %s", utterance.segment_id, reason)
        self._close(utterance, "empty" if reason is RejectedText.NO_WORDS else reason)
        return ""

    def _detects_language(self, utterance: ActiveUtterance) -> bool:
        engine = self._lane.engine
        return engine is not None and engine.languages.of_request(utterance.hints.final.language) is None

    def _close(self, utterance: ActiveUtterance, reason: str) -> None:
        """Close a segment without a new text: what a final in a pause has said stays."""
        if utterance.early_text:
            self._publisher.final(utterance, utterance.early_text)
        else:
            self._publisher.segment_closed(utterance, reason)

    async def _transcribe(self, item: _Ended) -> JobResult:
        """The result; waits for room in the lane as long as it takes.

        Raises:
            EngineError: The engine failed.
            JobDropped: The lane closed.
        """
        while item.ticket is None and not self._offer(item):
            if not self._lane.accepting:
                raise JobDropped("closed")
            await self._lane.wait_room()
        assert item.ticket is not None  # noqa: S101 - for the type checker: the loop ends with one
        try:
            return await item.ticket.wait()
        finally:
            item.ticket.cancel()  # if `clear` cancelled the wait; does nothing to a job that is done

    def _announce_backlog(self, reason: JobRefused) -> None:
        if not self._backlog_announced:
            self._backlog_announced = True
            waiting = self._state.waiting_finals + (self._current is not None)
            self._publisher.warning(f"Final transcription backlog: {waiting} utterances wait, none is lost; {reason}")

    def _submit(self, utterance: ActiveUtterance, clip: Clip) -> Ticket:
        job = Job(
            session_id=self._session_id,
            kind=JobKind.FINAL,
            samples=clip,
            hints=utterance.hints.final,
            from_file=not self._live,
            utterance=utterance.stream_key,
        )
        ticket = self._lane.submit(job)
        self._counters.final.submitted += 1
        return ticket
