"""One worker of a lane: loads an engine, runs the lane's batches on it, and replaces it when it is lost.

Owns the jobs that run, the deadline of each call, and the decision that an engine is lost. Which jobs run is the lane's
decision. Text of transcripts is never logged.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.job import JobKind, JobResult, Ticket, TicketState
from trio_stt.lanes.lane_health import LaneHealth
from trio_stt.lanes.work_meter import WorkMeter

logger = logging.getLogger(__name__)

MAX_FAILED_JOBS = 5
"""An engine that fails this many jobs in a row is replaced: it is unlikely that all the clips are at fault."""

MAX_ATTEMPTS_PER_JOB = 2
"""Attempts on all engines together. A clip that makes engines hang costs two engines at most."""

FIRST_RELOAD_PAUSE_S = 1.0
"""Seconds before an engine is loaded again. Doubled after each load until a job succeeds."""

MAX_RELOAD_PAUSE_S = 60.0
"""Longest pause in seconds between two loads: an engine that can be loaded again is found within a minute."""

_AUDIO_PER_DEADLINE_S = 10.0
"""A call may take `job_deadline_s`, and the same again for every 10 s of audio in it."""

_MIN_REMOTE_DEADLINE_S = 660.0
"""Seconds that a call to a remote engine may take at least. Such an engine has a timeout of its own, of 600 s at most,
and its error says more than ours."""

_WARM_UP_DEADLINE_FACTOR = 10.0
"""The first call may compile kernels, so it has this many times the deadline."""


class Worker:
    """Runs batches on one engine at a time, and settles each ticket or hands it back.

    A job has two attempts at most. The jobs of a failed batch are tried again one by one, so that one bad clip does not
    fail the others. A job that failed alone is tried again if it is a final, because nothing will replace it. When the
    engine is lost, finals with one attempt are handed back for another engine, and partials are dropped.

    An engine is lost when a call exceeds its deadline, when it fails job after job, or when it reports that it cannot
    go on. The worker then loads another one with a fresh executor, after a pause that grows with each load.

    Args:
        lane: The lane's name, for messages.
        new_executor: Makes an executor for each engine.
        next_batch: Waits for jobs: up to the given number, at least one, all with equal hints.
        requeue: Takes a final that needs another engine; its ticket stays in the state RUNNING.
        health: Gets a report of every engine that is loaded or lost.
        meter: Counts each job once, however many attempts it had.
        job_deadline_s: Called before every call: seconds that it may take, apart from its audio; may be infinite.
        warmup_clips: Transcribed after each load; may be empty.
    """

    def __init__(
        self,
        lane: str,
        *,
        new_executor: Callable[[], EngineExecutor],
        next_batch: Callable[[int], Awaitable[Sequence[Ticket]]],
        requeue: Callable[[Ticket], None],
        health: LaneHealth,
        meter: WorkMeter,
        job_deadline_s: Callable[[], float] = lambda: math.inf,
        warmup_clips: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._lane = lane
        self._new_executor = new_executor
        self._next_batch = next_batch
        self._requeue = requeue
        self._health = health
        self._meter = meter
        self._job_deadline_s = job_deadline_s
        self._warmup_clips = warmup_clips
        self._running: Sequence[Ticket] = ()
        self._reload_pause_s = FIRST_RELOAD_PAUSE_S
        # Of the current engine.
        self._executor: EngineExecutor
        self._remote = False
        self._lost: EngineUnavailable | None = None
        self._hung = False
        self._failed_jobs = 0
        self._retired = self._serving = False
        self._interruptible = trio.CancelScope()  # entered wherever the worker has no jobs

    @property
    def retired(self) -> bool:
        """Whether `retire` was called."""
        return self._retired

    @property
    def serving(self) -> bool:
        """Whether it has an engine."""
        return self._serving

    @property
    def busy(self) -> bool:
        """Whether it has jobs."""
        return bool(self._running)

    def retire(self) -> None:
        """Let `run` end: at once if there are no jobs, or else after them."""
        self._retired = True
        self._interruptible.cancel()

    async def run(self) -> None:
        """Keep an engine loaded and run batches on it, until cancelled or retired; then close it."""
        first_load = True
        while not self._retired:
            self._executor = self._new_executor()
            self._lost, self._hung, self._failed_jobs = None, False, 0
            try:
                error = await self._use_engine(first_load=first_load)
            finally:
                # An executor's aclose is shielded and has a deadline of its own.
                await self._release_engine()  # noqa: ASYNC102
            first_load = False
            if error is None:
                return
            with self._new_scope():
                if isinstance(error.__cause__, SettingError):
                    await trio.sleep_forever()  # settings do not change while the lane runs: a load would fail, too
                await self._health.wait_load_allowed()
                pause_s, self._reload_pause_s = self._reload_pause_s, min(2 * self._reload_pause_s, MAX_RELOAD_PAUSE_S)
                await trio.sleep(pause_s)

    def cancel_session(self, session_id: str) -> int:
        """Cancel the running jobs of a session; their results will be dropped. Returns how many this ended."""
        return sum(ticket.cancel() for ticket in self._running if ticket.job.session_id == session_id)

    def _new_scope(self) -> trio.CancelScope:
        self._interruptible = trio.CancelScope()
        return self._interruptible

    async def _use_engine(self, *, first_load: bool) -> EngineUnavailable | None:
        """Load an engine and run batches on it until it is lost. Returns the reason, or None if the worker retired."""
        info: EngineInfo | None = None
        try:
            with self._new_scope():
                info = await self._load()
        except EngineUnavailable as error:
            self._health.load_failed(error, first=first_load, hung=self._hung)
            return error
        if info is None:
            return None
        self._serving = True
        self._health.engine_loaded(info)
        while self._lost is None and not self._retired:
            batch: Sequence[Ticket] = ()
            # A scope that is cancelled just after jobs were taken has no effect: nothing in it waits any more.
            with self._new_scope():
                batch = await self._next_batch(info.max_batch)
            if batch:
                await self._run_batch(batch)
        self._serving = False
        if self._lost is None:
            self._health.engine_retired()
        else:
            self._health.engine_lost(self._lost, hung=self._hung)
        return self._lost

    async def _load(self) -> EngineInfo:
        """Load an engine and warm it up.

        Raises:
            EngineUnavailable: It could not be loaded, or was lost in the warm-up. Another failure of the warm-up says
                little about real clips, so it is only logged.
        """
        info = await self._executor.start()
        self._remote = info.device == "remote"
        for clip in self._warmup_clips:
            try:
                await self._transcribe([Request(samples=clip)], deadline_factor=_WARM_UP_DEADLINE_FACTOR)
            except TranscriptionFailed as error:
                logger.warning("%s lane: warm-up failed: %s", self._lane, error, exc_info=error.__cause__)
        return info

    async def _release_engine(self) -> None:
        if self._hung:
            # The executor is busy for good; closing would only wait in vain.
            self._executor.abandon(self._health.engine_returned)
        else:
            await self._executor.aclose(discard=self._lost is not None)

    async def _run_batch(self, tickets: Sequence[Ticket]) -> None:
        self._running = tickets
        self._meter.begin(trio.current_time())
        try:
            await self._attempt_and_settle(tickets)
        except BaseException:
            # The lane ends, by cancellation or by a defect: the tickets' waiters must not wait for ever.
            for ticket in tickets:
                ticket.drop("closed")
            raise
        finally:
            self._running = ()
            self._meter.end(trio.current_time())

    async def _attempt_and_settle(self, tickets: Sequence[Ticket]) -> None:
        alone = len(tickets) == 1
        attempt = await self._attempt(tickets, "job" if alone else f"batch of {len(tickets)} jobs")
        if not isinstance(attempt, EngineError):
            for ticket, transcript in zip(tickets, attempt, strict=True):
                self._complete(ticket, transcript)
            return
        for ticket in tickets:
            # A second attempt may lose the engine: `_fail` then hands the rest of the batch back, without attempts.
            second = await self._attempt([ticket], "second attempt") if self._retries(ticket, alone=alone) else attempt
            if isinstance(second, EngineError):
                self._fail(ticket, second)
            else:
                self._complete(ticket, second[0])

    async def _attempt(self, tickets: Sequence[Ticket], what: str) -> list[Transcript] | EngineError:
        for ticket in tickets:
            ticket.start(trio.current_time())
        batch = [
            Request(samples=job.samples, hints=job.hints, utterance=job.utterance, ends=job.kind is JobKind.FINAL)
            for job in (ticket.job for ticket in tickets)
        ]
        try:
            return await self._transcribe(batch)
        except EngineError as error:
            logger.warning("%s lane: %s failed: %s", self._lane, what, error, exc_info=error.__cause__)
            # An executor may refuse without a checkpoint: a long queue of refusals must not block the event loop.
            await trio.lowlevel.checkpoint()
            return error

    async def _transcribe(self, batch: Sequence[Request], *, deadline_factor: float = 1.0) -> list[Transcript]:
        """Make one call within its deadline.

        Raises:
            TranscriptionFailed: The engine failed this batch.
            EngineUnavailable: The engine is lost.
        """
        audio_s = sum(request.samples.size for request in batch) / SAMPLE_RATE_HZ
        limit_s = self._job_deadline_s() * (1.0 + audio_s / _AUDIO_PER_DEADLINE_S)
        if self._remote:
            limit_s = max(limit_s, _MIN_REMOTE_DEADLINE_S)
        limit_s *= deadline_factor
        try:
            # The deadline cancels only the wait: a native call cannot be interrupted and keeps its thread.
            with trio.move_on_after(limit_s):
                return await self._executor.transcribe(batch)
        except EngineUnavailable as error:
            self._lost = error
            raise
        # Only an exceeded deadline gets here: when the lane is cancelled, `Cancelled` passes through `move_on_after`.
        self._hung = True
        self._lost = EngineUnavailable(f"the engine did not answer within {limit_s:g} s (see job_deadline_s)")
        raise self._lost

    def _retries(self, ticket: Ticket, *, alone: bool) -> bool:
        """Whether this engine gets a failed job again; not one that was cancelled meanwhile."""
        if self._lost is not None or ticket.attempts >= MAX_ATTEMPTS_PER_JOB or ticket.state is not TicketState.RUNNING:
            return False
        return not alone or ticket.job.kind is JobKind.FINAL

    def _complete(self, ticket: Ticket, transcript: Transcript) -> None:
        self._failed_jobs = 0
        self._reload_pause_s = FIRST_RELOAD_PAUSE_S
        queue_delay_s, inference_s = self._count(ticket, completed=True)
        ticket.complete(
            JobResult(
                transcript=transcript,
                queue_delay_s=queue_delay_s,
                inference_s=inference_s,
                total_s=queue_delay_s + inference_s,
            )
        )

    def _fail(self, ticket: Ticket, error: EngineError) -> None:
        """Settle a job that failed, or hand it back if only the engine is to blame."""
        if self._lost is not None and ticket.state is TicketState.RUNNING:
            if ticket.job.kind is JobKind.PARTIAL:
                self._meter.count_dropped()
                ticket.drop("engine lost")
                return
            if ticket.attempts < MAX_ATTEMPTS_PER_JOB:
                self._requeue(ticket)
                return
        self._count(ticket, completed=False)
        if isinstance(error, TranscriptionFailed):
            self._failed_jobs += 1
            if self._failed_jobs >= MAX_FAILED_JOBS and self._lost is None:
                self._lost = EngineUnavailable(f"{self._failed_jobs} jobs failed in a row; the last one: {error}")
        ticket.fail(error)

    def _count(self, ticket: Ticket, *, completed: bool) -> tuple[float, float]:
        """Count a job that an engine is done with. Returns its queue delay and inference time in seconds."""
        assert ticket.started_s is not None  # noqa: S101 - for the type checker: every job of a batch was started
        queue_delay_s = ticket.started_s - ticket.submitted_s
        inference_s = trio.current_time() - ticket.started_s
        self._meter.count(completed=completed, queue_delay_s=queue_delay_s, inference_s=inference_s)
        return queue_delay_s, inference_s
