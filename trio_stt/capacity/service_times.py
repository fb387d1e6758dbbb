"""How long an engine takes for a clip, measured with as many calls at a time as a server makes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.base import Engine, Request

_CLIP_LENGTHS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_BUDGET_S = 10.0
"""Seconds after which no further round begins."""
_MAX_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    """The time that one call of an engine takes, as a line over the audio in it.

    Attributes:
        call_s: Seconds of each call, whatever its length.
        per_audio_s: Seconds for each second of audio.
    """

    call_s: float
    per_audio_s: float

    def of(self, audio_s: float) -> float:
        """Seconds for a call with this much audio."""
        return self.call_s + self.per_audio_s * audio_s

    @classmethod
    def fit(cls, lengths_s: Sequence[float], times_s: Sequence[float]) -> Self:
        """The line through measured times with the smallest squared errors; neither part is negative."""
        slope, offset = np.polyfit(lengths_s, times_s, 1)
        if offset < 0.0:
            slope, offset = float(np.dot(lengths_s, times_s) / np.dot(lengths_s, lengths_s)), 0.0
        return cls(call_s=float(offset), per_audio_s=max(0.0, float(slope)))


def measure(engine: Engine, speech: NDArray[np.float32], *, at_once: int) -> ServiceTimes:
    """Measure an engine. Blocks for some seconds.

    Args:
        engine: Loaded; with `at_once` above 1, its `transcribe` may be called on several threads.
        speech: float32, shape (n,), 16 kHz; clips are cut from it, and repeat it where it is too short.
        at_once: Calls at the same time.
    """
    clips = [np.resize(speech, round(length_s * SAMPLE_RATE_HZ)) for length_s in _CLIP_LENGTHS_S]

    def time_all(_: int) -> list[float]:
        times_s = []
        for clip in clips:
            begun_s = time.perf_counter()
            engine.transcribe([Request(samples=clip)])
            times_s.append(time.perf_counter() - begun_s)
        return times_s

    rounds: list[list[float]] = []
    with ThreadPoolExecutor(at_once) as threads:
        end_s = time.perf_counter() + _BUDGET_S
        while not rounds or (time.perf_counter() < end_s and len(rounds) < at_once * _MAX_ROUNDS):
            rounds += threads.map(time_all, range(at_once))
    return ServiceTimes.fit(_CLIP_LENGTHS_S, [float(each) for each in np.median(rounds, axis=0)])
