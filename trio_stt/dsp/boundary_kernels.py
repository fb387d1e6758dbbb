"""Kernels of the syllable-boundary detector: the features of each frame of 10 ms, and whether it is a boundary.

Features and scores are those of RealtimeSTT (docs/protocol.md, Syllable boundaries), except voicing. There it is the
autocorrelation within one frame of 10 ms, which is too short for a lag of 13.3 ms (75 Hz). Here the newest 213 samples,
one period of 75 Hz that ends with the frame, are correlated with as many samples one lag earlier: the normalised
cross-correlation of Talkin, "A robust algorithm for pitch tracking", 1995. Each lag is judged on the same number of
samples, a high voice needs less audio from the past than a low one, and the end of a vowel is detected at most 3.3 ms
late.

All kernels are in this file: Numba's cache does not notice a change of a function in another one.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ

FRAME_SAMPLES = SAMPLE_RATE_HZ // 100
"""One frame: 10 ms."""

_MIN_LAG, _MAX_LAG = SAMPLE_RATE_HZ // 350, SAMPLE_RATE_HZ // 75
"""Period of the pitch in samples, for 350 Hz to 75 Hz."""

CONTEXT_SAMPLES = 2 * _MAX_LAG - FRAME_SAMPLES
"""Samples before a frame that its voicing needs."""

# Values of RealtimeSTT, as are the numbers in the functions below. Levels are relative to full scale.
FRAMES_AFTER = 3  # look-ahead
FRAMES_BEFORE = 8  # searched for vowels; the oldest may be missing at the start of a stream
_CANDIDATE = FRAMES_BEFORE  # index of the frame that is judged
_MIN_FRAMES_BEFORE = 7
_SPEECH_FRAMES, _MIN_SPEECH_FRAMES, _MIN_VOWEL_FRAMES = 7, 5, 4
_LEVEL_FRAMES = 5  # before the candidate; their mean level is one side of a valley
_MIN_SPEECH_RMS = 0.004
_QUIET_RMS = 0.005
_FLOOR_START_DB, _FLOOR_LEAST_DB, _FLOOR_MOST_DB = -70.0, -100.0, -20.0
_FLOOR_FIRST_FRAMES = 10
_LONG_AGO_FRAMES = 1000  # distance of the last boundary before there was one

FRAME = np.dtype(
    [("energy_db", "f8"), ("rms", "f8"), ("floor_db", "f8"), ("voicing", "f8"), ("speech", "?"), ("vowel", "?")],
    align=True,
)
"""The features of one frame."""

STATE = np.dtype([("frames", "i8"), ("boundary_frame", "i8"), ("floor_db", "f8")], align=True)
"""What is kept of a stream: its frames so far, the frame of its last boundary, and its noise floor."""

SILENCE = (0, -_LONG_AGO_FRAMES, _FLOOR_START_DB)
"""The state before the first frame."""

FOUND = np.dtype([("frame", "i8"), ("speech_after", "?"), ("score", "f8")], align=True)
"""One boundary."""


class Thresholds(NamedTuple):
    """What features and scores must reach."""

    speech_db: float
    drop_db: float
    valley_db: float
    recovery_db: float
    vowel_db: float
    voicing: float
    zero_crossings: float
    score: float
    gap_frames: int


# Samples are whole numbers below 2**15, so all sums are exact in float64. Reordering them for speed changes nothing.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    total = 0.0
    for i in range(one.size):
        total += one[i] * other[i]
    return total


@njit(cache=True, nogil=True)
def _voicing(audio: NDArray[np.float64], end: int) -> float:
    """Highest normalised correlation of the `_MAX_LAG` samples before `end` with those one lag earlier, 0 to 1."""
    n = _MAX_LAG
    start = end - n
    # Variances and covariances are multiplied by n squared, so that they stay whole numbers; the factors cancel out.
    newest = audio[start:end]
    total = newest.sum()
    variance = n * _dot(newest, newest) - total * total
    segment = audio[start - _MIN_LAG : end - _MIN_LAG]
    earlier_total = segment.sum()
    earlier_squares = _dot(segment, segment)
    best = 0.0
    for lag in range(_MIN_LAG, _MAX_LAG + 1):
        earlier = start - lag
        # Sums over the earlier segment slide by one sample per lag instead of being computed anew.
        if lag > _MIN_LAG:
            added, removed = audio[earlier], audio[earlier + n]
            earlier_total += added - removed
            earlier_squares += added * added - removed * removed
        power = variance * (n * earlier_squares - earlier_total * earlier_total)
        if power > 0.0:
            covariance = n * _dot(newest, audio[earlier : earlier + n]) - total * earlier_total
            best = max(best, covariance / math.sqrt(power))
    return min(best, 1.0)


@njit(cache=True, nogil=True)
def _follow_floor(floor_db: float, energy_db: float, frames: int) -> float:
    if frames < _FLOOR_FIRST_FRAMES:
        floor_db = min(floor_db, energy_db)
    elif energy_db < floor_db + 3.0:
        floor_db = 0.92 * floor_db + 0.08 * energy_db
    else:
        floor_db = 0.997 * floor_db + 0.003 * min(energy_db, floor_db + 18.0)
    return min(max(floor_db, _FLOOR_LEAST_DB), _FLOOR_MOST_DB)


@njit(cache=True, nogil=True)
def _measure(audio: NDArray[np.float64], start: int, thresholds: Thresholds, state: Any, frame: Any) -> None:
    """Compute the features of the frame at `start` into `frame`, and update `state`."""
    end = start + FRAME_SAMPLES
    frame.rms = math.sqrt(_dot(audio[start:end], audio[start:end]) / FRAME_SAMPLES) / 32768.0 + 1e-12
    frame.energy_db = 20.0 * math.log10(frame.rms + 1e-12)
    state.floor_db = _follow_floor(state.floor_db, frame.energy_db, state.frames)
    state.frames += 1
    frame.floor_db = state.floor_db
    above_floor_db = frame.energy_db - frame.floor_db
    frame.speech = frame.rms >= _MIN_SPEECH_RMS and above_floor_db >= thresholds.speech_db
    crossings = 0
    for i in range(start + 1, end):
        crossings += (audio[i] < 0.0) != (audio[i - 1] < 0.0)
    smooth = crossings / (FRAME_SAMPLES - 1) <= thresholds.zero_crossings
    frame.voicing, frame.vowel = 0.0, False
    # Voicing is by far the most expensive feature, so it is computed only for frames that can be a vowel.
    if frame.speech and smooth and above_floor_db >= thresholds.vowel_db:
        frame.voicing = _voicing(audio, end)
        frame.vowel = frame.voicing >= thresholds.voicing


class _Before(NamedTuple):
    """The frames before the candidate: whether they are a syllable, its loudest vowel and mean level, best voicing."""

    syllable: bool
    vowel_db: float
    level_db: float
    voicing: float


class _After(NamedTuple):
    """The frames after the candidate: whether there is any speech or vowel, highest and mean level."""

    speech: bool
    vowel: bool
    peak_db: float
    level_db: float


@njit(cache=True, nogil=True)
def _before(frames: Any) -> _Before:
    speech, vowels, vowel_db, voicing, level_db = 0, 0, -1e9, 0.0, 0.0
    for i in range(FRAMES_BEFORE):
        frame = frames[i]
        # Vowels are counted in all frames, speech and the level only in the newest ones.
        speech += frame.speech and i >= FRAMES_BEFORE - _SPEECH_FRAMES
        if frame.vowel:
            vowels += 1
            vowel_db = max(vowel_db, frame.energy_db)
            voicing = max(voicing, frame.voicing)
        if i >= FRAMES_BEFORE - _LEVEL_FRAMES:
            level_db += frame.energy_db / _LEVEL_FRAMES
    return _Before(speech >= _MIN_SPEECH_FRAMES and vowels >= _MIN_VOWEL_FRAMES, vowel_db, level_db, voicing)


@njit(cache=True, nogil=True)
def _after(frames: Any) -> _After:
    speech, vowel, peak_db, level_db = False, False, -1e9, 0.0
    for i in range(_CANDIDATE + 1, _CANDIDATE + 1 + FRAMES_AFTER):
        speech |= frames[i].speech
        vowel |= frames[i].vowel
        peak_db = max(peak_db, frames[i].energy_db)
        level_db += frames[i].energy_db / FRAMES_AFTER
    return _After(speech, vowel, peak_db, level_db)


@njit(cache=True, nogil=True)
def _is_lowest(frames: Any) -> bool:
    """Whether the candidate is the softest of five frames, within 0.8 dB."""
    lowest = True
    for i in range(_CANDIDATE - 2, _CANDIDATE + 3):
        lowest &= frames[_CANDIDATE].energy_db <= frames[i].energy_db + 0.8
    return lowest


@njit(cache=True, nogil=True)
def _clamp(value: float) -> float:
    return min(max(value, 0.0), 1.25)


@njit(cache=True, nogil=True)
def _drop_and_valley(candidate: Any, before: _Before, after: _After) -> tuple[float, float]:
    """How far the candidate lies below the loudest vowel before it, and below the softer of its sides, in dB."""
    return before.vowel_db - candidate.energy_db, min(before.level_db, after.peak_db) - candidate.energy_db


@njit(cache=True, nogil=True)
def _score(candidate: Any, before: _Before, after: _After, thresholds: Thresholds) -> float:
    """How clear a boundary is: each of its signs adds a part, in proportion to its threshold, with a limit."""
    drop_db, valley_db = _drop_and_valley(candidate, before, after)
    score = _clamp(drop_db / thresholds.drop_db) + _clamp(valley_db / thresholds.valley_db)
    score += 0.8 * _clamp(before.voicing / thresholds.voicing)
    if after.speech and not after.vowel:  # a consonant follows
        score += 0.7 * _clamp((after.peak_db - candidate.energy_db) / thresholds.recovery_db)
    elif after.level_db < candidate.floor_db + thresholds.speech_db + 2.0:  # a pause follows
        score += 0.45
    return score + 0.2 if candidate.rms < _QUIET_RMS else score


@njit(cache=True, nogil=True)
def _judge(frames: Any, thresholds: Thresholds) -> tuple[float, bool]:
    """The candidate's score, 0.0 if it is no boundary, and whether speech follows it.

    A boundary is the end of a vowel, or a valley between two syllables.
    """
    candidate, before, after = frames[_CANDIDATE], _before(frames), _after(frames)
    drop_db, valley_db = _drop_and_valley(candidate, before, after)
    vowel_over = not candidate.vowel and not after.vowel and drop_db >= max(1.5, 0.55 * thresholds.drop_db)
    valley = drop_db >= thresholds.drop_db and valley_db >= thresholds.valley_db and _is_lowest(frames)
    if before.syllable and (vowel_over or valley):
        return _score(candidate, before, after, thresholds), after.speech
    return 0.0, after.speech


@njit(cache=True, nogil=True)
def advance(audio: NDArray[np.float64], thresholds: Thresholds, states: Any, frames: Any, found: Any) -> int:
    """Judge all whole frames after the context in `audio`; returns the number of boundaries written to `found`."""
    state = states[0]
    count = 0
    for start in range(CONTEXT_SAMPLES, audio.size - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        for i in range(frames.size - 1):  # the newest frame stays last: the rules index from the candidate
            frames[i] = frames[i + 1]
        _measure(audio, start, thresholds, state, frames[frames.size - 1])
        candidate = state.frames - 1 - FRAMES_AFTER  # the frame that now has its look-ahead
        if candidate < _MIN_FRAMES_BEFORE or candidate - state.boundary_frame < thresholds.gap_frames:
            continue
        score, speech_after = _judge(frames, thresholds)
        if score >= thresholds.score:
            state.boundary_frame = candidate
            found[count].frame, found[count].speech_after, found[count].score = candidate, speech_after, score
            count += 1
    return count
