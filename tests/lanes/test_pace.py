"""How often sessions may ask for partials and of how much audio, on numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.partial_pacer import LEAST_PARTIAL_WINDOW_S, LONGEST_S, PARTIAL_ROUND_S, SHARE, PartialPacer

COST = 0.02
"""Seconds of an engine for a second of audio."""


def use(pace: PartialPacer, session_id: str, *, inference_s: float, now_s: float = 0.0) -> None:
    pace.used(session_id, now_s=now_s, inference_s=inference_s, clip_s=1.0, whole_s=1.0)


def hear(pace: PartialPacer, session_id: str, *, whole_s: float, now_s: float = 0.0) -> None:
    """Use a lane as a session does that hears as much of its utterance as it may."""
    clip_s = min(whole_s, pace.window_s(now_s))
    pace.used(session_id, now_s=now_s, inference_s=COST * clip_s, clip_s=clip_s, whole_s=whole_s)


def test_without_partials_nobody_waits() -> None:
    assert PartialPacer().interval_s("a", 0.0) == 0.0
    assert PartialPacer().window_s(0.0) == math.inf


@given(st.lists(st.floats(0.001, 0.1), min_size=1, max_size=8))
def test_in_one_interval_the_partials_of_all_take_their_share_and_no_more(costs_s: list[float]) -> None:
    pace = PartialPacer()
    for number, cost_s in enumerate(costs_s):
        use(pace, str(number), inference_s=9.0)
        use(pace, str(number), inference_s=cost_s)  # only the latest counts
    for number in range(len(costs_s)):
        assert pace.interval_s(str(number), 1.0) == pytest.approx(min(LONGEST_S, sum(costs_s) / SHARE))


def test_each_further_engine_has_its_own_share_and_one_session_takes_that_of_one_at_most() -> None:
    pace = PartialPacer(workers=3)
    use(pace, "a", inference_s=0.1)
    assert pace.interval_s("a", 0.0) == pytest.approx(0.1 / SHARE)
    assert pace.interval_s("new", 0.0) == pytest.approx(0.1 / SHARE / 3)
    for number in range(5):
        use(pace, str(number), inference_s=0.1)
    assert pace.interval_s("a", 0.0) == pytest.approx(0.6 / SHARE / 3)


def test_an_engine_with_nothing_to_do_is_for_who_has_waited_a_round_and_not_for_one_alone_who_has_its_share() -> None:
    pace = PartialPacer()
    assert pace.gap_after_s("new") == PARTIAL_ROUND_S
    for number in range(20):
        use(pace, str(number), inference_s=0.1)
    assert pace.gap_after_s("0") == PARTIAL_ROUND_S < pace.interval_s("0", 0.0)
    use(pace, "slow", inference_s=1.0)
    assert pace.gap_after_s("slow") == 1.0 / SHARE


def test_nobody_waits_for_ever_and_who_rests_or_asks_no_more_does_not_count() -> None:
    pace = PartialPacer()
    for number in range(100):
        use(pace, str(number), inference_s=0.1)
    assert pace.interval_s("99", 0.0) == LONGEST_S
    for number in range(99):
        pace.rests(str(number))
        pace.rests(str(number))
    assert pace.interval_s("99", 0.0) == pytest.approx(0.1 / SHARE)
    use(pace, "99", inference_s=0.1, now_s=10.0)
    use(pace, "100", inference_s=0.1, now_s=13.5)
    assert pace.interval_s("100", 13.5) == pytest.approx(0.1 / SHARE)


def test_while_a_round_fits_partials_hear_all() -> None:
    pace = PartialPacer()
    for number in range(5):
        hear(pace, str(number), whole_s=5.0)
    assert sum(COST * 5.0 for _ in range(5)) < PARTIAL_ROUND_S * SHARE
    assert pace.window_s(0.0) == math.inf


@given(st.lists(st.floats(0.5, 20.0), min_size=1, max_size=30), st.integers(1, 4))
def test_a_round_that_would_not_fit_hears_the_longest_window_that_does(wholes_s: list[float], workers: int) -> None:
    pace = PartialPacer(workers=workers)
    for _ in range(2):  # what one round heard does not change what the next one may hear
        for number, whole_s in enumerate(wholes_s):
            hear(pace, str(number), whole_s=whole_s)
    window_s, room_s = pace.window_s(0.0), PARTIAL_ROUND_S * SHARE * workers
    needed_s = sum(COST * min(whole_s, window_s) for whole_s in wholes_s)
    if math.isinf(window_s):
        assert needed_s <= room_s * 1.000001
    elif window_s > LEAST_PARTIAL_WINDOW_S:
        assert needed_s == pytest.approx(room_s)
    else:
        assert needed_s >= room_s * 0.999999
