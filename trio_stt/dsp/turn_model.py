"""Smart Turn: a small network that hears from the sound of the last 8 s whether a talker is done.

It owns the model file and the network's input. When it is asked, and what follows, is decided by `speech.endpointing`.
The file comes from the installed package pipecat-ai, which is never imported, because it would import a whole
framework; or it was pulled as the catalogue's `smart-turn-v3.2`. The network is Whisper tiny's encoder with a
classifier, trained on many languages.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.dsp.onnx import open_model
from trio_stt.errors import EngineUnavailable, first_line
from trio_stt.runtime.packages import package_folder

Floats = NDArray[np.float32]

CLIP_SAMPLES = 8 * SAMPLE_RATE_HZ
"""Audio that the network takes: the newest 8 s, with zeros before a shorter clip."""

_PACKAGE, _PACKAGE_FILE = "pipecat", "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"

# Whisper's features: mel frames of 25 ms, every 10 ms.
_FRAME_SAMPLES = 400
_STEP_SAMPLES = 160
_MELS = 80
_RANGE = 8.0
"""Bels below the loudest value at which the features are cut off."""


def packaged_model() -> Path | None:
    """The model file in the installed package pipecat-ai, or None."""
    folder = package_folder(_PACKAGE)
    return folder / _PACKAGE_FILE if folder and (folder / _PACKAGE_FILE).is_file() else None


class TurnModel:
    """Smart Turn for all streams. It keeps no state, so `probability` may run in any thread."""

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            EngineUnavailable: The file cannot be run as Smart Turn.
        """
        try:
            self._session = open_model(path)
            self._input = self._session.get_inputs()[0].name
            self.probability(np.zeros(1, np.float32))
        except Exception as error:  # noqa: BLE001 - onnxruntime raises a class of its own for each kind of bad file
            raise EngineUnavailable(f"{path} does not run as Smart Turn: {first_line(error)[:200]}") from None

    def probability(self, clip: Floats) -> float:
        """How likely a talker is done whose speech ends `clip`: float32, shape (n,), mono, 16 kHz, -1 to 1. Blocks.

        Returns:
            0 to 1; the network's authors take more than 0.5 for the end of a turn.
        """
        newest = clip[-CLIP_SAMPLES:]
        padded = np.pad(newest, (CLIP_SAMPLES - newest.size, 0))
        return float(self._session.run(None, {self._input: log_mel(padded)[np.newaxis]})[0].item())


def log_mel(samples: Floats) -> Floats:
    """Whisper's features: logarithmic mel spectrum, as `WhisperFeatureExtractor(chunk_length=8)` computes it.

    The steps are those of Hugging Face Transformers (`feature_extraction_whisper.py`, Apache-2.0): the samples are
    normalised, frames are centred with mirrored ends, the last frame is left out.

    Args:
        samples: float32, shape (128000,).

    Returns:
        float32, shape (80, 800), about -1 to 1.
    """
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    mirrored = np.pad(normal, _FRAME_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, _FRAME_SAMPLES)[::_STEP_SAMPLES][:-1]
    power = np.abs(np.fft.rfft(frames * _HANN, axis=-1)) ** 2
    bels = np.log10(np.maximum(_MEL_FILTERS @ power.T, 1e-10))
    scaled: Floats = ((np.maximum(bels, bels.max() - _RANGE) + 4.0) / 4.0).astype(np.float32)
    return scaled


def _mel_filters() -> NDArray[np.float64]:
    """Triangular filters of equal area on Slaney's mel scale, 0 to 8 kHz: shape (80, 201)."""
    # The scale is linear below 1 kHz (15 mel) and logarithmic above.
    mels = np.linspace(0.0, 15.0 + 27.0 * np.log(8.0) / np.log(6.4), _MELS + 2)
    corners_hz = np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp((mels - 15.0) * np.log(6.4) / 27.0))  # noqa: PLR2004 - the scale's own numbers
    slopes = corners_hz[:, np.newaxis] - np.linspace(0.0, SAMPLE_RATE_HZ / 2, _FRAME_SAMPLES // 2 + 1)
    widths_hz = np.diff(corners_hz)[:, np.newaxis]
    rising, falling = -slopes[:-2] / widths_hz[:-1], slopes[2:] / widths_hz[1:]
    areas: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * (
        2.0 / (corners_hz[2:] - corners_hz[:-2])[:, np.newaxis]
    )
    return areas


_HANN = np.hanning(_FRAME_SAMPLES + 1)[:-1].astype(np.float32)
_MEL_FILTERS = _mel_filters().astype(np.float32)
