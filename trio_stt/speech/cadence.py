"""Cadence of partials: when the next partial of an utterance is due and which audio it covers, in audio time.

A lane that falls behind is not considered here: that is a matter of wall time, and the lane's `PartialPolicy` makes
sessions pause. See docs/protocol.md, Partials.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, samples_of
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.settings import Settings

_MIN_PAUSE_S = 0.001  # docs/protocol.md, Cadence
_MIN_STREAM_PAUSE_S = 0.1
"""Minimal pause with streaming models, which process chunks of 0.3 s and more: more partials would repeat the text."""
_MIN_CLIP_SAMPLES = samples_of(0.05)
"""Shortest clip of a partial (docs/protocol.md, Audio of a partial)."""
_MIN_AGE_SAMPLES = samples_of(0.2) + 1
"""Age of an utterance, from its trigger, at which partials may be shown (docs/protocol.md, Audio of a partial)."""
_EARLY_SAMPLES = samples_of(0.08)
"""The first partial of an utterance is requested 80 ms before it may be shown, about the time that a busy engine takes,
so that it is ready then."""


class Trigger(StrEnum):
    """Why a partial is due; see docs/protocol.md, Syllable boundaries."""

    TIMER = "timer"
    BOUNDARY = "syllable-boundary"
    FOLLOWUP = "syllable-boundary-followup"
    FALLBACK = "syllable-boundary-fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceConfig:
    """Settings of the cadence, in samples.

    Attributes:
        pause_samples: Pause between the starts of two partials; 0 for partials at syllable boundaries only.
        boundary_sensitivity: Sensitivity of the boundary detector, 0 to 1; None for partials by the pause alone.
        followup_samples: Delays after a boundary at which further partials are due, ascending.
        min_audio_samples: Audio since the start of speech before the first partial is shown.
        max_audio_samples: Newest audio that a partial covers; 0 for the whole utterance.
    """

    pause_samples: int
    boundary_sensitivity: float | None
    followup_samples: tuple[int, ...]
    min_audio_samples: int
    max_audio_samples: int

    @classmethod
    def from_settings(cls, settings: Settings, *, streamed: bool = False) -> Self:
        """Read the settings; with a streaming engine (`streamed`) a partial always covers the whole utterance."""
        pause_s = settings.realtime_processing_pause
        syllables = settings.realtime_transcription_use_syllable_boundaries
        least_s = _MIN_STREAM_PAUSE_S if streamed else _MIN_PAUSE_S
        return cls(
            pause_samples=samples_of(pause_s if syllables else max(pause_s, least_s)),
            boundary_sensitivity=settings.realtime_boundary_detector_sensitivity if syllables else None,
            followup_samples=tuple(samples_of(delay_s) for delay_s in settings.realtime_boundary_followup_delays),
            min_audio_samples=samples_of(settings.realtime_min_audio_seconds),
            max_audio_samples=0 if streamed else samples_of(settings.realtime_max_audio_seconds),
        )

    @property
    def usual_pause_s(self) -> float:
        """Seconds between two partials while the lane keeps up; 0.0 with syllable boundaries."""
        return 0.0 if self.boundary_sensitivity is not None else self.pause_samples / SAMPLE_RATE_HZ


class PartialCadence:
    """Cadence of one utterance.

    Args:
        config: The settings.
        start_sample: Start of the utterance's audio, pre-roll included.
        trigger_sample: Where the utterance was detected.
        speech_sample: Start of the run of speech that led to the detection.

    Attributes:
        shown_from_sample: Position of the audio from which on partials may be shown.
        kept_from_sample: A partial whose audio ends from here on is kept until it may be shown; an earlier one only
            counts as evidence for stable text.
    """

    def __init__(self, config: CadenceConfig, *, start_sample: int, trigger_sample: int, speech_sample: int) -> None:
        self.config = config
        self._start_sample = start_sample
        least_sample = speech_sample + config.min_audio_samples
        self.shown_from_sample = max(least_sample, trigger_sample + _MIN_AGE_SAMPLES)
        self.kept_from_sample = self.shown_from_sample - _EARLY_SAMPLES
        self._first_sample = max(trigger_sample, least_sample - _EARLY_SAMPLES, start_sample + _MIN_CLIP_SAMPLES)
        self._requested_sample = trigger_sample  # as if a partial had been requested there
        self._clip_start = start_sample  # of the last partial
        sensitivity = config.boundary_sensitivity
        self._detector = None if sensitivity is None else BoundaryDetector(sensitivity)
        self._processed_sample = start_sample
        self._boundary = False  # whether one was found since the last partial was requested
        self._followups: list[int] = []  # positions, ascending

    @property
    def next_sample(self) -> int | None:
        """Position of the next sample for `process`, from the utterance's first on; None if it needs no audio."""
        return None if self._detector is None else self._processed_sample

    def process(self, samples: NDArray[np.int16]) -> None:
        """Detect boundaries in the next samples, int16, shape (n,)."""
        if self._detector is None:
            return
        self._processed_sample += samples.size
        for boundary in self._detector.push(samples):
            self._boundary = True
            decided = self._start_sample + boundary.decided_sample
            # Those of an earlier boundary are dropped, as in RealtimeSTT.
            self._followups = [decided + delay for delay in self.config.followup_samples]

    def due(self, end_sample: int) -> Trigger | None:
        """Why a partial of the audio up to `end_sample` is due, or None."""
        pause = self.config.pause_samples
        if end_sample < self._first_sample:
            return None
        if self._boundary:
            return Trigger.BOUNDARY
        if self._followups and self._followups[0] <= end_sample:
            return Trigger.FOLLOWUP
        if pause and end_sample - self._requested_sample >= pause:
            return Trigger.TIMER if self._detector is None else Trigger.FALLBACK
        return None

    def partial_requested(self, end_sample: int) -> None:
        """Note that a partial of the audio up to `end_sample` was requested: it covers all triggers up to there."""
        self._requested_sample = end_sample
        self._boundary = False
        self._followups = [position for position in self._followups if position > end_sample]

    def full_clip_samples(self, end_sample: int) -> int:
        """Samples of a partial of the audio up to `end_sample` without the limit of a busy lane."""
        available, longest = end_sample - self._start_sample, self.config.max_audio_samples
        return min(available, longest) if longest else available

    def clip_start(self, end_sample: int, *, window_samples: int | None = None) -> int:
        """First sample of a partial of the audio up to `end_sample`. It never decreases within the utterance.

        Args:
            end_sample: Position after its last sample.
            window_samples: Newest audio that a busy lane allows; None for no limit. It has no effect if the settings
                ask for the whole utterance.
        """
        samples = self.full_clip_samples(end_sample)
        if window_samples is not None and self.config.max_audio_samples:
            samples = min(samples, window_samples)
        # A busy lane may allow more again, but the stitcher joins only clips that begin later and later.
        self._clip_start = max(self._clip_start, end_sample - samples)
        return self._clip_start
