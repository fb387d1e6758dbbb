import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lanes.fakes import FakeEngine
from trio_stt.capacity.service_times import ServiceTimes, measure

LENGTHS_S = (1.0, 2.0, 4.0, 8.0)


@given(st.floats(0, 10), st.floats(0, 10))
def test_line_through_exact_times_is_found(call_s: float, per_audio_s: float) -> None:
    fitted = ServiceTimes.fit(LENGTHS_S, [call_s + per_audio_s * length_s for length_s in LENGTHS_S])
    assert fitted.of(3.0) == pytest.approx(call_s + 3 * per_audio_s, abs=1e-6)


@given(st.lists(st.floats(0.001, 10), min_size=4, max_size=4))
def test_no_part_is_negative(times_s: list[float]) -> None:
    fitted = ServiceTimes.fit(LENGTHS_S, times_s)
    assert fitted.call_s >= 0
    assert fitted.per_audio_s >= 0


def test_clips_of_all_lengths_are_transcribed_on_as_many_threads() -> None:
    engine = FakeEngine()
    measure(engine, np.ones(16_000, np.float32), at_once=2)
    assert set(engine.clips) == {16_000 * length for length in (1, 2, 4, 8, 16)}
    assert len({thread.name for thread in engine.threads[1:]}) <= 2
