"""Sound files in the format of engines."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray


def read_16k(path: Path) -> NDArray[np.float32]:
    """Read a sound file as float32, shape (samples,), mono, 16 kHz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return np.asarray(soxr.resample(mono, rate_hz, 16_000), dtype=np.float32)
