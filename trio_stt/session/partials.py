"""The partials of one session: the latest audio of the running utterance, one job at a time.

It owns the rhythm of asking. In a silence it asks for nothing: there the final that is computed ahead is shown. It must
not publish anything of an utterance that is over.
"""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, kernels, samples_of
from trio_stt.errors import EngineError, JobDropped, JobRefused
from trio_stt.lanes.engines.base import Hints
from trio_stt.lanes.job import Job, JobKind, JobResult, Ticket, TicketState
from trio_stt.lanes.lane import Lane
from trio_stt.protocol.events import State
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.counters import SessionCounters
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.speech.repetition import RejectedText, rejected_text

logger = logging.getLogger(__name__)

_RENEWAL_SAMPLES = SAMPLE_RATE_HZ // 4
"""A partial that waits for its engine is renewed when there is so much new audio: each renewal copies its clip."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """The partial to come: its utterance, the audio that it hears, its job; cancelled, nobody waits for it any more."""

    recording: ActiveUtterance
    start_sample: int
    end_sample: int
    ticket: Ticket
    patience: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def ahead(self) -> bool:
        """Whether its job is the final that is computed ahead."""
        return self.ticket.job.kind is JobKind.FINAL


class Partials:
    """One session's way to the lane of partials.

    Args:
        session_id: The session, as lanes know it.
        lane: Where partials are made.
        hints: For the engine, with each job.
        counters: Of the session.
        announcer: Of the session.
        max_age_s: Asked at every job: how long it may wait in the lane.
        read_clip: Gives the audio between two positions of the running utterance.
        publish_state: Says what the session does now, apart from transcribing.
    """

    def __init__(
        self,
        *,
        session_id: str,
        lane: Lane,
        hints: Hints,
        counters: SessionCounters,
        publisher: EventPublisher,
        max_age_s: Callable[[], float],
        read_clip: Callable[[int, int], NDArray[np.float32]],
        publish_state: Callable[[], None],
    ) -> None:
        self._session_id = session_id
        self._lane = lane
        self._hints = hints
        self._counters = counters
        self._publisher = publisher
        self._max_age_s = max_age_s
        self._read_clip = read_clip
        self._publish_state = publish_state
        self._policy = lane.partial_policy
        self._recording: ActiveUtterance | None = None
        self._heard_to_sample = 0
        self._due = trio.Event()
        self._more = trio.Event()  # audio, since somebody last waited for some
        self._resting = trio.CancelScope()  # ended by what waits for nobody: another utterance, a final computed ahead
        self._pending: _Pending | None = None
        self._begun_s = -math.inf  # when the newest partial that took engine time was asked for
        self._answered: int | None = None  # the utterance of the last partial that could be shown
        self._shown: tuple[int, str, str] | None = None  # of the last one that was shown: utterance and text
        self._degraded = False

    @property
    def degraded(self) -> bool:
        """Whether partials come less often because the lane is behind; the client was told."""
        return self._degraded

    def heard(self, recording: ActiveUtterance | None, end_sample: int) -> None:
        """Audio of the running utterance, or of none, was heard up to `end_sample`."""
        if recording is None and self._recording is None and not self._degraded:
            return  # most sessions, most of the time
        if recording is not self._recording:
            self._policy.leave_round(self._session_id)
            self._resting.cancel()
            if self._pending is not None and self._pending.ahead:
                self._pending.patience.cancel()
                self._pending = None
        self._recording = recording
        self._heard_to_sample = end_sample
        self._more.set()
        self._tell_degradation()
        if recording is None:
            return
        wanted = recording.cadence.next_sample
        if wanted is not None:
            recording.cadence.process(kernels.to_int16(self._read_clip(wanted, end_sample)))
        if self._is_due(recording):
            self._due.set()
            self._renew(recording)

    def computed_ahead(self, recording: ActiveUtterance, end_sample: int, ticket: Ticket) -> None:
        """In a silence, the final of all audio up to `end_sample` is computed ahead: it is shown when it is there."""
        older = self._pending
        self._pending = _Pending(recording, recording.start_sample, end_sample, ticket)
        if older is not None and older.ticket.state is TicketState.QUEUED:  # it would hear less
            older.ticket.cancel()
            self._counters.coalesced_realtime += 1
        self._due.set()
        self._resting.cancel()

    def close(self) -> None:
        """The session is over."""
        self._recording = None

    async def run(self) -> None:
        """Publish partials until cancelled."""
        try:
            while True:
                await self._due.wait()
                self._due = trio.Event()
                recording = self._recording  # maybe not the one for which the event was set
                if recording is not None and (self._pending is not None or self._is_due(recording)):
                    self._resting, now_s = trio.CancelScope(), trio.current_time()
                    if await self._transcribe(recording, self._heard_to_sample):
                        self._begun_s = now_s
                    await self._rest()
                del recording  # or its stream in an engine would stay until the next one
        finally:
            self._policy.forget(self._session_id)

    def _is_due(self, recording: ActiveUtterance) -> bool:
        resting = recording.silent or not recording.running or not recording.spoken
        return not resting and recording.cadence.due(self._heard_to_sample) is not None

    def _tell_degradation(self) -> None:
        degraded = self._policy.is_degraded(self._session_id)
        if degraded is not self._degraded:
            self._degraded = degraded
            if degraded:
                self._publisher.warning("Partials come less often for a while: the server does not keep up.")
            if self._recording is not None or self._publisher.state is not State.RECORDING:
                self._publish_state()  # else an end is being told, and a status follows

    async def _rest(self) -> None:
        """Leave the lane to others, in wall time, like the engine's work; the first of an utterance comes at once.

        After a usual round, an engine that has nothing to do need not be left to anybody.
        """
        following = self._policy.next_partial(self._session_id, now_s=trio.current_time(), begun_s=self._begun_s)
        with self._resting as resting:
            resting.deadline = following.at_s
            await trio.sleep_until(following.if_idle_at_s)
            await self._lane.wait_idle_engine()

    async def _transcribe(self, recording: ActiveUtterance, end_sample: int) -> bool:
        """One partial, from asking to publishing; False if the next need not wait: given up, or no work of ours."""
        try:
            if self._pending is None:
                self._pending = self._submit(recording, end_sample)
            pending, result = await self._outcome(self._pending)
        except JobRefused:
            self._counters.realtime.rejected += 1
        except JobDropped as drop:
            self._counters.stale_realtime_discarded += drop.reason == "stale"
            return drop.reason != "cancelled"
        except EngineError as error:
            logger.debug("a partial failed: %s", error)
        else:
            self._account(pending, result)
            await self._ripe(pending)
            self._publish(pending, result)
            return not pending.ahead and self._answered == pending.recording.utterance
        return True

    async def _outcome(self, pending: _Pending) -> tuple[_Pending, JobResult]:
        """Wait for a partial, or for the one that takes its place: it hears more.

        Raises:
            EngineError: The engine could not.
            JobDropped: It was given up.
        """
        try:
            while True:
                try:
                    with pending.patience:
                        return pending, await pending.ticket.wait()
                except JobDropped:
                    if self._pending is None or self._pending is pending:
                        raise
                    pending = self._pending
                else:
                    raise JobDropped("cancelled")  # the utterance is over: its final waits without us
        finally:
            if self._pending is pending:
                self._pending = None

    def _account(self, pending: _Pending, result: JobResult) -> None:
        """A partial came back."""
        cadence = pending.recording.cadence
        if pending.ahead:
            cadence.partial_requested(pending.end_sample)
            return
        self._counters.realtime.deliver(result)
        self._policy.record(
            self._session_id,
            now_s=trio.current_time(),
            inference_s=result.inference_s,
            clip_s=pending.ticket.job.samples.size / SAMPLE_RATE_HZ,
            whole_s=cadence.full_clip_samples(pending.end_sample) / SAMPLE_RATE_HZ,
            usual_pause_s=cadence.config.usual_pause_s,
        )

    async def _ripe(self, pending: _Pending) -> None:
        """Wait until an utterance is long enough for its first partial, or over: the partial was made ahead."""
        recording, cadence = pending.recording, pending.recording.cadence
        if pending.end_sample < cadence.kept_from_sample:
            return
        while recording is self._recording and self._heard_to_sample < cadence.shown_from_sample:
            self._more = trio.Event()
            await self._more.wait()

    def _submit(self, recording: ActiveUtterance, end_sample: int) -> _Pending:
        """Ask for a partial of the audio up to `end_sample`; one of this session that still waits gives its place.

        Raises:
            JobRefused: The lane does not take it.
        """
        recording.cadence.partial_requested(end_sample)
        window_s = self._policy.window_s(trio.current_time())
        start_sample = recording.cadence.clip_start(
            end_sample, window_samples=None if math.isinf(window_s) else samples_of(window_s)
        )
        first = recording.utterance != self._answered
        job = Job(
            session_id=self._session_id,
            kind=JobKind.PARTIAL,
            samples=self._read_clip(start_sample, end_sample),
            deadline_s=trio.current_time() + self._max_age_s(),
            hints=self._hints,
            utterance=recording.heard if start_sample == recording.start_sample else None,
            first=first,
            waiting_since_s=0.0 if first else self._begun_s,
        )
        ticket = self._lane.submit(job)
        self._counters.realtime.submitted += 1
        return _Pending(recording, start_sample, end_sample, ticket)

    def _renew(self, recording: ActiveUtterance) -> None:
        """Put newer audio in the place of a partial that still waits for its engine."""
        older = self._pending
        if older is None or older.ticket.state is not TicketState.QUEUED:
            return
        if recording is older.recording and self._heard_to_sample - older.end_sample < _RENEWAL_SAMPLES:
            return
        with suppress(JobRefused):  # the lane closes
            self._pending = self._submit(recording, self._heard_to_sample)
            self._counters.coalesced_realtime += 1

    def _publish(self, pending: _Pending, result: JobResult) -> None:
        recording, said = pending.recording, result.transcript.text
        old_enough = self._heard_to_sample >= recording.cadence.shown_from_sample
        if old_enough:
            self._answered = recording.utterance
        reason = rejected_text(said)
        if reason is not None:  # nothing, or nothing that a person says: no evidence either
            self._counters.suppressed_texts += reason is RejectedText.REPETITION
            return
        whole = recording.stitcher.stitch(
            said, clip_start_sample=pending.start_sample, clip_end_sample=pending.end_sample
        )
        # The utterance may have ended or been cleared while the engine was at work.
        shown = recording.running and old_enough
        text = recording.stabilizer.observe(whole, audio_end_sample=pending.end_sample, publishable=shown)
        news = (recording.utterance, text.stable, text.unstable)
        if shown and not (pending.ahead and news == self._shown):
            self._shown = news
            self._publisher.partial(recording, text, result)
