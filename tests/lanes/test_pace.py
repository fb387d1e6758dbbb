"""How often sessions may ask for partials, on numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.pace import LONGEST_S, SHARE, Pace


def test_without_partials_nobody_waits() -> None:
    assert Pace().interval_s(0.0) == 0.0


@given(st.lists(st.floats(0.001, 0.1), min_size=1, max_size=8))
def test_in_one_interval_the_partials_of_all_take_their_share_and_no_more(costs_s: list[float]) -> None:
    pace = Pace()
    for number, cost_s in enumerate(costs_s):
        pace.used(str(number), now_s=0.0, inference_s=9.0)
        pace.used(str(number), now_s=0.0, inference_s=cost_s)  # only the latest counts
    interval_s = pace.interval_s(1.0)
    assert interval_s == pytest.approx(min(LONGEST_S, sum(costs_s) / SHARE))


def test_each_further_engine_has_its_own_share() -> None:
    pace = Pace(workers=3)
    pace.used("a", now_s=0.0, inference_s=0.1)
    assert pace.interval_s(0.0) == pytest.approx(0.1 / SHARE / 3)


def test_nobody_waits_for_ever_and_who_rests_or_asks_no_more_does_not_count() -> None:
    pace = Pace()
    for number in range(100):
        pace.used(str(number), now_s=0.0, inference_s=0.1)
    assert pace.interval_s(0.0) == LONGEST_S
    for number in range(99):
        pace.rests(str(number))
        pace.rests(str(number))
    assert pace.interval_s(0.0) == pytest.approx(0.1 / SHARE)
    pace.used("99", now_s=10.0, inference_s=0.1)
    pace.used("100", now_s=13.5, inference_s=0.1)
    assert pace.interval_s(13.5) == pytest.approx(0.1 / SHARE)
