"""One worker of a lane: runs the lane's batches on an engine, and replaces it when it is lost.

Owns the jobs that run, their attempts, and the pauses between engines. Which jobs run is the lane's decision; whether
an engine is lost is `WorkerEngine`'s. Text of transcripts is never logged.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.job import JobKind, JobResult, Ticket, TicketState
from trio_stt.lanes.lane_health import LaneHealth
from trio_stt.lanes.work_meter import WorkMeter
from trio_stt.lanes.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)

MAX_ATTEMPTS_PER_JOB = 2
"""Attempts on all engines together. A clip that makes engines hang costs two engines at most."""

FIRST_RELOAD_PAUSE_S = 1.0
"""Seconds before an engine is loaded again. Doubled after each load until a job succeeds."""

MAX_RELOAD_PAUSE_S = 60.0
"""Longest pause in seconds between two loads: an engine that can be loaded again is found within a minute."""


class Worker:
    """Runs batches on one engine at a time, and settles each ticket or hands it back.

    A job has two attempts at most. The jobs of a failed batch are tried again one by one, so that one bad clip does not
    fail the others. A job that failed alone is tried again if it is a final, because nothing will replace it. When the
    engine is lost, finals with one attempt are handed back for another engine, and partials are dropped.

    After an engine is lost, the worker loads another one with a fresh executor, after a pause that grows with each
    load.

    Args:
        lane: The lane's name, for messages.
        new_executor: Makes an executor for each engine.
        next_batch: Waits for jobs: up to the given number, at least one, all with equal hints.
        requeue: Takes a final that needs another engine; its ticket stays in the state RUNNING.
        health: Gets a report of every engine that is loaded or lost.
        meter: Counts each job once, however many attempts it had.
        job_deadline_s: Of each engine, see `WorkerEngine`.
        warmup_clips: Of each engine, as above.
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
        self._engine: WorkerEngine
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
        self._interrupt()

    async def run(self) -> None:
        """Keep an engine loaded and run batches on it, until cancelled or retired; then close it."""
        first_load = True
        while not self._retired:
            self._engine = WorkerEngine(
                self._lane,
                self._new_executor(),
                on_lost=self._interrupt,
                job_deadline_s=self._job_deadline_s,
                warmup_clips=self._warmup_clips,
            )
            try:
                error = await self._use_engine(first_load=first_load)
            finally:
                # An executor's aclose is shielded and has a deadline of its own.
                await self._engine.release(self._health.engine_returned)  # noqa: ASYNC102
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

    def _interrupt(self) -> None:
        self._interruptible.cancel()

    def _new_scope(self) -> trio.CancelScope:
        self._interruptible = trio.CancelScope()
        return self._interruptible

    async def _use_engine(self, *, first_load: bool) -> EngineUnavailable | None:
        """Load an engine and run batches on it until it is lost. Returns the reason, or None if the worker retired."""
        info: EngineInfo | None = None
        try:
            with self._new_scope():
                info = await self._engine.load()
        except EngineUnavailable as error:
            self._health.load_failed(error, first=first_load, hung=self._engine.hung)
            return error
        if info is None:
            return None
        self._serving = True
        self._health.engine_loaded(info)
        while self._engine.lost is None and not self._retired:
            batch: Sequence[Ticket] = ()
            # A scope that is cancelled just after jobs were taken has no effect: nothing in it waits any more.
            with self._new_scope():
                batch = await self._next_batch(info.max_batch)
            if batch:
                await self._run_batch(batch)
        self._serving = False
        if self._engine.lost is None:
            self._health.engine_retired()
        else:
            self._health.engine_lost(self._engine.lost, hung=self._engine.hung)
        return self._engine.lost

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
            return await self._engine.transcribe(batch)
        except EngineError as error:
            logger.warning("%s lane: %s failed: %s", self._lane, what, error, exc_info=error.__cause__)
            # An executor may refuse without a checkpoint: a long queue of refusals must not block the event loop.
            await trio.lowlevel.checkpoint()
            return error

    def _retries(self, ticket: Ticket, *, alone: bool) -> bool:
        """Whether this engine gets a failed job again; not one that was cancelled meanwhile."""
        if (
            self._engine.lost is not None
            or ticket.attempts >= MAX_ATTEMPTS_PER_JOB
            or ticket.state is not TicketState.RUNNING
        ):
            return False
        return not alone or ticket.job.kind is JobKind.FINAL

    def _complete(self, ticket: Ticket, transcript: Transcript) -> None:
        self._engine.count_completed()
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
        if self._engine.lost is not None and ticket.state is TicketState.RUNNING:
            if ticket.job.kind is JobKind.PARTIAL:
                self._meter.count_dropped()
                ticket.drop("engine lost")
                return
            if ticket.attempts < MAX_ATTEMPTS_PER_JOB:
                self._requeue(ticket)
                return
        self._count(ticket, completed=False)
        if isinstance(error, TranscriptionFailed):
            self._engine.count_failed(error)
        ticket.fail(error)

    def _count(self, ticket: Ticket, *, completed: bool) -> tuple[float, float]:
        """Count a job that an engine is done with. Returns its queue delay and inference time in seconds."""
        assert ticket.started_s is not None  # noqa: S101 - for the type checker: every job of a batch was started
        queue_delay_s = ticket.started_s - ticket.submitted_s
        inference_s = trio.current_time() - ticket.started_s
        self._meter.count(completed=completed, queue_delay_s=queue_delay_s, inference_s=inference_s)
        return queue_delay_s, inference_s
