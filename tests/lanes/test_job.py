"""What may be a job."""

import numpy as np
import pytest

from tests.lanes.fakes import clip, final
from trio_stt.lanes.job import Job, JobKind


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros(8, np.float64), np.zeros((8, 2), np.float32), np.zeros(8, np.int16)]
)
def test_samples_that_no_engine_takes_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match=rf"not {samples.dtype} of shape \({samples.shape[0]},"):
        Job(session_id="a", kind=JobKind.FINAL, samples=samples)


def test_a_final_has_no_deadline() -> None:
    with pytest.raises(ValueError, match="only a partial"):
        Job(session_id="a", kind=JobKind.FINAL, samples=clip(1), deadline_s=1.0)


def test_jobs_are_equal_only_to_themselves() -> None:
    assert len({final("a"), final("a")}) == 2
