"""Spoken sentences made by espeak-ng."""

import io
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.support.real import missing
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES

Pcm = NDArray[np.int16]
_AUDIBLE = 300


def say(text: str, voice: str = "en-us", *, words_per_minute: int = 150) -> Pcm:
    """A sentence at 16 kHz, from its first audible sample to its last."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        missing("espeak-ng is not installed")
    command = [espeak, "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - the test's own words
    samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float64")
    resampled = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="VHQ") * 32768
    audible = np.flatnonzero(np.abs(resampled) > _AUDIBLE)
    return np.clip(np.rint(resampled[audible[0] : audible[-1] + 1]), -32768, 32767).astype(np.int16)


def room(seconds: float, *, rms: float = 3.0) -> Pcm:
    """The noise of a quiet room."""
    noise = np.random.default_rng(0).normal(scale=rms, size=round(seconds * SAMPLE_RATE_HZ))
    return noise.round().astype(np.int16)


def windows(samples: Pcm) -> Iterator[Pcm]:
    """The whole windows of the samples."""
    yield from samples[: samples.size // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
