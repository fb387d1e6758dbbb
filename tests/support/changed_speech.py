"""Ways in which the same speech can reach a microphone: soft, far, whispered, overdriven, gated, slower or faster."""

from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Change = Callable[[Samples, int], Samples]
"""Changes mono samples, int16 units, shape (n,), at a sample rate in Hz."""

_HOP_S = 0.016


def at_level(samples: Samples, dbfs: float) -> Samples:
    """The samples at an RMS of this level."""
    return samples * (32768 * 10 ** (dbfs / 20) / max(1e-9, float(np.sqrt(np.mean(samples**2)))))


def shouted(samples: Samples, _rate_hz: int) -> Samples:
    """Overdriven: peaks are cut off."""
    return np.clip(at_level(samples, -6.0), -20_000, 20_000)


def far(samples: Samples, rate_hz: int) -> Samples:
    """From across a room: 0.6 s of reverberation, 3 dB above the direct sound, and the noise of the microphone."""
    random = np.random.default_rng(0)
    time_s = np.arange(round(0.6 * rate_hz)) / rate_hz
    tail = random.normal(size=time_s.size) * 10 ** (-3 * time_s / 0.6)  # -60 dB at its end
    tail[: round(0.008 * rate_hz)] = 0.0  # the first wall is 3 m away
    response = tail / np.sqrt(np.sum(tail**2))
    response[0] = 0.7
    size = samples.size + response.size
    received = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return at_level(received, -36.0) + random.normal(scale=20.0, size=size)


def whispered(samples: Samples, rate_hz: int) -> Samples:
    """With noise instead of a voice: its spectrum follows that of the speech, without harmonics."""
    random = np.random.default_rng(0)
    hop = round(_HOP_S * rate_hz)
    window = np.hanning(2 * hop)
    smooth = np.hanning(round(600 * 2 * hop / rate_hz) | 1)  # 600 Hz wide: no harmonic of a voice stands out
    padded = np.pad(samples, hop)
    whisper = np.zeros_like(padded)
    for start in range(0, padded.size - 2 * hop, hop):
        place = slice(start, start + 2 * hop)
        power = np.convolve(np.abs(np.fft.rfft(padded[place] * window)) ** 2, smooth / smooth.sum(), mode="same")
        noise = np.fft.rfft(random.normal(size=2 * hop)) / np.sqrt(2 * hop)
        whisper[place] += np.fft.irfft(noise * np.sqrt(power), 2 * hop) * window
    brighter = np.append(whisper[:1], whisper[1:] - 0.6 * whisper[:-1])  # a whisper has more treble than a voice
    return at_level(brighter, -38.0)


def high(samples: Samples, rate_hz: int) -> Samples:
    """A voice five semitones higher, and faster."""
    return soxr.resample(samples, 1.35 * rate_hz, rate_hz)


def slow(samples: Samples, rate_hz: int) -> Samples:
    """Slower by a tenth, and lower."""
    return soxr.resample(samples, 0.9 * rate_hz, rate_hz)


def fast(samples: Samples, rate_hz: int) -> Samples:
    """Faster by a tenth, and higher."""
    return soxr.resample(samples, 1.1 * rate_hz, rate_hz)


def narrow(samples: Samples, rate_hz: int) -> Samples:
    """With the band of a telephone at 8 kHz."""
    return soxr.resample(soxr.resample(samples, rate_hz, 8000), 8000, rate_hz)


def gated(samples: Samples, rate_hz: int) -> Samples:
    """With digital silence between words, as from noise suppression."""
    return samples * _loud(samples, rate_hz)


def clipped_onset(samples: Samples, rate_hz: int) -> Samples:
    """Without its first 60 ms, as from push-to-talk."""
    return samples[np.argmax(_loud(samples, rate_hz)) + round(0.06 * rate_hz) :]


def _loud(samples: Samples, rate_hz: int) -> NDArray[np.bool_]:
    """Which samples lie within 50 ms of a moment less than 30 dB below the loudest."""
    half = round(0.05 * rate_hz)
    sums = np.cumsum(np.pad(samples**2, (half + 1, half)))
    power = sums[2 * half + 1 :] - sums[: -2 * half - 1]
    return power > power.max() * 1e-3


CHANGES: dict[str, Change] = {
    "-50 dBFS": lambda samples, _: at_level(samples, -50.0),
    "shouted": shouted,
    "far": far,
    "whispered": whispered,
    "high": high,
    "slow": slow,
    "fast": fast,
    "narrow": narrow,
    "gated": gated,
    "clipped onset": clipped_onset,
}
"""The ways by name."""
