"""Sample processing, sans-IO: decoding, resampling, loudness, voice and wake-word detection of one audio stream.

It owns the samples and the detection result of each window. It does not know sessions, clocks, trio or the wire. The
segmenter in `speech` decides about utterances from the results.
"""

SAMPLE_RATE_HZ = 16_000
"""Sample rate of everything after the resampler."""

WINDOW_SAMPLES = 512
"""Samples of one detection window: 32 ms, the size that Silero was trained with."""


def samples_of(seconds: float) -> int:
    """Duration in samples at 16 kHz, rounded."""
    return round(seconds * SAMPLE_RATE_HZ)
