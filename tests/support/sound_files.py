"""Sound files that tests write: every container and codec, and the defects that recorders and networks leave."""

from contextlib import closing
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from trio_stt.errors import AudioFileError
from trio_stt.sound.reader import open_sound

RATE_HZ = 16_000
Samples = NDArray[np.float32]


def sweep(seconds: float, rate_hz: int = RATE_HZ) -> Samples:
    """A tone that rises from 300 to 1,300 Hz, so that each part of it can be identified: float32, shape (n,)."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * (300 * time_s + 500 * time_s**2 / seconds))).astype(np.float32)


def encode(
    path: Path, samples: Samples, *, codec: str, rate_hz: int = RATE_HZ, options: dict[str, str] | None = None
) -> Path:
    """Write samples, shape (n,) or (n, channels), with FFmpeg; the container follows the name's extension."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with av.open(path, "w", container_options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono" if channels == 1 else "stereo")
        packed = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=stream.layout.name)
        frame.sample_rate = rate_hz
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def read(path: Path | str, *, max_length_s: float | None = None) -> tuple[NDArray[np.int16], int, str]:
    """The mono samples of a file, their rate, and the fault that ended them or an empty text."""
    with closing(open_sound(str(path), max_length_s=max_length_s)) as sound:
        blocks, fault = [np.empty(0, np.int16)], ""
        try:
            for block in sound.mono_blocks():  # one by one, so that the blocks before a fault are kept
                blocks.append(block)  # noqa: PERF402
        except AudioFileError as error:
            fault = str(error)
        return np.concatenate(blocks), sound.rate_hz, fault
