"""How often sessions may request partials, and of how much audio, while the lane keeps up; the policy alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.partial_policy import (
    MAX_PARTIAL_INTERVAL_S,
    MIN_PARTIAL_WINDOW_S,
    PARTIAL_ENGINE_SHARE,
    PARTIAL_ROUND_S,
    PartialPolicy,
)

COST = 0.02
"""Engine seconds for each second of audio."""


def record(policy: PartialPolicy, session_id: str, *, inference_s: float, now_s: float = 0.0) -> None:
    policy.record(session_id, now_s=now_s, inference_s=inference_s, clip_s=1.0, whole_s=1.0, usual_pause_s=0.02)


def record_as_allowed(policy: PartialPolicy, session_id: str, *, whole_s: float, now_s: float = 0.0) -> None:
    """Record a partial of a session with the longest clip that the policy allows."""
    clip_s = min(whole_s, policy.window_s(now_s))
    policy.record(
        session_id, now_s=now_s, inference_s=COST * clip_s, clip_s=clip_s, whole_s=whole_s, usual_pause_s=0.02
    )


def interval_s(policy: PartialPolicy, session_id: str, now_s: float) -> float:
    return policy.next_partial(session_id, now_s=now_s, begun_s=0.0).at_s


def idle_interval_s(policy: PartialPolicy, session_id: str) -> float:
    return policy.next_partial(session_id, now_s=0.0, begun_s=0.0).if_idle_at_s


def test_on_an_unused_lane_a_partial_may_come_at_once_with_all_audio() -> None:
    assert interval_s(PartialPolicy(), "a", 0.0) == 0.0
    assert PartialPolicy().window_s(0.0) == math.inf


@given(st.lists(st.floats(0.001, 0.1), min_size=1, max_size=8))
def test_partials_of_one_interval_take_their_share_of_the_engine(costs_s: list[float]) -> None:
    policy = PartialPolicy()
    for number, cost_s in enumerate(costs_s):
        record(policy, str(number), inference_s=9.0)
        record(policy, str(number), inference_s=cost_s)  # only the latest counts
    expected_s = pytest.approx(min(MAX_PARTIAL_INTERVAL_S, sum(costs_s) / PARTIAL_ENGINE_SHARE))
    for number in range(len(costs_s)):
        assert interval_s(policy, str(number), 1.0) == expected_s


def test_each_engine_adds_its_share_and_one_session_gets_that_of_one_engine_at_most() -> None:
    policy = PartialPolicy(workers=3)
    record(policy, "a", inference_s=0.1)
    assert interval_s(policy, "a", 0.0) == pytest.approx(0.1 / PARTIAL_ENGINE_SHARE)
    assert interval_s(policy, "new", 0.0) == pytest.approx(0.1 / PARTIAL_ENGINE_SHARE / 3)
    for number in range(5):
        record(policy, str(number), inference_s=0.1)
    assert interval_s(policy, "a", 0.0) == pytest.approx(0.6 / PARTIAL_ENGINE_SHARE / 3)


def test_idle_engine_is_offered_after_a_round_unless_the_session_has_its_own_share() -> None:
    policy = PartialPolicy()
    assert idle_interval_s(policy, "new") == PARTIAL_ROUND_S
    for number in range(20):
        record(policy, str(number), inference_s=0.1)
    assert idle_interval_s(policy, "0") == PARTIAL_ROUND_S < interval_s(policy, "0", 0.0)
    record(policy, "slow", inference_s=1.0)
    assert idle_interval_s(policy, "slow") == 1.0 / PARTIAL_ENGINE_SHARE


def test_interval_is_bounded_and_sessions_that_left_the_round_or_are_silent_do_not_count() -> None:
    policy = PartialPolicy()
    for number in range(100):
        record(policy, str(number), inference_s=0.1)
    assert interval_s(policy, "99", 0.0) == MAX_PARTIAL_INTERVAL_S
    for number in range(99):
        policy.leave_round(str(number))
        policy.leave_round(str(number))
    assert interval_s(policy, "99", 0.0) == pytest.approx(0.1 / PARTIAL_ENGINE_SHARE)
    record(policy, "99", inference_s=0.1, now_s=10.0)
    record(policy, "100", inference_s=0.1, now_s=13.5)
    assert interval_s(policy, "100", 13.5) == pytest.approx(0.1 / PARTIAL_ENGINE_SHARE)


def test_session_that_left_the_round_is_back_with_its_next_partial() -> None:
    policy = PartialPolicy()
    record(policy, "a", inference_s=0.1)
    policy.leave_round("a")
    assert interval_s(policy, "a", 0.0) == 0.0
    record(policy, "a", inference_s=0.1)
    assert interval_s(policy, "a", 0.0) == pytest.approx(0.1 / PARTIAL_ENGINE_SHARE)


def test_window_is_unbounded_while_a_round_fits() -> None:
    policy = PartialPolicy()
    for number in range(5):
        record_as_allowed(policy, str(number), whole_s=5.0)
    assert sum(COST * 5.0 for _ in range(5)) < PARTIAL_ROUND_S * PARTIAL_ENGINE_SHARE
    assert policy.window_s(0.0) == math.inf


@given(st.lists(st.floats(0.5, 20.0), min_size=1, max_size=30), st.integers(1, 4))
def test_window_is_the_longest_with_which_a_round_fits(wholes_s: list[float], workers: int) -> None:
    policy = PartialPolicy(workers=workers)
    for _ in range(2):  # the window does not depend on the windows of the round before
        for number, whole_s in enumerate(wholes_s):
            record_as_allowed(policy, str(number), whole_s=whole_s)
    window_s, room_s = policy.window_s(0.0), PARTIAL_ROUND_S * PARTIAL_ENGINE_SHARE * workers
    needed_s = sum(COST * min(whole_s, window_s) for whole_s in wholes_s)
    if math.isinf(window_s):
        assert needed_s <= room_s * 1.000001
    elif window_s > MIN_PARTIAL_WINDOW_S:
        assert needed_s == pytest.approx(room_s)
    else:
        assert needed_s >= room_s * 0.999999
