import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dsp.sounds import pcm, through
from trio_stt.dsp.resample import StreamResampler, _filters
from trio_stt.errors import PacketError

USUAL_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
RATES_HZ = (*USUAL_HZ, 8_001, 15_999, 16_001, 47_999, 191_999)


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
    assert split.size == round(samples.size * 16_000 / rate_hz)


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


def tone(rate_hz: int, frequency_hz: float, peak: float = 10_000) -> np.ndarray:
    """A second of it."""
    return pcm(peak * np.sin(2 * np.pi * frequency_hz * np.arange(rate_hz) / rate_hz))


@pytest.mark.contract("2.3", "11/17")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_place_in_time_its_level_and_nothing_beside_it(rate_hz: int) -> None:
    band_hz = min(rate_hz, 16_000) / 2
    for frequency_hz in (100, 440, 3000, 0.88 * band_hz):
        heard = through(rate_hz, tone(rate_hz, frequency_hz))
        ideal = 10_000 * np.sin(2 * np.pi * frequency_hz * np.arange(heard.size) / 16_000)
        inner = slice(100, -100)  # the filter rings where the tone is switched on and off
        assert np.abs(heard[inner] - ideal[inner]).max() <= 4, frequency_hz


@pytest.mark.parametrize("rate_hz", [rate_hz for rate_hz in RATES_HZ if rate_hz > 18_000])
def test_tones_above_8_khz_do_not_fold_back(rate_hz: int) -> None:
    for frequency_hz in np.linspace(8_200, rate_hz / 2, 12):
        folded = through(rate_hz, tone(rate_hz, frequency_hz, 32_000))
        assert np.abs(folded[100:-100]).max() <= 32_000 * 10 ** (-70 / 20), frequency_hz


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_full_scale_clips_and_never_wraps(rate_hz: int) -> None:
    square = np.where(np.arange(rate_hz) * 200 // rate_hz % 2, -32768, 32767).astype(np.int16)
    heard = through(rate_hz, square).reshape(-1, 160)[1:-1]
    assert (heard.max(), heard.min()) == (32767, -32768)
    assert heard[:, 20:60].min() > 31_000
    assert heard[:, 100:140].max() < -31_000


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_it_holds_back_few_milliseconds(rate_hz: int) -> None:
    most_ms = 0.0 if rate_hz == 16_000 else 2.8 if rate_hz > 22_000 else 5.2
    resampler = StreamResampler(rate_hz)
    pushed = given_back = 0
    for packet in np.array_split(noise(rate_hz), 150):
        pushed += packet.size
        given_back += resampler.push(packet).size
        assert pushed / rate_hz - given_back / 16_000 <= most_ms / 1000


@given(rate_hz=st.integers(8_000, 192_000))
def test_no_rate_costs_much(rate_hz: int) -> None:
    assert _filters(rate_hz).nbytes <= 42_000


@pytest.mark.contract("11/3")
@pytest.mark.parametrize("rate_hz", [0, 1, 7_999, 192_001, 999_983])
def test_other_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(PacketError, match=rf"{rate_hz} Hz; allowed are 8000 to 192000"):
        StreamResampler(rate_hz)


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="takes int16"):
        StreamResampler(48_000).push(np.zeros(10, np.float32))
