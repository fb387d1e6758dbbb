import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.sample_buffer import SampleBuffer


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 30_000)), max_size=12))
def test_buffer_holds_what_was_appended_and_not_forgotten(steps: list[tuple[int, int]]) -> None:
    sample_buffer, everything, allowed = SampleBuffer(), np.empty(0, np.int16), 0
    for added, keep in steps:
        samples = np.arange(everything.size, everything.size + added).astype(np.int16)
        everything = np.concatenate((everything, samples))
        sample_buffer.append(samples)
        allowed = max(allowed, everything.size - keep)
        sample_buffer.forget_before(allowed)
        assert sample_buffer.end_sample == everything.size
        assert sample_buffer.start_sample <= allowed
        np.testing.assert_array_equal(sample_buffer.read(allowed, sample_buffer.end_sample), everything[allowed:])


@pytest.mark.parametrize("kept_s", [0.7, 1.0, 4.0, 9.0, 17.0])
def test_memory_follows_what_is_kept(kept_s: float) -> None:
    sample_buffer, kept, packet = SampleBuffer(), int(kept_s * SAMPLE_RATE_HZ), np.ones(640, np.int16)
    sizes = []
    for _ in range(3 * kept // packet.size):
        sample_buffer.append(packet)
        sample_buffer.forget_before(sample_buffer.end_sample - kept)
        sizes.append(sample_buffer.nbytes)
    assert max(sizes) <= max(32_768, 2 * 2 * kept)


def test_memory_shrinks_after_a_long_utterance() -> None:
    sample_buffer = SampleBuffer()
    sample_buffer.append(np.ones(30 * SAMPLE_RATE_HZ, np.int16))
    sample_buffer.forget_before(sample_buffer.end_sample - 12_000)
    assert sample_buffer.nbytes <= 2 * 2 * 12_000


def test_read_returns_a_copy() -> None:
    sample_buffer = SampleBuffer()
    sample_buffer.append(np.ones(10, np.int16))
    sample_buffer.read(0, 10)[:] = 5
    assert sample_buffer.read(0, 10).sum() == 10


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (0, 11), (6, 5)])
def test_samples_out_of_range_raise_index_error(start: int, end: int) -> None:
    sample_buffer = SampleBuffer()
    sample_buffer.append(np.ones(10, np.int16))
    with pytest.raises(IndexError, match="not in the buffer"):
        sample_buffer.read(start, end)
