from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.overload_throttle import OverloadThrottle

THRESHOLD_S = 1.0
HIGH_S, LOW_S = 1.5, 0.1


def throttle(threshold_s: Callable[[], float] = lambda: THRESHOLD_S) -> OverloadThrottle:
    return OverloadThrottle(threshold_s)


def used(watched: OverloadThrottle, uses: Mapping[str, float], *, now_s: float = 0.0, pause_s: float = 0.02) -> None:
    for session_id, inference_s in uses.items():
        watched.used(session_id, now_s=now_s, inference_s=inference_s, pause_s=pause_s)


def hold(watched: OverloadThrottle, delay_s: float, *, from_s: float, to_s: float) -> None:
    """The queue delay is this, seen ten times a second."""
    for tenth in range(round(from_s * 10), round(to_s * 10) + 1):
        watched.observe(tenth / 10, delay_s)


def slowed(watched: OverloadThrottle, sessions: str) -> str:
    return "".join(each for each in sessions if watched.is_degraded(each))


@pytest.mark.contract("5.4", "11/29")
def test_past_the_threshold_the_pause_doubles_a_step_a_second_up_to_two_seconds() -> None:
    watched = throttle()
    used(watched, {"a": 5.0}, pause_s=0.3)
    assert (watched.pause_s("a", 0.3), watched.is_degraded("a")) == (0.3, False)
    pauses = []
    for second in range(6):
        hold(watched, HIGH_S, from_s=second, to_s=second + 0.9)
        pauses.append(watched.pause_s("a", 0.3))
        assert watched.is_degraded("a")
    assert pauses == pytest.approx([0.6, 1.2, 2.0, 2.0, 2.0, 2.0])


def test_a_pause_that_is_nothing_beside_the_engines_time_is_not_doubled_in_vain() -> None:
    watched = throttle()
    used(watched, {"a": 5.0}, pause_s=0.001)
    pauses = []
    for second in range(5):
        watched.observe(second, HIGH_S)
        pauses.append(watched.pause_s("a", 0.001))
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_at_the_threshold_nothing_happens() -> None:
    watched = throttle()
    used(watched, {"a": 5.0})
    hold(watched, THRESHOLD_S, from_s=0, to_s=60)
    assert not watched.is_degraded("a")


@pytest.mark.contract("11/29")
def test_the_threshold_is_read_live() -> None:
    threshold_s = 1.0
    watched = throttle(lambda: threshold_s)
    used(watched, {"a": 5.0})
    watched.observe(0.0, 0.9)
    assert not watched.is_degraded("a")
    threshold_s = 0.5
    watched.observe(0.1, 0.9)
    assert watched.is_degraded("a")


def test_it_recovers_step_by_step_after_five_calm_seconds() -> None:
    watched = throttle()
    used(watched, {"a": 5.0})
    hold(watched, HIGH_S, from_s=0, to_s=3)
    assert watched.pause_s("a", 0.02) == 2.0
    pauses = []
    for second in range(4, 14):
        hold(watched, LOW_S, from_s=second, to_s=second + 0.9)
        pauses.append(watched.pause_s("a", 0.02))
    assert pauses == [2.0] * 4 + [1.0, 0.5, 0.25, 0.02, 0.02, 0.02]


def test_between_half_the_threshold_and_the_threshold_nothing_changes() -> None:
    watched = throttle()
    used(watched, {"a": 5.0})
    hold(watched, HIGH_S, from_s=0, to_s=1)
    hold(watched, 0.75, from_s=2, to_s=60)
    assert watched.pause_s("a", 0.02) == 0.5
    for second in range(61, 120, 2):  # nor where it is low for moments only
        watched.observe(second, LOW_S)
        watched.observe(second + 1, 0.75)
    assert watched.pause_s("a", 0.02) == 0.5


def test_a_stretch_in_which_nobody_looked_was_calm() -> None:
    watched = throttle()
    used(watched, {"a": 5.0})
    hold(watched, HIGH_S, from_s=0, to_s=3)
    watched.observe(60.0, 0.0)
    assert not watched.is_degraded("a")


def test_the_heaviest_are_slowed_first_and_others_only_when_these_rest_already() -> None:
    watched = throttle()
    used(watched, {"a": 1.0, "b": 6.0, "c": 1.0, "d": 1.0, "e": 1.0})
    order = []
    for second in range(20):
        watched.observe(second, HIGH_S)
        order.append((slowed(watched, "abcde"), watched.pause_s("b", 0.02)))
    assert order[:4] == [("b", 0.25), ("b", 0.5), ("b", 1.0), ("b", 2.0)]
    assert [len(who) for who, _ in order[4:]] == sorted(len(who) for who, _ in order[4:])
    assert len(order[4][0]) == 3
    assert order[-1][0] == "abcde"


def test_half_of_equal_sessions_are_slowed_as_far_as_it_goes_before_the_others() -> None:
    watched = throttle()
    sessions = "abcdefghijkl"
    used(watched, dict.fromkeys(sessions, 1.0))
    for second in range(4):
        watched.observe(second, HIGH_S)
        assert len(slowed(watched, sessions)) == 6
    assert {watched.pause_s(each, 0.02) for each in sessions} == {0.02, 2.0}
    watched.observe(4, HIGH_S)
    assert len(slowed(watched, sessions)) == 9


def test_others_join_when_the_slowed_ones_fell_silent() -> None:
    watched = throttle()
    used(watched, {"a": 2.0, "b": 1.0})
    watched.observe(0.0, HIGH_S)
    used(watched, {"b": 2.0}, now_s=20.0)
    watched.observe(20.0, HIGH_S)
    assert slowed(watched, "ab") == "ab"


def test_what_was_used_long_ago_does_not_count() -> None:
    watched = throttle()
    used(watched, {"a": 3.0})
    used(watched, {"b": 0.5}, now_s=100.0)
    hold(watched, HIGH_S, from_s=100, to_s=110)
    assert slowed(watched, "ab") == "b"


def test_who_makes_no_partials_is_never_slowed() -> None:
    watched = throttle()
    hold(watched, HIGH_S, from_s=0, to_s=60)
    assert not watched.is_degraded("a")
    used(watched, {"a": 1.0}, now_s=60.0)
    assert not watched.is_degraded("a")


def test_a_pause_beyond_two_seconds_stays_and_is_not_called_degraded() -> None:
    watched = throttle()
    used(watched, {"slow": 9.0}, pause_s=3.0)
    used(watched, {"a": 1.0})
    hold(watched, HIGH_S, from_s=0, to_s=60)
    assert (watched.pause_s("slow", 3.0), watched.is_degraded("slow")) == (3.0, False)
    assert watched.is_degraded("a")


def test_nothing_is_kept_of_a_session_that_left() -> None:
    watched = throttle()
    for number in range(1000):
        used(watched, {f"s{number}": 1.0}, now_s=number)
        watched.observe(number, HIGH_S)
        watched.forget(f"s{number}")
    assert (watched._uses, watched._steps) == ({}, [])
    used(watched, {"s7": 1.0}, now_s=1000.0)
    assert watched.pause_s("s7", 0.02) == 0.02


SESSION = st.sampled_from("abcd")
BASE_S = {"a": 0.0, "b": 0.02, "c": 0.7, "d": 2.5}
EVENT = st.one_of(
    st.tuples(st.just("observe"), st.sampled_from([0.0, 0.4, 0.8, 1.2, 30.0])),
    st.tuples(st.just("used"), SESSION, st.floats(0.0, 5.0)),
    st.tuples(st.just("forget"), SESSION),
)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), EVENT), max_size=60), st.lists(st.floats(0.01, 20.0), min_size=1))
def test_whatever_happened_no_pause_leaves_its_bounds_and_all_recover(
    history: list[tuple[float, tuple[str, str, float] | tuple[str, float] | tuple[str, str]]], calm: list[float]
) -> None:
    watched = throttle()
    now_s = 0.0
    for wait_s, event in history:
        now_s += wait_s
        match event:
            case ("observe", float(delay_s)):
                watched.observe(now_s, delay_s)
            case ("used", str(session_id), float(inference_s)):
                watched.used(session_id, now_s=now_s, inference_s=inference_s, pause_s=BASE_S[session_id])
            case ("forget", str(session_id)):
                watched.forget(session_id)
                assert not watched.is_degraded(session_id)
        for session_id, base_s in BASE_S.items():
            pause_s = watched.pause_s(session_id, base_s)
            assert base_s <= pause_s <= max(base_s, 2.0)
            assert watched.is_degraded(session_id) == (pause_s > base_s)
    # Four sessions, each doubled four times at most, one after the other; and the calm before.
    until_s = now_s + 5 + 4 * 4
    waits = iter(calm * 10_000)
    while now_s < until_s:
        now_s += next(waits)
        watched.observe(now_s, 0.0)
        if now_s < until_s:
            used(watched, {"a": 1.0}, now_s=now_s)
    assert [watched.pause_s(session_id, base_s) for session_id, base_s in BASE_S.items()] == list(BASE_S.values())
