"""Which sessions' partials are slowed while jobs queue, and when they recover; the policy alone, on given numbers."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.lanes.partial_policy import PartialPolicy

THRESHOLD_S = 1.0
HIGH_S, LOW_S = 1.5, 0.1


def new_policy(threshold_s: Callable[[], float] = lambda: THRESHOLD_S) -> PartialPolicy:
    return PartialPolicy(threshold_s=threshold_s)


def record(
    policy: PartialPolicy, costs_s: Mapping[str, float], *, now_s: float = 0.0, usual_pause_s: float = 0.02
) -> None:
    for session_id, inference_s in costs_s.items():
        policy.record(
            session_id, now_s=now_s, inference_s=inference_s, clip_s=1.0, whole_s=1.0, usual_pause_s=usual_pause_s
        )


def pause_s(policy: PartialPolicy, session_id: str, usual_s: float = 0.02) -> float:
    """The pause of a session after a partial that was requested long ago, so that pacing has no effect."""
    if not policy.is_degraded(session_id):
        return usual_s
    after = policy.next_partial(session_id, now_s=1000.0, begun_s=0.0)
    assert after.if_idle_at_s == after.at_s, "an idle engine shortens no pause"
    return after.at_s - 1000.0


def observe_for(policy: PartialPolicy, delay_s: float, *, from_s: float, to_s: float) -> None:
    """Observe this queue delay ten times a second."""
    for tenth in range(round(from_s * 10), round(to_s * 10) + 1):
        policy.observe_delay(tenth / 10, delay_s)


def degraded(policy: PartialPolicy, sessions: str) -> str:
    return "".join(each for each in sessions if policy.is_degraded(each))


@pytest.mark.contract("5.4", "11/29")
def test_pause_doubles_every_second_up_to_two_seconds() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0}, usual_pause_s=0.3)
    assert (policy.is_degraded("a"), policy.any_degraded) == (False, False)
    pauses = []
    for second in range(6):
        observe_for(policy, HIGH_S, from_s=second, to_s=second + 0.9)
        pauses.append(pause_s(policy, "a"))
        assert policy.is_degraded("a")
        assert policy.any_degraded
    assert pauses == pytest.approx([0.6, 1.2, 2.0, 2.0, 2.0, 2.0])


def test_pause_that_is_short_beside_the_inference_is_raised_before_it_doubles() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0}, usual_pause_s=0.001)
    pauses = []
    for second in range(5):
        policy.observe_delay(second, HIGH_S)
        pauses.append(pause_s(policy, "a"))
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_delay_at_the_threshold_degrades_nothing() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0})
    observe_for(policy, THRESHOLD_S, from_s=0, to_s=60)
    assert not policy.is_degraded("a")


@pytest.mark.contract("11/29")
def test_threshold_is_read_at_every_observation() -> None:
    threshold_s = 1.0
    policy = new_policy(lambda: threshold_s)
    record(policy, {"a": 5.0})
    policy.observe_delay(0.0, 0.9)
    assert not policy.is_degraded("a")
    threshold_s = 0.5
    policy.observe_delay(0.1, 0.9)
    assert policy.is_degraded("a")


def test_recovery_takes_a_step_every_second_after_five_seconds_of_low_delay() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0})
    observe_for(policy, HIGH_S, from_s=0, to_s=3)
    assert pause_s(policy, "a") == 2.0
    pauses = []
    for second in range(4, 14):
        observe_for(policy, LOW_S, from_s=second, to_s=second + 0.9)
        pauses.append(pause_s(policy, "a"))
    assert pauses == [2.0] * 4 + [1.0, 0.5, 0.25, 0.02, 0.02, 0.02]
    assert not policy.any_degraded


def test_delay_between_half_the_threshold_and_the_threshold_changes_nothing() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0})
    observe_for(policy, HIGH_S, from_s=0, to_s=1)
    observe_for(policy, 0.75, from_s=2, to_s=60)
    assert pause_s(policy, "a") == 0.5
    for second in range(61, 120, 2):  # a delay that is low only for moments does not help
        policy.observe_delay(second, LOW_S)
        policy.observe_delay(second + 1, 0.75)
    assert pause_s(policy, "a") == 0.5


def test_time_without_observations_counts_as_low_delay() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0})
    observe_for(policy, HIGH_S, from_s=0, to_s=3)
    policy.observe_delay(60.0, 0.0)
    assert not policy.is_degraded("a")


def test_heaviest_session_is_slowed_fully_before_others_join() -> None:
    policy = new_policy()
    record(policy, {"a": 1.0, "b": 6.0, "c": 1.0, "d": 1.0, "e": 1.0})
    order = []
    for second in range(20):
        policy.observe_delay(second, HIGH_S)
        order.append((degraded(policy, "abcde"), pause_s(policy, "b")))
    assert order[:4] == [("b", 0.25), ("b", 0.5), ("b", 1.0), ("b", 2.0)]
    assert [len(sessions) for sessions, _ in order[4:]] == sorted(len(sessions) for sessions, _ in order[4:])
    assert len(order[4][0]) == 3
    assert order[-1][0] == "abcde"


def test_half_of_equal_sessions_are_slowed_fully_before_the_others() -> None:
    policy = new_policy()
    sessions = "abcdefghijkl"
    record(policy, dict.fromkeys(sessions, 1.0))
    for second in range(4):
        policy.observe_delay(second, HIGH_S)
        assert len(degraded(policy, sessions)) == 6
    assert {pause_s(policy, each) for each in sessions} == {0.02, 2.0}
    policy.observe_delay(4, HIGH_S)
    assert len(degraded(policy, sessions)) == 9


def test_others_join_when_the_slowed_sessions_are_silent() -> None:
    policy = new_policy()
    record(policy, {"a": 2.0, "b": 1.0})
    policy.observe_delay(0.0, HIGH_S)
    record(policy, {"b": 2.0}, now_s=20.0)
    policy.observe_delay(20.0, HIGH_S)
    assert degraded(policy, "ab") == "ab"


def test_old_engine_time_does_not_count() -> None:
    policy = new_policy()
    record(policy, {"a": 3.0})
    record(policy, {"b": 0.5}, now_s=100.0)
    observe_for(policy, HIGH_S, from_s=100, to_s=110)
    assert degraded(policy, "ab") == "b"


def test_session_without_partials_is_never_slowed() -> None:
    policy = new_policy()
    observe_for(policy, HIGH_S, from_s=0, to_s=60)
    assert not policy.is_degraded("a")
    record(policy, {"a": 1.0}, now_s=60.0)
    assert not policy.is_degraded("a")


def test_session_that_left_the_round_is_still_known_as_heavy() -> None:
    policy = new_policy()
    record(policy, {"a": 5.0})
    policy.leave_round("a")
    policy.observe_delay(0.0, HIGH_S)
    assert policy.is_degraded("a")


def test_usual_pause_beyond_two_seconds_stays_and_is_not_called_degraded() -> None:
    policy = new_policy()
    record(policy, {"slow": 9.0}, usual_pause_s=3.0)
    record(policy, {"a": 1.0})
    observe_for(policy, HIGH_S, from_s=0, to_s=60)
    assert not policy.is_degraded("slow")
    assert policy.is_degraded("a")


def test_nothing_is_kept_of_a_forgotten_session() -> None:
    policy = new_policy()
    for number in range(1000):
        record(policy, {f"s{number}": 1.0}, now_s=number)
        policy.observe_delay(number, HIGH_S)
        policy.forget(f"s{number}")
    assert (policy._usage, policy._steps) == ({}, [])
    record(policy, {"s7": 1.0}, now_s=1000.0)
    assert not policy.is_degraded("s7")


SESSION = st.sampled_from("abcd")
USUAL_PAUSES_S = {"a": 0.0, "b": 0.02, "c": 0.7, "d": 2.5}
EVENT = st.one_of(
    st.tuples(st.just("observe"), st.sampled_from([0.0, 0.4, 0.8, 1.2, 30.0])),
    st.tuples(st.just("record"), SESSION, st.floats(0.0, 5.0)),
    st.tuples(st.just("forget"), SESSION),
)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), EVENT), max_size=60), st.lists(st.floats(0.01, 20.0), min_size=1))
def test_pauses_stay_in_their_bounds_and_all_sessions_recover(
    history: list[tuple[float, tuple[str, str, float] | tuple[str, float] | tuple[str, str]]], calm: list[float]
) -> None:
    policy = new_policy()
    now_s = 0.0
    for wait_s, event in history:
        now_s += wait_s
        match event:
            case ("observe", float(delay_s)):
                policy.observe_delay(now_s, delay_s)
            case ("record", str(session_id), float(inference_s)):
                record(policy, {session_id: inference_s}, now_s=now_s, usual_pause_s=USUAL_PAUSES_S[session_id])
            case ("forget", str(session_id)):
                policy.forget(session_id)
                assert not policy.is_degraded(session_id)
        for session_id, usual_s in USUAL_PAUSES_S.items():
            now_pause_s = pause_s(policy, session_id, usual_s)
            assert usual_s <= now_pause_s <= max(usual_s, 2.0)
            assert policy.is_degraded(session_id) == (now_pause_s > usual_s)
        assert policy.any_degraded == any(policy.is_degraded(session_id) for session_id in USUAL_PAUSES_S)
    # After the recovery delay: four sessions one after the other, each with at most four doublings to undo.
    until_s = now_s + 5 + 4 * 4
    waits = iter(calm * 10_000)
    while now_s < until_s:
        now_s += next(waits)
        policy.observe_delay(now_s, 0.0)
        if now_s < until_s:
            record(policy, {"a": 1.0}, now_s=now_s)
    assert degraded(policy, "abcd") == ""
