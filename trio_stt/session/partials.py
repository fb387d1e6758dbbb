"""The partials of one session: the newest audio of the running utterance, one job at a time.

It owns when a partial is requested and which result is shown. During a silence none is requested: the speculative final
is shown instead. Nothing is published of an utterance that has ended.
"""

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from trio_stt.dsp import SAMPLE_RATE_HZ, kernels, samples_of
from trio_stt.errors import EngineError, JobDropped, JobRefused
from trio_stt.lanes.job import Job, JobKind, JobResult, Ticket, TicketState
from trio_stt.protocol.event_objects import State
from trio_stt.session.active_utterance import ActiveUtterance
from trio_stt.session.context import SessionContext
from trio_stt.session.event_publisher import EventPublisher
from trio_stt.speech.repetition import RejectedText, rejected_text
from trio_stt.speech.sound_tags import without_sound_tags
from trio_stt.speech.text import without_repeated_separators

logger = logging.getLogger(__name__)

_RENEWAL_SAMPLES = SAMPLE_RATE_HZ // 4
"""New audio, 0.25 s, after which a partial that is still queued is replaced by a newer one: each replacement copies its
clip."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """The partial to come: its utterance, its audio, its job. `scope` is cancelled when its result is of no use."""

    utterance: ActiveUtterance
    start_sample: int
    end_sample: int
    ticket: Ticket
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def speculative(self) -> bool:
        """Whether its job is the speculative final."""
        return self.ticket.job.kind is JobKind.FINAL


class Partials:
    """Requests and publishes the partials of one session."""

    def __init__(self, context: SessionContext, publisher: EventPublisher) -> None:
        settings = context.settings
        self._session_id = context.session_id
        self._host = context.host
        self._lane = context.host.lanes.lane_for(JobKind.PARTIAL)
        self._keeps_sound_tags = settings.keep_sound_tags
        self._counters = context.counters
        self._state = context.state
        self._read_clip = context.pipeline.clip
        self._publisher = publisher
        self._policy = self._lane.partial_policy
        self._utterance: ActiveUtterance | None = None
        self._position_sample = 0  # after the last sample processed
        self._due = trio.Event()
        self._advanced = trio.Event()  # set at every update
        # The pause between two partials; cancelled by a new utterance or a speculative final, which must not wait.
        self._pause = trio.CancelScope()
        self._pending: _Pending | None = None
        self._requested_s = -math.inf  # when the partial from which the pause counts was requested, on trio's clock
        # Number of the utterance whose partial came last after it was long enough to show: its partials are not first.
        self._answered: int | None = None
        self._shown: tuple[int, str, str] | None = None  # of the last one that was shown: utterance number and text

    def update(self, utterance: ActiveUtterance | None, position_sample: int) -> None:
        """Record new audio up to `position_sample`, and the running utterance, if any."""
        if utterance is not None and not utterance.hints.interim:
            utterance = None
        if utterance is None and self._utterance is None and not self._state.degraded:
            return  # most sessions, most of the time
        if utterance is not self._utterance:
            self._policy.leave_round(self._session_id)
            self._pause.cancel()
            if self._pending is not None and self._pending.speculative:
                self._pending.scope.cancel()
                self._pending = None
        self._utterance = utterance
        self._position_sample = position_sample
        self._advanced.set()
        self._update_degradation()
        if utterance is None:
            return
        wanted = utterance.cadence.next_sample
        if wanted is not None:
            utterance.cadence.process(kernels.to_int16(self._read_clip(wanted, position_sample)))
        if self._is_due(utterance):
            self._due.set()
            self._renew(utterance)

    def show_speculation(self, utterance: ActiveUtterance, end_sample: int, ticket: Ticket) -> None:
        """Show the speculative final of all audio up to `end_sample` as a partial when its result comes."""
        if not utterance.hints.interim:
            return
        older = self._pending
        self._pending = _Pending(utterance, utterance.start_sample, end_sample, ticket)
        if older is not None and older.ticket.state is TicketState.QUEUED:  # it has less audio
            older.ticket.cancel()
            self._counters.coalesced_realtime += 1
        self._due.set()
        self._pause.cancel()

    def close(self) -> None:
        """Forget the running utterance: the session is over."""
        self._utterance = None

    async def run(self) -> None:
        """Publish partials until cancelled."""
        try:
            while True:
                await self._due.wait()
                self._due = trio.Event()
                utterance = self._utterance  # not always the one for which the event was set
                if utterance is not None and (self._pending is not None or self._is_due(utterance)):
                    # New before the job: what happens during the job must cancel the pause after it.
                    self._pause, now_s = trio.CancelScope(), trio.current_time()
                    counts = await self._transcribe(utterance, self._position_sample)
                    if counts:
                        self._requested_s = now_s
                    # No pause after a result that came too early to be shown: that of a degraded session, up to 2 s,
                    # would delay the first partial of the utterance.
                    if counts or utterance.number == self._answered:
                        await self._keep_pause()
                # While this task waits, this frame would keep the engine's stream of the utterance alive.
                del utterance
        finally:
            self._policy.forget(self._session_id)

    def _is_due(self, utterance: ActiveUtterance) -> bool:
        if utterance.silent or not utterance.running or not utterance.spoken:
            return False
        return utterance.cadence.due(self._position_sample) is not None

    def _update_degradation(self) -> None:
        degraded = self._policy.is_degraded(self._session_id)
        if degraded is not self._state.degraded:
            self._state.degraded = degraded
            if degraded:
                self._publisher.warning("Partials come less often for a while: the server does not keep up.")
            # An utterance that `stop` has just ended still shows as RECORDING; its IDLE follows, nothing in between.
            if self._utterance is not None or self._state.published is not State.RECORDING:
                self._publisher.current_status()

    async def _keep_pause(self) -> None:
        """Wait before the next partial, so that other sessions have their turn; the first of an utterance never waits.

        The pause counts wall time, as the engine's work does. Once a round of all sessions is over, an idle engine ends
        the pause early.
        """
        following = self._policy.next_partial(self._session_id, now_s=trio.current_time(), begun_s=self._requested_s)
        with self._pause as pause:
            pause.deadline = following.at_s
            await trio.sleep_until(following.if_idle_at_s)
            await self._lane.wait_idle_engine()

    async def _transcribe(self, utterance: ActiveUtterance, end_sample: int) -> bool:
        """Request and publish one partial.

        Returns:
            Whether the pause before the next partial counts from this one. It does not after a cancelled job, a
            speculative final, or a first partial whose utterance ended before it could be shown.
        """
        try:
            if self._pending is None:
                self._pending = self._submit(utterance, end_sample)
            pending, result = await self._outcome(self._pending)
        except JobRefused:  # the lane is full; the pause keeps this from being tried at once
            self._counters.realtime.rejected += 1
        except JobDropped as drop:
            self._counters.stale_realtime_discarded += drop.reason == "stale"
            return drop.reason != "cancelled"
        except EngineError as error:
            logger.debug("a partial failed: %s", error)
        else:
            self._account(pending, result)
            await self._wait_shown(pending)
            self._publish(pending, result)
            return not pending.speculative and self._answered == pending.utterance.number
        return True

    async def _outcome(self, pending: _Pending) -> tuple[_Pending, JobResult]:
        """Wait for a partial, or for the newer one that replaced it meanwhile.

        Raises:
            EngineError: The engine failed.
            JobDropped: The job was dropped.
        """
        try:
            while True:
                try:
                    with pending.scope:
                        return pending, await pending.ticket.wait()
                except JobDropped:
                    if self._pending is None or self._pending is pending:
                        raise
                    pending = self._pending  # `_renew` or `show_speculation` has replaced the job meanwhile
                else:
                    # The scope was cancelled, because the utterance of a speculative final has ended. The ticket is not
                    # cancelled: `Finals` waits for it.
                    raise JobDropped("cancelled")
        finally:
            if self._pending is pending:
                self._pending = None

    def _account(self, pending: _Pending, result: JobResult) -> None:
        """Record what a result covered and, unless it is a speculative final, the engine time that it took."""
        cadence = pending.utterance.cadence
        if pending.speculative:
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

    async def _wait_shown(self, pending: _Pending) -> None:
        """Hold the first partial, which is made early, until the utterance is long enough to show it, or has ended."""
        utterance, cadence = pending.utterance, pending.utterance.cadence
        if pending.end_sample < cadence.kept_from_sample:
            return
        while utterance is self._utterance and self._position_sample < cadence.shown_from_sample:
            self._advanced = trio.Event()
            await self._advanced.wait()

    def _submit(self, utterance: ActiveUtterance, end_sample: int) -> _Pending:
        """Submit a partial of the audio up to `end_sample`; it replaces one of this session that is still queued.

        Raises:
            JobRefused: The lane refused it.
        """
        utterance.cadence.partial_requested(end_sample)
        window_s = self._policy.window_s(trio.current_time())
        start_sample = utterance.cadence.clip_start(
            end_sample, window_samples=None if math.isinf(window_s) else samples_of(window_s)
        )
        first = utterance.number != self._answered
        job = Job(
            session_id=self._session_id,
            kind=JobKind.PARTIAL,
            samples=self._read_clip(start_sample, end_sample),
            deadline_s=trio.current_time() + self._host.settings.max_realtime_queue_age_ms / 1000,
            hints=utterance.hints.partial,
            # A streaming engine needs the utterance from its first sample.
            utterance=utterance.stream_key if start_sample == utterance.start_sample else None,
            first=first,
            waiting_since_s=0.0 if first else self._requested_s,
        )
        ticket = self._lane.submit(job)
        self._counters.realtime.submitted += 1
        return _Pending(utterance, start_sample, end_sample, ticket)

    def _renew(self, utterance: ActiveUtterance) -> None:
        """Replace a partial that is still queued by one with the audio since then."""
        older = self._pending
        if older is None or older.ticket.state is not TicketState.QUEUED:
            return
        if utterance is older.utterance and self._position_sample - older.end_sample < _RENEWAL_SAMPLES:
            return
        with suppress(JobRefused):  # the lane is closing
            self._pending = self._submit(utterance, self._position_sample)
            self._counters.coalesced_realtime += 1

    def _publish(self, pending: _Pending, result: JobResult) -> None:
        utterance, text = pending.utterance, result.transcript.text
        if not self._keeps_sound_tags:
            text = without_sound_tags(text)
        text = without_repeated_separators(text)
        old_enough = self._position_sample >= utterance.cadence.shown_from_sample
        if old_enough:
            self._answered = utterance.number
        reason = rejected_text(text, doubtful=utterance.doubtful)
        if reason is not None:  # empty or a hallucination: the stabilizer must not see it
            self._counters.suppressed_texts += reason is RejectedText.REPETITION
            return
        whole = utterance.stitcher.stitch(
            text, clip_start_sample=pending.start_sample, clip_end_sample=pending.end_sample
        )
        # The utterance may have ended or been cleared while the engine worked.
        shown = utterance.running and old_enough
        stable = utterance.stabilizer.observe(
            whole, audio_end_sample=pending.end_sample, publishable=shown, complete=pending.speculative
        )
        content = (utterance.number, stable.stable, stable.unstable)
        if shown and not (pending.speculative and content == self._shown):
            self._shown = content
            self._publisher.partial(utterance, stable, result, end_sample=pending.end_sample)
