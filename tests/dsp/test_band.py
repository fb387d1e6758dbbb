import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dsp.sounds import pcm
from trio_stt.dsp.band import TelephoneBand
from trio_stt.dsp.kernels import rms


def in_band(samples: np.ndarray) -> np.ndarray:
    band = TelephoneBand(samples.size)
    band.push(samples)
    return band.recent


def level_db(frequency_hz: float) -> float:
    """Gain of the band filter for a tone, in dB."""
    tone = pcm(20_000 * np.sin(2 * np.pi * frequency_hz * np.arange(16_000) / 16_000))
    inner = slice(400, -400)
    out = in_band(tone)[inner].astype(np.float64)
    return float(10 * np.log10(np.mean(out**2) / np.mean(tone[inner].astype(np.float64) ** 2) + 1e-12))


@pytest.mark.parametrize("frequency_hz", [100, 1000, 2000, 3000, 3200])
def test_telephone_speech_passes(frequency_hz: float) -> None:
    assert abs(level_db(frequency_hz)) < 0.1


@pytest.mark.parametrize("frequency_hz", [3650, 4000, 5000, 7900])
def test_frequencies_above_4_khz_are_removed(frequency_hz: float) -> None:
    assert level_db(frequency_hz) < -70


@given(sizes=st.lists(st.integers(0, 700), max_size=20))
@settings(deadline=None)
def test_packet_sizes_do_not_change_the_output(sizes: list[int]) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, sum(sizes)).astype(np.int16)
    band = TelephoneBand(samples.size)
    for part in np.split(samples, np.cumsum(sizes)):
        level = band.push(part)
        assert level == rms(band.recent[band.recent.size - part.size :])
    assert np.array_equal(band.recent, in_band(samples))


def test_newest_samples_are_kept() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 1000).astype(np.int16)
    band = TelephoneBand(300)
    for part in np.split(samples, range(0, 1000, 100)):
        band.push(part)
    assert np.array_equal(band.recent, in_band(samples)[-300:])


def test_wrong_types_and_sizes_are_refused() -> None:
    for wrong in (np.zeros(301, np.int16), np.zeros(300, np.float32), np.zeros((1, 300), np.int16)):
        with pytest.raises(ValueError, match="int16"):
            TelephoneBand(300).push(wrong)


def test_reset_restores_the_initial_state() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 512).astype(np.int16)
    band = TelephoneBand(1024)
    first = band.push(samples), band.recent.copy()
    band.reset()
    assert (band.push(samples), band.recent.tolist()) == (first[0], first[1].tolist())
