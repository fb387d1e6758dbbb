"""The fair queue: its rules one by one, then random operations against a simple model."""

from itertools import chain

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from tests.lanes.fakes import final, limits, partial
from trio_stt.errors import JobRefused
from trio_stt.lanes.engines.base import NO_HINTS, Hints
from trio_stt.lanes.fair_queue import MAX_FINALS_IN_A_ROW, MAX_LIVE_IN_A_ROW, FairQueue, QueueLimits, SessionDepth
from trio_stt.lanes.job import Job, JobKind


def dequeue_all(queue: FairQueue) -> list[Job]:
    jobs = []
    while (job := queue.dequeue(0.0).job) is not None:
        jobs.append(job)
    return jobs


@pytest.mark.contract("7.2")
def test_sessions_take_turns_in_any_order_of_arrival() -> None:
    queue = FairQueue("main", limits())
    jobs = [final("a"), final("a"), final("a"), final("b"), final("b"), final("c")]
    for job in jobs:
        queue.enqueue(job)
    a1, a2, a3, b1, b2, c1 = jobs
    assert dequeue_all(queue) == [a1, b1, c1, a2, b2, a3]


@pytest.mark.contract("7.2")
def test_session_whose_jobs_are_done_queues_behind_the_others() -> None:
    queue = FairQueue("main", limits())
    a1, a2, b1, b2 = final("a"), final("a"), final("b"), final("b")
    queue.enqueue(a1)
    queue.enqueue(b1)
    queue.enqueue(b2)
    assert queue.dequeue(0.0).job is a1
    queue.enqueue(a2)
    assert dequeue_all(queue) == [b1, a2, b2]


@pytest.mark.contract("7.2")
def test_finals_have_priority_over_partials() -> None:
    queue = FairQueue("main", limits())
    pa, pb, fa, fc = partial("a"), partial("b"), final("a"), final("c")
    for job in (pa, pb, fa, fc):
        queue.enqueue(job)
    assert dequeue_all(queue) == [fa, fc, pa, pb]


def test_a_partial_is_served_after_some_finals_but_not_before_its_own_sessions_finals() -> None:
    queue = FairQueue("main", limits(finals=20))
    finals = [final("a") for _ in range(3 * MAX_FINALS_IN_A_ROW)]
    pa, pb, pc = partial("a"), partial("b"), partial("c")
    for job in (pa, *finals, pb, pc):
        queue.enqueue(job)
    first, second = MAX_FINALS_IN_A_ROW, 2 * MAX_FINALS_IN_A_ROW
    assert dequeue_all(queue) == [*finals[:first], pb, *finals[first:second], pc, *finals[second:], pa]


def test_first_partial_behind_its_own_sessions_final_does_not_hold_up_later_partials() -> None:
    queue = FairQueue("main", limits(finals=20))
    finals = [final("a") for _ in range(MAX_FINALS_IN_A_ROW + 1)]
    a_first, b_later = partial("a", first=True), partial("b", waiting_since_s=1.0)
    for job in (*finals, a_first, b_later):
        queue.enqueue(job)
    assert dequeue_all(queue) == [*finals[:MAX_FINALS_IN_A_ROW], b_later, finals[-1], a_first]


def test_finals_of_files_yield_to_live_jobs_but_are_not_starved() -> None:
    queue = FairQueue("main", limits(finals=20))
    file_a, file_b, file_c = (final(name, from_file=True) for name in ("x", "y", "x"))
    live = [final("a") for _ in range(MAX_LIVE_IN_A_ROW)]
    last, its_partial = final("a"), partial("a")
    for job in (file_a, file_b, file_c, its_partial, *live, last):
        queue.enqueue(job)
    assert dequeue_all(queue) == [*live, file_a, last, its_partial, file_b, file_c]


def test_partial_of_the_session_that_waits_longest_is_next() -> None:
    queue = FairQueue("realtime", limits())
    late, early, first = partial("a", waiting_since_s=2.0), partial("b", waiting_since_s=1.0), partial("c", first=True)
    for job in (late, early, first):
        queue.enqueue(job)
    newer = partial("a", waiting_since_s=0.5)
    assert queue.enqueue(newer) is late
    assert dequeue_all(queue) == [first, newer, early]


@pytest.mark.contract("7.2", "11/32")
def test_new_partial_replaces_the_queued_one_even_in_a_full_lane() -> None:
    queue = FairQueue("main", limits(jobs=2))
    old, new, other = partial("a"), partial("a"), partial("b")
    queue.enqueue(old)
    queue.enqueue(other)
    assert queue.enqueue(new) is old
    assert len(queue) == 2
    assert queue.statistics().coalesced == 1
    assert dequeue_all(queue) == [new, other]


def test_first_partials_of_utterances_are_served_before_later_ones() -> None:
    queue = FairQueue("realtime", limits())
    jobs = [partial("a"), partial("b", first=True), final("c"), partial("d"), partial("e", first=True)]
    for job in jobs:
        queue.enqueue(job)
    a, b, c, d, e = jobs
    assert dequeue_all(queue) == [c, b, e, a, d]


def test_first_partial_keeps_its_place_when_replaced_within_its_utterance() -> None:
    queue = FairQueue("realtime", limits())
    for job in (partial("a"), partial("b", first=True), partial("c", first=True)):
        queue.enqueue(job)
    renewed, a_first, c_later = partial("b", first=True), partial("a", first=True), partial("c")
    for job in (renewed, a_first, c_later):
        queue.enqueue(job)
    assert len(queue) == 3
    assert dequeue_all(queue) == [renewed, a_first, c_later]


@pytest.mark.contract("7.2")
def test_stale_partials_are_dropped_at_their_turn() -> None:
    queue = FairQueue("main", limits())
    late, in_time, after = partial("a", deadline_s=1.9), partial("b", deadline_s=2.0), partial("c")
    for job in (late, in_time, after):
        queue.enqueue(job)
    dequeued = queue.dequeue(2.0)
    assert dequeued.stale == (late,)
    assert dequeued.job is in_time
    assert queue.dequeue(2.0).job is after
    assert queue.statistics().stale == 1


def test_dequeue_with_hints_leaves_other_jobs_their_turn() -> None:
    queue = FairQueue("main", limits())
    prompted = Hints(prompt="Names: Ada")
    first, late, other, last = (
        final("a", hints=prompted),
        partial("b", deadline_s=0.5),
        partial("c"),
        partial("d", hints=Hints(prompt="Names: Ada")),
    )
    for job in (first, late, other, last):
        queue.enqueue(job)
    assert queue.dequeue(1.0, hints=prompted).job is first
    refused = queue.dequeue(1.0, hints=prompted)
    assert refused.job is None
    assert refused.stale == (late,)  # the session had its turn before
    assert len(queue) == 2
    assert queue.dequeue(1.0).job is other
    assert queue.dequeue(1.0, hints=prompted).job is last


@pytest.mark.contract("7.2")
def test_refusals_name_lane_limit_and_value_and_are_counted() -> None:
    queue = FairQueue("realtime", limits(finals=2, jobs=3))
    for job in (final("a"), final("a"), partial("a")):
        queue.enqueue(job)
    with pytest.raises(JobRefused, match=r"realtime lane .* 2 finals .*\(max_final_queue_depth_per_session is 2\)"):
        queue.enqueue(final("a"))
    for job in (final("b"), partial("b")):
        with pytest.raises(JobRefused, match=r"realtime lane .* 3 jobs \(max_global_inference_queue_depth is 3\)"):
            queue.enqueue(job)
    assert queue.statistics().rejected == 3
    assert set(queue.statistics().per_session) == {"a"}


@pytest.mark.contract("7.2")
def test_limits_are_read_at_every_enqueue() -> None:
    now = QueueLimits(max_finals_per_session=1, max_jobs=64)
    queue = FairQueue("main", lambda: now)
    queue.enqueue(final("a"))
    with pytest.raises(JobRefused):
        queue.enqueue(final("a"))
    now = QueueLimits(max_finals_per_session=2, max_jobs=64)
    queue.enqueue(final("a"))
    now = QueueLimits(max_finals_per_session=8, max_jobs=1)
    with pytest.raises(JobRefused, match=r"holds 2 jobs .* is 1"):
        queue.enqueue(final("b"))


def test_same_job_is_not_queued_twice() -> None:
    queue = FairQueue("main", limits())
    for job in (final("a"), partial("a")):
        queue.enqueue(job)
        with pytest.raises(ValueError, match="queued already"):
            queue.enqueue(job)
    assert len(queue) == 2


def test_closed_queue_returns_its_jobs_and_refuses_new_ones() -> None:
    queue = FairQueue("main", limits())
    jobs = [partial("a"), final("b"), final("a")]
    for job in jobs:
        queue.enqueue(job)
    assert set(queue.close()) == set(jobs)
    assert queue.close() == []
    with pytest.raises(JobRefused, match="main lane is closed"):
        queue.enqueue(final("a"))
    assert queue.dequeue(0.0).job is None


SESSIONS = st.sampled_from(["a", "b", "c", "d"])
FILES = st.sampled_from(["x", "y"])
HINTS = st.sampled_from([NO_HINTS, Hints(vad_filter=True)])


def line_of(job: Job) -> str:
    return "file" if job.from_file else "first" if job.first else job.kind.value


class Model(RuleBasedStateMachine):
    """A simple model of the queue: three lists of turns and one list of jobs, searched linearly."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.limits = QueueLimits(max_finals_per_session=2, max_jobs=5)
        self.queue = FairQueue("main", lambda: self.limits)
        self.now_s = 0.0
        self.turns: dict[str, list[str]] = {"final": [], "file": [], "first": [], "partial": []}
        self.in_a_row = self.live_in_a_row = 0
        self.waiting: list[Job] = []
        self.coalesced = self.stale = self.rejected = 0

    def of(self, session_id: str, kind: JobKind) -> list[Job]:
        return [job for job in self.waiting if job.session_id == session_id and job.kind is kind]

    def settle(self) -> None:
        for line, turns in self.turns.items():
            turns[:] = [
                session_id
                for session_id in turns
                if any(job.session_id == session_id and line_of(job) == line for job in self.waiting)
            ]

    def next(self) -> Job | None:
        live, files = self.next_live(), self.turns["file"]
        if files and (live is None or self.live_in_a_row >= MAX_LIVE_IN_A_ROW):
            return self.of(files[0], JobKind.FINAL)[0]
        return live

    def next_live(self) -> Job | None:
        finals = self.turns["final"]
        partials = self.partials("first") or self.partials("partial")
        if partials and (not finals or self.in_a_row >= MAX_FINALS_IN_A_ROW):
            return min(partials, key=lambda job: job.waiting_since_s)
        return self.of(finals[0], JobKind.FINAL)[0] if finals else None

    def partials(self, line: str) -> list[Job]:
        """The partials of one list of turns whose sessions have no final, in the order of arrival."""
        waiting = [each for each in self.turns[line] if each not in self.turns["final"]]
        return [self.of(each, JobKind.PARTIAL)[0] for each in waiting]

    @rule(finals=st.integers(1, 3), total=st.integers(1, 8))
    def change_limits(self, finals: int, total: int) -> None:
        self.limits = QueueLimits(max_finals_per_session=finals, max_jobs=total)

    @rule(target=jobs, session_id=SESSIONS, hints=HINTS)
    def put_final(self, session_id: str, hints: Hints) -> Job:
        return self.put(final(session_id, hints=hints))

    @rule(target=jobs, session_id=FILES, hints=HINTS)
    def put_final_of_file(self, session_id: str, hints: Hints) -> Job:
        return self.put(final(session_id, hints=hints, from_file=True))

    def put(self, job: Job) -> Job:
        session_id = job.session_id
        held = len(self.of(session_id, JobKind.FINAL))
        if held >= self.limits.max_finals_per_session or len(self.waiting) >= self.limits.max_jobs:
            self.refuse(job)
        else:
            self.accept(job, replaced=None)
        return job

    @rule(
        target=jobs,
        session_id=SESSIONS,
        life_s=st.none() | st.integers(0, 3),
        hints=HINTS,
        first=st.booleans(),
        since_s=st.integers(0, 2),
    )
    def put_partial(self, session_id: str, life_s: int | None, hints: Hints, since_s: int, *, first: bool) -> Job:
        deadline_s = None if life_s is None else self.now_s + life_s
        job = partial(
            session_id,
            deadline_s=deadline_s,
            hints=hints,
            first=first,
            waiting_since_s=0 if first else since_s,
        )
        queued = self.of(session_id, JobKind.PARTIAL)
        if queued:
            self.coalesced += 1
            self.accept(job, replaced=queued[0])
        elif len(self.waiting) >= self.limits.max_jobs:
            self.refuse(job)
        else:
            self.accept(job, replaced=None)
        return job

    def accept(self, job: Job, *, replaced: Job | None) -> None:
        assert self.queue.enqueue(job) is replaced
        if replaced is not None:
            self.waiting.remove(replaced)
        self.waiting.append(job)
        self.settle()
        if job.session_id not in self.turns[line_of(job)]:
            self.turns[line_of(job)].append(job.session_id)

    def refuse(self, job: Job) -> None:
        self.rejected += 1
        with pytest.raises(JobRefused):
            self.queue.enqueue(job)

    @rule(pass_s=st.integers(0, 2), hints=st.none() | HINTS)
    def take(self, pass_s: int, hints: Hints | None) -> None:
        self.now_s += pass_s
        expected, stale = None, []
        while expected is None and (job := self.next()) is not None:
            late = job.deadline_s is not None and job.deadline_s < self.now_s
            if not late and hints not in (None, job.hints):
                break
            self.waiting.remove(job)
            self.settle()
            if late:
                stale.append(job)
                continue
            expected = job
            turns = self.turns[line_of(job)]
            if job.from_file:
                self.live_in_a_row = 0
            else:
                self.live_in_a_row += bool(self.turns["file"])
                self.in_a_row = 0 if job.kind is JobKind.PARTIAL else self.in_a_row + 1
            if job.kind is JobKind.FINAL and job.session_id in turns:
                turns.remove(job.session_id)
                turns.append(job.session_id)
        self.stale += len(stale)
        dequeued = self.queue.dequeue(self.now_s, hints=hints)
        assert dequeued.job is expected
        assert list(dequeued.stale) == stale

    @rule(target=jobs, job=consumes(jobs))
    def remove(self, job: Job) -> object:
        assert self.queue.remove(job) is (job in self.waiting)
        if job in self.waiting:
            self.waiting.remove(job)
        self.settle()
        return multiple()

    @rule(session_id=SESSIONS | FILES)
    def cancel(self, session_id: str) -> None:
        expected = self.of(session_id, JobKind.FINAL) + self.of(session_id, JobKind.PARTIAL)
        assert self.queue.cancel(session_id) == expected
        self.waiting = [job for job in self.waiting if job not in expected]
        self.settle()

    @invariant()
    def agrees(self) -> None:
        shown = self.queue.statistics()
        assert shown.queued == len(self.queue) == len(self.waiting)
        assert list(shown.per_session.items()) == [
            (
                session_id,
                SessionDepth(
                    finals=len(self.of(session_id, JobKind.FINAL)), partials=len(self.of(session_id, JobKind.PARTIAL))
                ),
            )
            for session_id in dict.fromkeys(chain.from_iterable(self.turns.values()))
        ]
        assert (shown.coalesced, shown.stale, shown.rejected) == (self.coalesced, self.stale, self.rejected)


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestModel = Model.TestCase
