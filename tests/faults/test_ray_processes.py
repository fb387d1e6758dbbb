"""Two server processes on a Ray cluster of two nodes with TLS: they share its engines, and what dies costs no word."""

import pytest

from tests.faults.measured import Measured
from tests.faults.ray_cluster import run_in_namespace
from tests.faults.test_ray import pytestmark  # noqa: F401 - pytest reads it

MEASURES = ("engine killed", "process killed", "successor serves", "clients of both")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return run_in_namespace("tests.faults.ray_processes", tmp_path_factory.mktemp("ray"))


def test_each_process_has_an_engine_on_the_cluster_and_leaves_none(measured: Measured) -> None:
    assert measured["cluster"]["engines"] == 2
    assert measured["stopped"]["status"] == 0
    assert "Traceback" not in measured["stopped"]["output"]


@pytest.mark.parametrize("fault", MEASURES)
def test_no_word_of_the_others_is_lost(measured: Measured, fault: str) -> None:
    (undisturbed,) = set(measured["none"]["texts"])
    assert undisturbed
    assert set(measured[fault]["texts"]) == {undisturbed}
