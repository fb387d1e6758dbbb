"""The place where a worker's engine gets its jobs, a batch at a time, and where they get their results.

Owns the jobs that run and what happens to them when the engine fails. It must not know queues, nor decide what runs
next, and never logs what was said.
"""

import logging
from collections.abc import Callable, Sequence

import trio

from trio_stt.errors import EngineError, TranscriptionFailed
from trio_stt.lanes.engine_supervisor import EngineSupervisor
from trio_stt.lanes.engines.base import Request, Transcript
from trio_stt.lanes.job import JobKind, JobResult, Ticket, TicketState
from trio_stt.lanes.work_meter import WorkMeter

logger = logging.getLogger(__name__)

_MAX_ATTEMPTS = 2


class LaneWorker:
    """Runs tickets on an engine, and settles each of them, or hands it back.

    No job is tried more than twice. Those of a batch that failed are tried again, each alone, so that one bad clip
    costs its neighbours no words. A job that failed alone is tried again when it is a final: nothing will replace it.
    When the engine is lost on the way, finals that were tried once are handed back, and partials are dropped.

    Args:
        lane: The lane's name, for messages.
        keeper: Has the engine.
        meter: Counts each job once, whatever it took.
        hand_back: Gets the finals that want another engine, one after the other; they still count as running.
    """

    def __init__(
        self, lane: str, *, supervisor: EngineSupervisor, meter: WorkMeter, requeue: Callable[[Ticket], None]
    ) -> None:
        self.supervisor = supervisor
        self._lane = lane
        self._meter = meter
        self._requeue = requeue
        self._running: Sequence[Ticket] = ()

    async def run(self, tickets: Sequence[Ticket]) -> None:
        """Transcribe one batch of at least one job, all with equal hints, and settle their tickets."""
        now_s = trio.current_time()
        self._running = tickets
        self._meter.begin(now_s)
        for ticket in tickets:
            ticket.start(now_s)
        attempt = await self._attempt("job" if len(tickets) == 1 else f"batch of {len(tickets)} jobs", tickets)
        for index, ticket in enumerate(tickets):
            if not isinstance(attempt, EngineError):
                self._settle(ticket, attempt[index])
                continue
            result: Transcript | EngineError = attempt
            if self._again(ticket, alone=len(tickets) == 1):
                ticket.start(now_s)
                second = await self._attempt("second attempt", [ticket])
                result = second if isinstance(second, EngineError) else second[0]
            self._settle(ticket, result)
        self._running = ()
        self._meter.end(trio.current_time())

    def cancel_session(self, session_id: str) -> int:
        """Throw away what will come of a session's running jobs. Returns how many this ended."""
        return sum(ticket.cancel() for ticket in self._running if ticket.job.session_id == session_id)

    def close(self) -> None:
        """Drop what runs: nobody will wait for the engine any more."""
        for ticket in self._running:
            ticket.drop("closed")
        self._running = ()

    def _again(self, ticket: Ticket, *, alone: bool) -> bool:
        """Whether the engine shall try a job again that it failed; not one that was given up meanwhile."""
        if self.supervisor.lost is not None or ticket.attempts >= _MAX_ATTEMPTS:
            return False
        return ticket.state is TicketState.RUNNING and (not alone or ticket.job.kind is JobKind.FINAL)

    def _settle(self, ticket: Ticket, result: Transcript | EngineError) -> None:
        if isinstance(result, EngineError) and self.supervisor.lost is not None and ticket.state is TicketState.RUNNING:
            if ticket.job.kind is JobKind.PARTIAL:
                self._meter.count_dropped()
                ticket.drop("engine lost")
                return
            if ticket.attempts < _MAX_ATTEMPTS:
                self._requeue(ticket)
                return
        assert ticket.started_s is not None  # noqa: S101 - for the type checker: every job of a batch was started
        queue_delay_s = ticket.started_s - ticket.submitted_s
        inference_s = trio.current_time() - ticket.started_s
        completed = not isinstance(result, EngineError)
        self._meter.count(completed=completed, queue_delay_s=queue_delay_s, inference_s=inference_s)
        if isinstance(result, EngineError):
            if isinstance(result, TranscriptionFailed):
                self.supervisor.job_failed(result)
            ticket.fail(result)
            return
        self.supervisor.job_done()
        ticket.complete(
            JobResult(
                transcript=result,
                queue_delay_s=queue_delay_s,
                inference_s=inference_s,
                total_s=queue_delay_s + inference_s,
            )
        )

    async def _attempt(self, what: str, tickets: Sequence[Ticket]) -> list[Transcript] | EngineError:
        try:
            return await self.supervisor.transcribe(_asked(tickets))
        except EngineError as error:
            logger.warning("%s lane: %s failed: %s", self._lane, what, error, exc_info=error.__cause__)
            # A host may refuse without a checkpoint: a queue full of refusals must not hold up everybody else.
            await trio.lowlevel.checkpoint()
            return error


def _asked(tickets: Sequence[Ticket]) -> list[Request]:
    return [
        Request(samples=job.samples, hints=job.hints, utterance=job.utterance, ends=job.kind is JobKind.FINAL)
        for job in (ticket.job for ticket in tickets)
    ]
