import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dsp.sounds import pcm, through
from trio_stt.dsp.resample import StreamResampler
from trio_stt.errors import PacketError

USUAL_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
RATES_HZ = (*USUAL_HZ, 8_001, 15_999, 16_001, 47_999, 191_999)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32768, samples).astype(np.int16)


def one_shot(rate_hz: int, samples: np.ndarray) -> np.ndarray:
    resampler = StreamResampler(rate_hz)
    return np.concatenate([resampler.push(samples), resampler.flush()])


@pytest.mark.contract("2.3", "11/17")
@given(
    rate_hz=st.sampled_from(RATES_HZ) | st.integers(8_000, 192_000),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
)
def test_packet_sizes_do_not_change_the_output(rate_hz: int, sizes: list[int]) -> None:
    samples = noise(sum(sizes))
    resampler = StreamResampler(rate_hz)
    packets = [resampler.push(packet) for packet in np.split(samples, np.cumsum(sizes)[:-1])]
    split = np.concatenate([*packets, resampler.flush()])

    assert np.array_equal(split, one_shot(rate_hz, samples))
    assert split.size == round(samples.size * 16_000 / rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_flush_starts_a_new_stream(rate_hz: int) -> None:
    resampler = StreamResampler(rate_hz)
    assert resampler.flush().size == 0
    resampler.push(noise(5000, 1))
    resampler.flush()
    again = np.concatenate([resampler.push(noise(7000, 2)), resampler.flush()])
    assert np.array_equal(again, one_shot(rate_hz, noise(7000, 2)))


def test_16_khz_passes_unchanged() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(StreamResampler(16_000).push(every), every)


def tone(rate_hz: int, frequency_hz: float, peak: float = 10_000) -> np.ndarray:
    """A second of a sine."""
    return pcm(peak * np.sin(2 * np.pi * frequency_hz * np.arange(rate_hz) / rate_hz))


@pytest.mark.contract("2.3", "11/17")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_tone_keeps_its_time_and_level_and_adds_nothing(rate_hz: int) -> None:
    band_hz = min(rate_hz, 16_000) / 2
    for frequency_hz in (100, 440, 3000, 0.88 * band_hz):
        inner = slice(800, -800)  # 50 ms: the filter rings where the tone is switched on and off
        output = through(rate_hz, tone(rate_hz, frequency_hz))[inner]
        phase = 2 * np.pi * frequency_hz * np.arange(800, 800 + output.size) / 16_000
        basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
        (sine, cosine), *_ = np.linalg.lstsq(basis, output.astype(np.float64), rcond=None)

        level_db = 20 * np.log10(np.hypot(sine, cosine) / 10_000)
        shift_s = np.arctan2(cosine, sine) / (2 * np.pi * frequency_hz)
        assert abs(level_db) <= 0.2, frequency_hz
        assert abs(shift_s) <= (17e-6 if rate_hz < 16_000 else 0.1e-6), frequency_hz
        assert np.abs(output - basis @ [sine, cosine]).max() <= 4, frequency_hz


@pytest.mark.parametrize("rate_hz", [rate_hz for rate_hz in RATES_HZ if rate_hz > 18_000])
def test_tones_above_8_khz_do_not_alias(rate_hz: int) -> None:
    for frequency_hz in np.linspace(8_200, rate_hz / 2, 12):
        aliased = through(rate_hz, tone(rate_hz, frequency_hz, 32_000))
        assert np.abs(aliased[800:-800]).max() <= 32_000 * 10 ** (-70 / 20), frequency_hz


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_full_scale_clips_and_never_wraps(rate_hz: int) -> None:
    square = np.where(np.arange(rate_hz) * 200 // rate_hz % 2, -32768, 32767).astype(np.int16)
    output = through(rate_hz, square).reshape(-1, 160)[1:-1]
    assert (output.max(), output.min()) == (32767, -32768)
    assert output[:, 20:60].min() > 31_000
    assert output[:, 100:140].max() < -31_000


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_output_is_late_by_a_bounded_time(rate_hz: int) -> None:
    most_ms = 31.0 if rate_hz < 16_000 else 0.0 if rate_hz == 16_000 else 60.0 if rate_hz < 44_100 else 42.0
    resampler = StreamResampler(rate_hz)
    pushed = returned = 0
    for packet in np.array_split(noise(rate_hz), 150):
        pushed += packet.size
        returned += resampler.push(packet).size
        assert pushed / rate_hz - returned / 16_000 <= most_ms / 1000


@pytest.mark.contract("11/3")
@pytest.mark.parametrize("rate_hz", [0, 1, 7_999, 192_001, 999_983])
def test_rates_out_of_range_are_refused(rate_hz: int) -> None:
    with pytest.raises(PacketError, match=rf"{rate_hz} Hz; allowed are 8000 to 192000"):
        StreamResampler(rate_hz)


def test_other_sample_types_are_refused() -> None:
    with pytest.raises(ValueError, match="takes int16"):
        StreamResampler(48_000).push(np.zeros(10, np.float32))
