import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trio_stt.dsp import kernels
from trio_stt.dsp.resample import StreamResampler
from trio_stt.errors import PacketError

SAMPLE = st.integers(-32768, 32767)


@pytest.mark.contract("2.3")
@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.lists(SAMPLE, min_size=n, max_size=n), max_size=40)))
def test_downmix_is_the_mean_truncated_toward_zero(frames: list[list[int]]) -> None:
    channels = len(frames[0]) if frames else 3
    payload = np.array(frames, "<i2").tobytes()

    mono = kernels.downmix_pcm16(payload, channels)

    assert mono.dtype == np.int16
    assert mono.tolist() == [math.trunc(sum(frame) / channels) for frame in frames]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_downmix_accepts_any_bytes_even_at_an_odd_offset(kind: type, channels: int) -> None:
    samples = np.array([[-32768, 32767], [7, -3]], "<i2").tobytes()
    expected = [-32768, 32767, 7, -3] if channels == 1 else [0, 2]
    assert kernels.downmix_pcm16(kind(samples), channels).tolist() == expected
    mixed = kernels.downmix_pcm16(memoryview(b"x" + samples)[1:], channels)
    assert mixed.tolist() == expected
    assert mixed.flags.aligned
    assert kernels.rms(mixed) == pytest.approx(math.sqrt(sum(v * v for v in expected) / len(expected)))


def test_one_channel_is_not_copied() -> None:
    payload = bytearray(64)
    assert np.shares_memory(kernels.downmix_pcm16(payload, 1), np.frombuffer(payload, np.int16))


@pytest.mark.parametrize(("size", "channels"), [(3, 1), (2, 2), (10, 3), (0, 0), (0, 9), (4, -1)])
def test_downmix_refuses_broken_frames_and_impossible_channels(size: int, channels: int) -> None:
    with pytest.raises(PacketError, match=r"whole number|allowed are 1 to 8"):
        kernels.downmix_pcm16(bytes(size), channels)


def test_conversion_is_exact_both_ways_for_every_sample() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    scaled = kernels.to_float32(every)
    assert scaled.dtype == np.float32
    assert np.array_equal(scaled.astype(np.float64) * 32768, every)
    assert np.array_equal(kernels.to_int16(scaled), every)


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(-3, 3, width=32)))
def test_to_int16_rounds_half_to_even_and_clips(samples: np.ndarray) -> None:
    expected = [min(max(round(float(v) * 32768), -32768), 32767) for v in samples]
    assert kernels.to_int16(samples).tolist() == expected


def test_to_int16_rounds_halves_to_the_even_side() -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9], np.float32) / np.float32(32768)
    assert kernels.to_int16(halves).tolist() == [0, 2, 2, 0, -2, 32767, -32768]


@given(st.lists(SAMPLE, max_size=600))
def test_rms(samples: list[int]) -> None:
    expected = math.sqrt(sum(v * v for v in samples) / len(samples)) if samples else 0.0
    assert kernels.rms(np.array(samples, np.int16)) == expected


def test_kernels_refuse_other_types_and_shapes() -> None:
    for wrong in (np.zeros(4, np.int32), np.zeros((2, 2), np.int16)):
        with pytest.raises(ValueError, match="takes int16"):
            kernels.rms(wrong)
        with pytest.raises(ValueError, match="takes int16"):
            kernels.to_float32(wrong)
    with pytest.raises(ValueError, match="takes float32"):
        kernels.to_int16(np.zeros(4, np.float64))


def test_kernels_accept_strided_samples() -> None:
    assert kernels.to_float32(np.array([1, 2, 3, 4], np.int16)[::2]).tolist() == [1 / 32768, 3 / 32768]


def test_nothing_is_compiled_after_the_warm_up() -> None:
    kernels.warm_up()
    jitted = (kernels._downmix, kernels._to_float32, kernels._to_int16, kernels._sum_of_squares)
    before = [len(kernel.signatures) for kernel in jitted]
    for payload in (bytes(2048), bytearray(2048), memoryview(bytes(2049))[1:]):
        mono = kernels.downmix_pcm16(payload, 1)
        for samples in (mono, mono[:512], kernels.downmix_pcm16(payload, 2), mono.reshape(-1, 512)[0]):
            kernels.rms(samples)
            kernels.to_int16(kernels.to_float32(samples))
            StreamResampler(44_100).push(samples)
            StreamResampler(48_000).push(samples)
    assert [len(kernel.signatures) for kernel in jitted] == before
