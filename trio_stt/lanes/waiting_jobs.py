"""The jobs of a lane that wait for an engine, with their tickets, and the batches that workers take of them.

Owns the tickets of queued jobs, and the finals that a lost engine left. Synchronous: the time comes in as a number. It
knows neither workers nor the state of the lane.
"""

from collections import deque
from collections.abc import Callable

from trio_stt.lanes.fair_queue import FairQueue, QueueLimits, QueueStatistics
from trio_stt.lanes.job import Job, JobKind, Ticket, TicketState


class WaitingJobs:
    """Queued jobs in the order of the fair queue; before them, finals to be tried again on another engine.

    Args:
        name: The lane's name, for messages.
        limits: Called at every `enqueue`.
        batch_size: Called before every batch, with the kind of its first job: the most jobs in it, at least 1.
        on_left: Called with the number of jobs that left the queue, after they left; may be 0.
    """

    def __init__(
        self,
        name: str,
        *,
        limits: Callable[[], QueueLimits],
        batch_size: Callable[[JobKind], int],
        on_left: Callable[[int], None],
    ) -> None:
        self._queue = FairQueue(name, limits)
        self._tickets: dict[Job, Ticket] = {}  # of the queued jobs
        self._retry_queue: deque[Ticket] = deque()  # finals whose engine was lost; some may have ended meanwhile
        self._batch_size = batch_size
        self._on_left = on_left

    def __len__(self) -> int:
        """Number of queued jobs, without those to be tried again."""
        return len(self._queue)

    def statistics(self) -> QueueStatistics:
        """The queue as it is now."""
        return self._queue.statistics()

    def longest_delay_s(self, now_s: float) -> float:
        """Seconds for which the oldest queued job has waited; 0.0 if none is queued."""
        return now_s - min((ticket.submitted_s for ticket in self._tickets.values()), default=now_s)

    def enqueue(self, ticket: Ticket) -> None:
        """Queue a ticket's job; a partial replaces the session's queued one, whose ticket is dropped.

        Raises:
            JobRefused: A limit is reached, or `close` was called.
            ValueError: The same job is queued already.
        """
        replaced = self._queue.enqueue(ticket.job)
        if replaced is not None:
            older = self._tickets.pop(replaced)
            ticket.submitted_s = older.submitted_s  # the delay counts from the first version
            older.drop("coalesced")
        self._tickets[ticket.job] = ticket

    def requeue(self, ticket: Ticket) -> None:
        """Keep a final that needs another engine; its ticket stays in the state RUNNING."""
        self._retry_queue.append(ticket)

    def take_batch(self, now_s: float, max_batch: int, *, files: bool) -> list[Ticket]:
        """Take the jobs of one batch; none if nothing waits. Drops the stale partials whose turn comes before.

        Args:
            now_s: The time on Trio's clock.
            max_batch: The most jobs that the engine takes.
            files: Whether finals of files may be taken.
        """
        while self._retry_queue:
            retried = self._retry_queue.popleft()
            if retried.state is TicketState.RUNNING:  # otherwise it was cancelled meanwhile
                return [retried]  # alone, because it may be what its engine was lost with
        queued = len(self._queue)
        batch: list[Ticket] = []
        size = 1  # until the kind of the first job is known, which decides the batch size
        while len(batch) < size:
            dequeued = self._queue.dequeue(now_s, hints=batch[0].job.hints if batch else None, files=files)
            for job in dequeued.stale:
                self._tickets.pop(job).drop("stale")
            if dequeued.job is None:
                break
            batch.append(self._tickets.pop(dequeued.job))
            size = min(max_batch, self._batch_size(batch[0].job.kind))
        self._on_left(queued - len(self._queue))
        return batch

    def withdraw(self, job: Job) -> None:
        """Take a queued job out, whose ticket is cancelled."""
        self._queue.remove(job)
        del self._tickets[job]
        self._on_left(1)

    def cancel_session(self, session_id: str) -> int:
        """Cancel all jobs of a session. Returns how many this ended."""
        queued = [self._tickets.pop(job) for job in self._queue.cancel(session_id)]
        for ticket in queued:
            ticket.drop("cancelled")
        self._on_left(len(queued))
        retried = sum(ticket.cancel() for ticket in self._retry_queue if ticket.job.session_id == session_id)
        return len(queued) + retried

    def take_all(self) -> list[Ticket]:
        """Take out all tickets that have not ended; the caller ends them."""
        queued = [self._tickets.pop(job) for job in self._queue.clear()]
        waiting = [*(ticket for ticket in self._retry_queue if ticket.state is TicketState.RUNNING), *queued]
        self._retry_queue.clear()
        self._on_left(len(queued))
        return waiting

    def close(self) -> list[Ticket]:
        """Refuse all jobs from now on; takes out those that wait, as `take_all`."""
        waiting = self.take_all()
        self._queue.close()
        return waiting
