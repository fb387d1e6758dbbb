import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.sample_runs import record, run_result, segment
from trio_stt.bench.figures import Figures, Percentiles, figures
from trio_stt.bench.ramp import knee, next_clients, violated_limits

GOOD = figures(run_result(record(segment(1, 1.7, 6.0, 6.1, "one two three four five"))))


@given(st.integers(0, 300), st.integers(1, 200))
def test_search_ends_near_the_knee(true_knee: int, most: int) -> None:
    kept: dict[int, bool] = {}
    while (clients := next_clients(kept, most=most)) is not None:
        assert clients not in kept
        assert 1 <= clients <= most
        kept[clients] = clients <= true_knee
    found, reachable = knee(kept), min(true_knee, most)
    assert found <= reachable
    assert reachable - found <= max(1, found // 8)
    assert len(kept) <= 13


def test_success_above_a_failed_level_is_ignored() -> None:
    assert knee({1: True, 2: True, 4: False, 8: True}) == 2


def test_run_within_all_limits() -> None:
    assert violated_limits(GOOD, alone=GOOD, slack_ms=500) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connected": 0}, "not admitted"),
        ({"final": Percentiles(count=1, p95_ms=1_000.1)}, "p95 of finals is 1000 ms, above 1000"),
        ({"partial_interval": Percentiles(count=1, p95_ms=2_100)}, "between partials"),
        ({"dropped_s": 0.032}, "0.032 s of audio"),
        ({"unfinished_segments": 1}, "no final"),
        ({"failures": ["audio: broken"]}, "audio: broken"),
        ({"word_error_rate": 0.0101}, "word error rate"),
    ],
)
def test_each_limit(changes: dict[str, object], message: str) -> None:
    violations = violated_limits(msgspec.structs.replace(GOOD, **changes), alone=GOOD, slack_ms=500)
    assert [message in text for text in violations] == [True]


def test_first_run_has_no_limit_of_word_errors() -> None:
    poor: Figures = msgspec.structs.replace(GOOD, word_error_rate=0.9)
    assert violated_limits(poor, alone=None, slack_ms=500) == []
