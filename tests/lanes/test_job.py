"""Valid and invalid jobs, and what their tickets report."""

import gc
import weakref
from contextlib import suppress

import numpy as np
import pytest

from tests.lanes.fakes import clip, final
from trio_stt.errors import JobDropped, ModelMissing
from trio_stt.lanes.job import Job, JobKind, Ticket


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros(8, np.float64), np.zeros((8, 2), np.float32), np.zeros(8, np.int16)]
)
def test_samples_of_wrong_type_or_shape_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match=rf"not {samples.dtype} of shape \({samples.shape[0]},"):
        Job(session_id="a", kind=JobKind.FINAL, samples=samples)


def test_final_has_no_deadline() -> None:
    with pytest.raises(ValueError, match="only a partial"):
        Job(session_id="a", kind=JobKind.FINAL, samples=clip(1), deadline_s=1.0)


def test_jobs_are_equal_only_to_themselves() -> None:
    assert len({final("a"), final("a")}) == 2


def ticket() -> Ticket:
    return Ticket(final("a"), submitted_s=0.0, withdraw=lambda _: None)


async def test_every_waiter_gets_its_own_copy_of_the_error() -> None:
    original, cause = ModelMissing("there is no tiny", model="tiny"), OSError("no such file")
    original.__cause__ = cause
    failed, got = ticket(), []
    failed.fail(original)
    for _ in range(2):
        try:
            await failed.wait()
        except ModelMissing as error:
            got.append(error)
    assert [(str(error), error.model, error.__cause__) for error in got] == [("there is no tiny", "tiny", cause)] * 2
    assert len({*map(id, got), id(original)}) == 3


async def test_dropped_job_and_its_waiters_are_freed_without_garbage_collection() -> None:
    async def wait_for_dropped() -> weakref.ref[Ticket]:
        dropped = ticket()
        dropped.drop("stale")
        with suppress(JobDropped):
            await dropped.wait()
        return weakref.ref(dropped)

    gc.disable()
    try:
        assert (await wait_for_dropped())() is None
    finally:
        gc.enable()
