"""The finals of one session: in recording order, none dropped, computed ahead where a silence allows it.

It owns the finished utterances that wait. It must not decide where an utterance ends. A final computed ahead belongs to
one utterance, one clip and one silence: it counts only when the utterance ends with that very clip.
"""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import EngineError, JobDropped, JobRefused
from trio_stt.lanes.engines.base import Hints, Transcript
from trio_stt.lanes.job import Job, JobKind, JobResult, Ticket
from trio_stt.lanes.lane import Lane
from trio_stt.protocol.commands import Flush
from trio_stt.protocol.events import Where
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.speech.final_text import finished
from trio_stt.speech.repetition import RejectedText, rejected_text

logger = logging.getLogger(__name__)

Clip = NDArray[np.float32]


@dataclass(slots=True, kw_only=True, eq=False)
class _Finished:
    """An ended utterance that waits for its final; without a ticket the lane had no room for it yet."""

    recording: ActiveUtterance
    clip: Clip
    ticket: Ticket | None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _Flush:
    """Behind the finals that a `flush` waits for."""

    command: Flush


@dataclass(frozen=True, slots=True, eq=False)
class _Unspoken:
    """An ended utterance in which nothing was said: it only has its turn."""

    recording: ActiveUtterance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Speculation:
    """A final that is being computed ahead."""

    utterance: int
    clip_end_sample: int
    ticket: Ticket


class Finals:
    """One session's way to the lane of finals.

    Args:
        session_id: The session, as lanes know it.
        lane: Where finals are made.
        hints: For the engine, with each job.
        counters: Of the session.
        announcer: Of the session.
        settle: Called after each final, to publish what the session does now.
    """

    def __init__(
        self,
        *,
        session_id: str,
        lane: Lane,
        hints: Hints,
        counters: SessionCounters,
        publisher: EventPublisher,
        evict_over_limit: Callable[[], None],
    ) -> None:
        self._session_id = session_id
        self._lane = lane
        self._hints = hints
        self._counters = counters
        self._publisher = publisher
        self._settle = evict_over_limit
        self._waiting: deque[_Finished | _Unspoken | _Flush] = deque()
        self._arrived = trio.Event()
        self._speculation: _Speculation | None = None
        self._current: trio.CancelScope | None = None
        self._warned = False  # of the present backlog
        self._progress = trio.Event()

    @property
    def depth(self) -> int:
        """Finished utterances that wait, the one being transcribed aside."""
        return sum(isinstance(item, _Finished) for item in self._waiting)

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait, the one being transcribed aside."""
        if not self._waiting:  # asked for every packet
            return 0.0
        waiting = sum(item.clip.size for item in self._waiting if isinstance(item, _Finished))
        return waiting / SAMPLE_RATE_HZ

    @property
    def idle(self) -> bool:
        """Whether every finished utterance has its final."""
        return not self._waiting and self._current is None

    async def wait_idle(self) -> None:
        """Wait until every finished utterance has its final."""
        while not self.idle:
            await self._progress.wait()

    async def wait_backlog_below(self, seconds: float) -> None:
        """Wait until less audio than this waits."""
        while self.backlog_s >= seconds:
            await self._progress.wait()

    def speculate(self, recording: ActiveUtterance, clip: Clip, clip_end_sample: int) -> Ticket | None:
        """Compute ahead the final of an utterance that may be over; a refusal costs nothing.

        Not where the engine hears utterances as they grow: finals are cheap there, and an end cannot be taken back.

        Returns:
            Its ticket, to wait on and not to cancel; or None.
        """
        self.void_speculation()
        if self._lane.streaming:
            return None
        with suppress(JobRefused):
            self._speculation = _Speculation(
                utterance=recording.utterance, clip_end_sample=clip_end_sample, ticket=self._submit(recording, clip)
            )
        return self._speculation.ticket if self._speculation else None

    def void_speculation(self) -> None:
        """The person goes on speaking: what was computed ahead is worth nothing."""
        if self._speculation is not None and self._speculation.ticket.cancel():
            self._counters.cancelled_jobs += 1
        self._speculation = None

    def add(self, recording: ActiveUtterance, clip: Clip, clip_end_sample: int) -> None:
        """An utterance is complete."""
        ahead = self._speculation
        ticket = None
        if ahead and (ahead.utterance, ahead.clip_end_sample) == (recording.utterance, clip_end_sample):
            ticket, self._speculation = ahead.ticket, None
        else:
            self.void_speculation()
        self._waiting.append(_Finished(recording=recording, clip=clip, ticket=ticket))
        self._fill_lane()
        self._arrived.set()

    def add_unspoken(self, recording: ActiveUtterance) -> None:
        """An utterance is over in which nothing was said."""
        self.void_speculation()
        self._waiting.append(_Unspoken(recording))
        self._arrived.set()

    def flush(self, command: Flush) -> None:
        """Answer a `flush` when every utterance that is complete now has its final."""
        self._waiting.append(_Flush(command))
        self._arrived.set()

    def clear(self) -> None:
        """Discard all that waits and what is being transcribed; the caller cancels the jobs in the lanes."""
        for item in self._waiting:
            if isinstance(item, _Flush):  # whoever waits for the answer gets it
                self._answer(item.command)
        self._waiting.clear()
        self._speculation = None
        if self._current is not None:
            self._current.cancel()

    def close(self) -> None:
        """The session is over."""
        self._waiting.clear()

    async def run(self) -> None:
        """Publish finals, one after the other, until cancelled."""
        while True:
            while not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            item = self._waiting.popleft()
            match item:
                case _Flush(command):
                    self._answer(command)
                case _Unspoken(recording):
                    self._counters.suppressed_texts += 1
                    self._publisher.segment_closed(recording, "no_speech")
                case _Finished():
                    with trio.CancelScope() as self._current:
                        await self._finish(item, self._current)
                    self._current = None
            del item  # or its audio, and its stream in an engine, would stay until the next one
            self._warned = self._warned and bool(self._waiting)
            self._fill_lane()
            self._progress.set()
            self._progress = trio.Event()

    def _fill_lane(self) -> None:
        """Give the lane, in order, what it takes of what waits."""
        for item in self._waiting:
            if isinstance(item, _Finished) and item.ticket is None and not self._offer(item):
                return

    def _offer(self, item: _Finished) -> bool:
        """Submit one utterance; what the lane has no room for waits here, and the client is told."""
        try:
            item.ticket = self._submit(item.recording, item.clip)
        except JobRefused as reason:
            if self._lane.accepting:
                self._counters.final.rejected += not item.refused
                item.refused = True
                self._warn_of_backlog(reason)
            return False
        return True

    def _answer(self, command: Flush) -> None:
        self._counters.open_flushes -= 1
        self._publisher.flushed(command)

    async def _finish(self, item: _Finished, scope: trio.CancelScope) -> None:
        recording = item.recording
        self._publisher.transcription_started(recording)
        try:
            result = await self._transcribe(item)
        except (EngineError, JobDropped) as error:
            if scope.cancel_called:
                return
            logger.warning("segment %d failed: %s", recording.segment_id, error)
            self._publisher.error(Where.RECORDER, str(error))
            self._publisher.segment_closed(recording, "failed")
        else:
            # A result that came in the very tick of a `clear` arrives although its wait was cancelled.
            if scope.cancel_called:
                return
            self._counters.final.deliver(result)
            self._publish(recording, result.transcript)
        self._settle()

    def _publish(self, recording: ActiveUtterance, heard: Transcript) -> None:
        """The final; or, where what the engine returned is not what a person said, the end of the segment."""
        text = finished(heard.text)
        reason = rejected_text(text)
        if reason is None:
            self._publisher.final(recording, text, heard.segments)
            return
        if text:
            self._counters.suppressed_texts += 1
            logger.warning("segment %d withheld: %s", recording.segment_id, reason)
        self._publisher.segment_closed(recording, "empty" if reason is RejectedText.NO_WORDS else reason)

    async def _transcribe(self, item: _Finished) -> JobResult:
        """The result, waiting for room in the lane as long as it takes.

        Raises:
            EngineError: The engine could not.
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
            item.ticket.cancel()  # a `clear` may have come between; without it, nothing is left to cancel

    def _warn_of_backlog(self, reason: JobRefused) -> None:
        if not self._warned:
            self._warned = True
            waiting = self.depth + (self._current is not None)
            self._publisher.warning(f"Final transcription backlog: {waiting} utterances wait, none is lost; {reason}")

    def _submit(self, recording: ActiveUtterance, clip: Clip) -> Ticket:
        job = Job(
            session_id=self._session_id,
            kind=JobKind.FINAL,
            samples=clip,
            hints=self._hints,
            utterance=recording.heard,
        )
        ticket = self._lane.submit(job)
        self._counters.final.submitted += 1
        return ticket
