"""Clips for `trio-stt bench`: reads sound files and finds the intervals of speech in them.

The reference is Silero alone on the clean clip, without the server's gates and states, so that the last spoken sample
does not depend on the server that is measured.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from trio_stt.bench.speech_plan import Clip
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from trio_stt.dsp.kernels import to_float32, to_int16
from trio_stt.dsp.silero import CONTEXT_SAMPLES, INPUT_SAMPLES, SileroModel, new_state
from trio_stt.errors import AudioFileError
from trio_stt.runtime.packages import install_hint, package_folder
from trio_stt.sound.reader import open_sound

_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".aif", ".aiff")
"""In a folder, where other files may lie as well; the format of a file follows its content."""
_SPEECH = 0.5
"""Silero's probability from which a window counts as speech: its authors' default."""
_PAUSE_S = 0.3
"""A shorter gap is no pause but part of a word, such as the closure of a plosive."""

_MIN_WORD_S = 0.1
"""A shorter interval is no word but a click or a breath."""

READINGS = {
    "two_cities.wav": (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
        "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was "
        "the season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before "
        "us, we had nothing before us, we were all going direct to Heaven, we were all going direct the other way. In "
        "short, the period was so far like the present period, that some of its noisiest authorities insisted on its "
        "being received, for good or for evil, in the superlative degree of comparison only."
    ),
    "beckett.wav": "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
}
"""Readings that the package moonshine-voice contains, and their transcripts."""


def sound_files(given: Sequence[str]) -> list[str]:
    """List the sound files to use: the given files and those in given folders; without any, the included readings.

    Raises:
        AudioFileError: A folder contains none, or the package with the included readings is not installed.
    """
    if not given:
        package = package_folder("moonshine_voice")
        if package is None:
            raise AudioFileError(
                f"bench: name sound files, or install the included readings: run `{install_hint('embedded')}`"
            )
        return [str(package / "assets" / name) for name in READINGS]
    files: list[str] = []
    for name in given:
        folder = Path(name)
        if not folder.is_dir():
            files.append(name)
            continue
        found = [str(file) for file in sorted(folder.iterdir()) if file.suffix.lower() in _SUFFIXES]
        if not found:
            raise AudioFileError(f"{name}: contains no sound files")
        files += found
    return files


def make_clips(files: Sequence[str], *, rate_hz: int, folder: Path) -> list[Clip]:
    """Find the speech in sound files and write their samples at `rate_hz` into `folder`.

    A text file beside a sound file, with the same name and `.txt`, contains its transcript.

    Raises:
        AudioFileError: A file cannot be read or contains no speech.
    """
    silero = SileroModel()
    clips = []
    for number, name in enumerate(files):
        samples, file_rate_hz = _read(name)
        speech = speech_intervals(silero, soxr.resample(samples, file_rate_hz, SAMPLE_RATE_HZ))
        if not speech:
            raise AudioFileError(f"{name}: contains no speech")
        sent = np.clip(np.rint(soxr.resample(samples, file_rate_hz, rate_hz) * 32768), -32768, 32767).astype("<i2")
        path = folder / f"{number}.pcm"
        sent.tofile(path)
        clips.append(
            Clip(pcm_path=str(path), length_s=sent.size / rate_hz, words=_words(Path(name)), speech=tuple(speech))
        )
    return clips


def reading(length_s: float) -> NDArray[np.float32]:
    """The beginning of the first included reading: float32, shape (n,), mono, 16 kHz, from its first word on.

    Raises:
        AudioFileError: The package with the included readings is not installed.
    """
    samples, rate_hz = _read(sound_files([])[0])
    at_16_khz = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
    start = round(speech_intervals(SileroModel(), at_16_khz)[0][0] * SAMPLE_RATE_HZ)
    speech: NDArray[np.float32] = at_16_khz[start : start + round(length_s * SAMPLE_RATE_HZ)]
    return speech


def speech_intervals(silero: SileroModel, samples: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Find intervals of speech, in seconds, in samples at 16 kHz (float32, shape (n,)).

    An interval lasts from the start of its first window of speech (32 ms) to the end of its last. At least 0.3 s lie
    between two intervals.
    """
    states = new_state()[np.newaxis]
    window_s = WINDOW_SAMPLES / SAMPLE_RATE_HZ
    intervals: list[tuple[float, float]] = []
    padded = np.pad(to_int16(samples), (CONTEXT_SAMPLES, -samples.size % WINDOW_SAMPLES))
    for number, at in enumerate(range(0, padded.size - CONTEXT_SAMPLES, WINDOW_SAMPLES)):
        if silero.score(padded[at : at + INPUT_SAMPLES], states)[0] < _SPEECH:
            continue
        start_s, end_s = number * window_s, (number + 1) * window_s
        if intervals and start_s - intervals[-1][1] < _PAUSE_S:
            start_s = intervals.pop()[0]
        intervals.append((start_s, end_s))
    return [(start_s, end_s) for start_s, end_s in intervals if end_s - start_s >= _MIN_WORD_S]


def _read(name: str) -> tuple[NDArray[np.float32], int]:
    with closing(open_sound(name)) as sound:
        samples = np.concatenate([np.empty(0, np.int16), *sound.mono_blocks()])
    return to_float32(samples), sound.rate_hz


def _words(path: Path) -> str | None:
    text = path.with_suffix(".txt")
    if text.is_file():
        return text.read_text(encoding="utf-8").strip()
    return READINGS.get(path.name)
