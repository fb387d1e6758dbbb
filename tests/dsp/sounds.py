"""Real speech and synthetic noise for the dsp tests, and the segmenter that follows the detector."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.support.real import moonshine_asset, shared_sentences
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.detector import SpeechDetector, VadResult
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.silero import CONTEXT_SAMPLES, INPUT_SAMPLES, SileroModel, new_state
from trio_stt.settings import Settings
from trio_stt.speech.events import UtteranceEnded, UtteranceEvent, UtteranceStarted
from trio_stt.speech.segmenter import Segmenter
from trio_stt.speech.segmenter_config import SegmenterConfig

Pcm = NDArray[np.int16]


def load(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float64]:
    """A sound file at `rate_hz`, int16, resampled in one piece at soxr's best quality."""
    samples, file_rate_hz = soundfile.read(path, dtype="float64")
    return soxr.resample(samples, file_rate_hz, rate_hz, quality="VHQ") * 32768


def pcm(samples: NDArray[np.float64]) -> Pcm:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def at_level(samples: NDArray[np.float64], level_dbfs: float) -> NDArray[np.float64]:
    return samples * (32768 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(samples**2)))


def windows(samples: Pcm) -> NDArray[np.int16]:
    return samples[: samples.size // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)


def silence(duration_s: float) -> NDArray[np.float64]:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ))


def room_noise(samples: int, noise_rms: float, seed: int = 0) -> NDArray[np.float64]:
    """Pink noise from 50 Hz up."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum * np.where(frequency_hz < 50, 0, np.maximum(frequency_hz, 50) ** -0.5), samples)
    return noise * (noise_rms / noise.std())


def phrases() -> list[NDArray[np.float64]]:
    """Sentences at -20 dBFS: the six of beckett.wav, and those of the shared folder."""
    beckett = at_level(load(moonshine_asset("beckett.wav")), -20)
    cuts_s = (0.0, 1.65, 3.1, 4.5, 6.3, 8.0, beckett.size / SAMPLE_RATE_HZ)
    pieces = [beckett[round(a * SAMPLE_RATE_HZ) : round(b * SAMPLE_RATE_HZ)] for a, b in pairwise(cuts_s)]
    return pieces + [at_level(load(path), -20) for path, _ in shared_sentences()]


def recordings() -> list[Path]:
    """Every sound file of people reading, at its own rate."""
    assets = [moonshine_asset("two_cities.wav"), moonshine_asset("beckett.wav")]
    return assets + [path for path, _ in shared_sentences()]


def segments(
    stream: Iterable[Pcm], probability_of: Callable[[Pcm, bool], float]
) -> tuple[list[tuple[int, int]], list[float]]:
    """What a segmenter finds: (trigger window, last window) of each utterance; and all probabilities."""
    segmenter = Segmenter(SegmenterConfig.from_settings(Settings(max_audio_queue_seconds_per_session=0)))
    found: list[tuple[int, int]] = []
    probabilities: list[float] = []
    first = 0

    def note(events: list[UtteranceEvent]) -> None:
        nonlocal first
        for event in events:
            if isinstance(event, UtteranceStarted):
                first = event.trigger_sample // WINDOW_SAMPLES
            elif isinstance(event, UtteranceEnded):
                found.append((first, event.speech_end_sample // WINDOW_SAMPLES - 1))

    for window in stream:
        probabilities.append(probability_of(window, segmenter.speaking))
        note(segmenter.push(VadResult(rms=0.0, probability=probabilities[-1])))
    note(segmenter.stop())
    return found, probabilities


def detected(model: SileroModel, samples: Pcm) -> tuple[list[tuple[int, int]], list[float]]:
    """`segments` of a SpeechDetector with the default settings."""
    detector = SpeechDetector(model)
    return segments(windows(samples), lambda window, speaking: detector.detect(window, speaking=speaking).probability)


def silero_inputs(samples: Pcm) -> list[Pcm]:
    """Silero's input for each whole window: the end of the window before, then the window."""
    padded = np.concatenate((np.zeros(CONTEXT_SAMPLES, np.int16), samples))
    return [padded[at : at + INPUT_SAMPLES] for at in range(0, padded.size - INPUT_SAMPLES + 1, WINDOW_SAMPLES)]


def always_fed(model: SileroModel, samples: Pcm) -> tuple[list[tuple[int, int]], list[float]]:
    """`segments` of Silero on every window as it is."""
    states = new_state()[np.newaxis]
    return segments(silero_inputs(samples), lambda window, _: float(model.score(window, states)[0]))


def through(rate_hz: int, samples: Pcm, packet_ms: int = 40) -> Pcm:
    """Samples at `rate_hz` in packets through a StreamResampler."""
    resampler = StreamResampler(rate_hz)
    step = rate_hz * packet_ms // 1000
    packets = [resampler.push(samples[i : i + step]) for i in range(0, samples.size, step)]
    return np.concatenate([*packets, resampler.flush()])
