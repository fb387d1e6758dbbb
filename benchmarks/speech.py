"""Audio of the benchmarks: ten seconds of the installed reading, and a quiet room."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from trio_stt.cli.reference_speech import sound_files
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES

Pcm = NDArray[np.int16]

SPEECH_S = 10.0


def _reading() -> tuple[Pcm, Pcm]:
    samples, rate_hz = soundfile.read(Path(sound_files([])[0]), dtype="float32")
    samples = samples[round(1.2 * rate_hz) : round((1.2 + SPEECH_S) * rate_hz)]
    slow, fast = (soxr.resample(samples, rate_hz, to_hz) * 32767 for to_hz in (SAMPLE_RATE_HZ, 48_000))
    return slow.round().astype(np.int16), fast.round().astype(np.int16)


SPEECH_16K, SPEECH_48K = _reading()
QUIET: Pcm = np.random.default_rng(0).normal(scale=3.0, size=SPEECH_16K.size).round().astype(np.int16)


def windows(samples: Pcm) -> list[Pcm]:
    """The whole windows."""
    return list(samples[: samples.size // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES))
