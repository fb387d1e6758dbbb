import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dsp.sounds import pcm, through
from trio_stt.dsp.resample import StreamResampler
from trio_stt.errors import PacketError

RATES_HZ = (
    8_000,
    11_025,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    96_000,
    192_000,
    8_001,
    15_999,
    47_999,
    191_999,
)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, samples).astype(np.int16)


def one_shot(rate_hz: int, samples: np.ndarray) -> np.ndarray:
    resampler = StreamResampler(rate_hz)
    return np.concatenate([resampler.push(samples), resampler.flush()])


@pytest.mark.contract("2.3", "11/17")
@settings(deadline=None)
@given(
    rate_hz=st.sampled_from(RATES_HZ) | st.integers(8_000, 192_000),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
)
def test_packets_of_any_size_give_the_same_samples(rate_hz: int, sizes: list[int]) -> None:
    samples = noise(sum(sizes))
    resampler = StreamResampler(rate_hz)
    packets = [resampler.push(packet) for packet in np.split(samples, np.cumsum(sizes)[:-1])]
    split = np.concatenate([*packets, resampler.flush()])

    assert np.array_equal(split, one_shot(rate_hz, samples))
    assert abs(split.size - round(samples.size * 16_000 / rate_hz)) <= 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_after_a_flush_it_is_as_new(rate_hz: int) -> None:
    resampler = StreamResampler(rate_hz)
    assert resampler.flush().size == 0
    resampler.push(noise(5000, 1))
    resampler.flush()
    again = np.concatenate([resampler.push(noise(7000, 2)), resampler.flush()])
    assert np.array_equal(again, one_shot(rate_hz, noise(7000, 2)))


def test_16_khz_passes_untouched() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(StreamResampler(16_000).push(every), every)


@pytest.mark.contract("2.3", "11/17")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_place_in_time_and_has_no_seams(rate_hz: int) -> None:
    seconds = np.arange(rate_hz) / rate_hz
    tone = through(rate_hz, pcm(10_000 * np.sin(2 * np.pi * 440 * seconds)))
    ideal = 10_000 * np.sin(2 * np.pi * 440 * np.arange(tone.size) / 16_000)
    inner = slice(1600, -1600)  # the filter rings where the tone is switched on and off
    assert np.abs(tone[inner] - ideal[inner]).max() <= 2


@pytest.mark.parametrize("rate_hz", [24_000, 44_100, 48_000, 96_000])
def test_tones_above_8_khz_do_not_fold_back(rate_hz: int) -> None:
    seconds = np.arange(rate_hz) / rate_hz
    folded = through(rate_hz, pcm(10_000 * np.sin(2 * np.pi * 9_000 * seconds)))
    assert np.abs(folded[1600:-1600]).max() <= 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_it_never_holds_back_more_than_an_eighth_of_a_second(rate_hz: int) -> None:
    resampler = StreamResampler(rate_hz)
    pushed = given_back = 0
    for packet in np.array_split(noise(rate_hz), 150):
        pushed += packet.size
        given_back += resampler.push(packet).size
        assert pushed * 16_000 / rate_hz - given_back <= 2000


@pytest.mark.contract("11/3")
@pytest.mark.parametrize("rate_hz", [0, 1, 7_999, 192_001, 999_983])
def test_other_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(PacketError, match=rf"{rate_hz} Hz; allowed are 8000 to 192000"):
        StreamResampler(rate_hz)


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="takes int16"):
        StreamResampler(48_000).push(np.zeros(10, np.float32))
