"""Sample processing, sans-IO: decoding, resampling, loudness and voice detection for one stream of mono 16 kHz audio.

It owns what happens to samples and the verdict on each window of them. It must not know sessions, clocks, trio or the
wire, and it decides nothing about utterances: the segmenter does, from the verdicts.
"""

SAMPLE_RATE_HZ = 16_000
"""Rate of everything behind the resampler."""

WINDOW_SAMPLES = 512
"""Samples of one detection window: 32 ms, the size that Silero was trained for."""


def samples_of(seconds: float) -> int:
    """The nearest whole number of samples at 16 kHz."""
    return round(seconds * SAMPLE_RATE_HZ)
