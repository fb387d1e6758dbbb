"""The place where a lane's engine gets its jobs, a batch at a time, and where they get their results.

Owns the jobs that run and what happens when an engine fails. It must not know queues, nor decide what runs next, and
never logs what was said.
"""

import logging
from collections.abc import Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import Request, Transcript
from trio_stt.lanes.host import EngineHost
from trio_stt.lanes.job import JobKind, JobResult, Ticket, TicketState
from trio_stt.lanes.meter import WorkMeter

logger = logging.getLogger(__name__)


class Workbench:
    """Runs tickets on an engine, and settles each of them.

    No job is tried more than twice. Those of a batch that failed are tried again, each alone, so that one bad clip
    costs its neighbours no words. A job that failed alone is tried again when it is a final: nothing will replace it.

    Args:
        lane: The lane's name, for messages.
        host: Runs the engine.
        meter: Counts each job once, whatever it took.
    """

    def __init__(self, lane: str, *, host: EngineHost, meter: WorkMeter) -> None:
        self._lane = lane
        self._host = host
        self._meter = meter
        self._running: Sequence[Ticket] = ()

    async def warm_up(self, clip: NDArray[np.float32]) -> None:
        """Transcribe a clip for nobody.

        Raises:
            EngineUnavailable: The engine says that it is unfit. Another failure says little about the next clip: it is
                logged, and the jobs show what is wrong.
        """
        attempt = await self._attempt("warm-up", [Request(samples=clip)])
        if isinstance(attempt, EngineUnavailable):
            raise attempt

    async def run(self, tickets: Sequence[Ticket]) -> None:
        """Transcribe one batch of at least one job, all with equal hints, and settle their tickets."""
        self._running, begun_s = tickets, trio.current_time()
        self._meter.begin(begun_s)
        for ticket in tickets:
            ticket.start()
        attempt = await self._attempt("job" if len(tickets) == 1 else f"batch of {len(tickets)} jobs", _asked(tickets))
        for index, ticket in enumerate(tickets):
            result: Transcript | EngineError
            if not isinstance(attempt, EngineError):
                result = attempt[index]
            elif self._again(ticket, attempt, alone=len(tickets) == 1):
                second = await self._attempt("second attempt", _asked([ticket]))
                result = second if isinstance(second, EngineError) else second[0]
            else:
                result = attempt
            self._settle(ticket, result, begun_s)
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

    @staticmethod
    def _again(ticket: Ticket, error: EngineError, *, alone: bool) -> bool:
        wanted = ticket.state is TicketState.RUNNING  # else it was given up meanwhile
        return isinstance(error, TranscriptionFailed) and wanted and (not alone or ticket.job.kind is JobKind.FINAL)

    def _settle(self, ticket: Ticket, result: Transcript | EngineError, begun_s: float) -> None:
        queue_delay_s = begun_s - ticket.submitted_s
        inference_s = trio.current_time() - begun_s
        completed = not isinstance(result, EngineError)
        self._meter.count(completed=completed, queue_delay_s=queue_delay_s, inference_s=inference_s)
        if isinstance(result, EngineError):
            ticket.fail(result)
            return
        ticket.complete(
            JobResult(
                transcript=result,
                queue_delay_s=queue_delay_s,
                inference_s=inference_s,
                total_s=queue_delay_s + inference_s,
            )
        )

    async def _attempt(self, what: str, batch: list[Request]) -> list[Transcript] | EngineError:
        try:
            return await self._host.transcribe(batch)
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
