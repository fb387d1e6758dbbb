"""Running statistics of durations."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.metrics import Distribution, DistributionSnapshot


def test_empty_distribution_is_all_zero() -> None:
    assert Distribution().snapshot() == DistributionSnapshot(count=0, avg_ms=0, max_ms=0, p50_ms=0, p95_ms=0)


def test_one_duration_is_every_figure() -> None:
    distribution = Distribution()
    distribution.add(0.25)
    assert distribution.snapshot() == DistributionSnapshot(count=1, avg_ms=250, max_ms=250, p50_ms=250, p95_ms=250)


@pytest.mark.contract("1.5")
def test_percentiles_take_the_nearest_rank() -> None:
    distribution = Distribution()
    for milliseconds in range(100, 0, -1):
        distribution.add(milliseconds / 1000)
    snapshot = distribution.snapshot()
    # Of 0 to 99: round(49.5) is 50, round(94.05) is 94; the values begin at 1.
    assert snapshot.p50_ms == pytest.approx(51)
    assert snapshot.p95_ms == pytest.approx(95)


@pytest.mark.contract("1.5")
def test_percentiles_are_of_the_latest_durations_mean_and_maximum_of_all() -> None:
    distribution = Distribution()
    distribution.add(256.0)
    for _ in range(256):
        distribution.add(1.0)
    assert distribution.snapshot() == DistributionSnapshot(
        count=257, avg_ms=512 / 257 * 1000, max_ms=256_000, p50_ms=1000, p95_ms=1000
    )


@given(st.lists(st.floats(min_value=0, max_value=1e4), min_size=1, max_size=600))
def test_figures_fit_any_durations(durations_s: list[float]) -> None:
    distribution = Distribution()
    for duration_s in durations_s:
        distribution.add(duration_s)
    snapshot = distribution.snapshot()
    recent_ms = [duration_s * 1000 for duration_s in durations_s[-256:]]
    assert snapshot.count == len(durations_s)
    assert snapshot.avg_ms == pytest.approx(statistics.fmean(durations_s) * 1000)
    assert snapshot.max_ms == max(durations_s) * 1000
    assert {snapshot.p50_ms, snapshot.p95_ms} <= set(recent_ms)
    assert sum(value <= snapshot.p50_ms for value in recent_ms) >= len(recent_ms) / 2
    assert sum(value <= snapshot.p95_ms for value in recent_ms) >= len(recent_ms) * 0.95 - 1
