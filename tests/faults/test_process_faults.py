"""Child processes of engines that die, stop or run out of memory in each phase of their lives cost no word."""

import sys

import pytest

from tests.faults.measured import Measured, expect_every_word, measured_by
from tests.faults.process_faults import LOAD_LIMIT_S
from tests.faults.ray_faults import CLIENTS, JOB_DEADLINE_S

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes")]
FAULTS = (
    *("killed", "all killed", "killed in the load", "killed at the first job", "killed when idle"),
    *("stopped", "all stopped", "stopped in the load", "out of memory"),
)
RESTART_S = 6.0
"""Pause of a lane before its next engine, the load of that engine on two busy cores, and its time for eight finals."""


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measured_by([sys.executable, "-m", "tests.faults.process_faults"], timeout_s=590)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_word_is_lost(measured: Measured, fault: str) -> None:
    expect_every_word(measured, fault, clients=CLIENTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_finals_are_late_by_the_deadline_at_most(measured: Measured, fault: str) -> None:
    waits_s = {"stopped": 2 * JOB_DEADLINE_S, "all stopped": 2 * JOB_DEADLINE_S, "stopped in the load": LOAD_LIMIT_S}
    assert measured[fault]["late_s"] <= measured["none"]["late_s"] + waits_s.get(fault, 0.0) + RESTART_S
