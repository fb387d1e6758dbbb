"""A real Ray cluster of two nodes whose parts die while clients speak: no word is lost."""

import os
import shutil
from importlib.util import find_spec

import pytest

from tests.faults.measured import Measured, expect_every_word
from tests.faults.ray_cluster import run_in_namespace
from tests.faults.ray_faults import CLIENTS, JOB_DEADLINE_S

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="a network namespace needs root"),
]
FAULTS = ("engine killed", "engine hangs", "node frozen", "raylet killed", "head killed", "head is back")
PAUSE_S = 3.0
"""Of a lane before its next engine, the load of that engine, and the engine's own time for eight finals."""

HEAD_LOST_S = 5.0
"""Within which a lane goes on without its head: 2 s of Ray Client's attempt to get it back, and the load of engines."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return run_in_namespace("tests.faults.ray_faults", tmp_path_factory.mktemp("ray"))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_word_is_lost(measured: Measured, fault: str) -> None:
    expect_every_word(measured, fault, clients=CLIENTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_finals_are_late_by_the_deadline_at_most(measured: Measured, fault: str) -> None:
    deadline_s = HEAD_LOST_S if fault == "head killed" else 2 * JOB_DEADLINE_S  # of up to 10 s of audio
    assert measured[fault]["late_s"] <= measured["none"]["late_s"] + deadline_s + PAUSE_S


def test_lost_head_is_reported_and_the_engines_return_to_a_new_one(measured: Measured) -> None:
    assert "engines in the server instead (lane_fallback)" in measured["head killed"]["notice"]
    assert measured["head is back"]["notice"] is None
