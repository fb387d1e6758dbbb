"""When the next partial of an utterance is due and what audio it hears, on the audio clock.

See docs/protocol.md, Partials.

It owns the rhythm only: who transcribes, and what was heard, is not its business. Nor is a lane that falls behind: that
is a matter of wall time, and the lane's `PartialPolicy` makes sessions pause.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trio_stt.dsp import SAMPLE_RATE_HZ, samples_of
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.settings import Settings

_LEAST_PAUSE_S = 0.001  # docs/protocol.md, Cadence
_LEAST_STREAM_PAUSE_S = 0.1
"""Streaming models hear chunks of 0.3 s and more: partials that come more often say the same again."""
_LEAST_CLIP_SAMPLES = samples_of(0.05)
"""Less audio than this is worth no partial. See docs/protocol.md, Audio of a partial."""
_YOUNGEST_SAMPLES = samples_of(0.2) + 1
"""No partial is shown of an utterance younger than this. See docs/protocol.md, Audio of a partial."""
_AHEAD_SAMPLES = samples_of(0.08)
"""The first partial of an utterance is made so much before it may be shown: about what a busy engine takes for it."""


class Trigger(StrEnum):
    """Why a partial is due; see docs/protocol.md, Syllable boundaries."""

    TIMER = "timer"
    BOUNDARY = "syllable-boundary"
    FOLLOWUP = "syllable-boundary-followup"
    FALLBACK = "syllable-boundary-fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceConfig:
    """The settings that matter here, in samples.

    Attributes:
        pause_samples: From the start of one partial to that of the next; 0 for partials at syllables only.
        boundary_sensitivity: Of the boundary detector, 0 to 1; None where the pause alone rules.
        followup_samples: Distances from a boundary at which further partials are due, ascending.
        min_audio_samples: Recorded audio, counted from where speech began, before the first partial is shown.
        max_audio_samples: Newest audio that a partial hears; 0 for the whole utterance.
    """

    pause_samples: int
    boundary_sensitivity: float | None
    followup_samples: tuple[int, ...]
    min_audio_samples: int
    max_audio_samples: int

    @classmethod
    def of(cls, settings: Settings, *, streamed: bool = False) -> Self:
        """What the settings say; an engine that hears the utterance as it grows hears all of it, chunk by chunk."""
        pause_s = settings.realtime_processing_pause
        syllables = settings.realtime_transcription_use_syllable_boundaries
        least_s = _LEAST_STREAM_PAUSE_S if streamed else _LEAST_PAUSE_S
        return cls(
            pause_samples=samples_of(pause_s if syllables else max(pause_s, least_s)),
            boundary_sensitivity=settings.realtime_boundary_detector_sensitivity if syllables else None,
            followup_samples=tuple(samples_of(delay_s) for delay_s in settings.realtime_boundary_followup_delays),
            min_audio_samples=samples_of(settings.realtime_min_audio_seconds),
            max_audio_samples=0 if streamed else samples_of(settings.realtime_max_audio_seconds),
        )

    @property
    def usual_pause_s(self) -> float:
        """Seconds between two partials while the lane keeps up; 0.0 where syllables say when."""
        return 0.0 if self.boundary_sensitivity is not None else self.pause_samples / SAMPLE_RATE_HZ


class PartialCadence:
    """The rhythm of one utterance.

    Args:
        config: What the settings say.
        start_sample: Where the utterance's audio begins, its pre-roll included.
        trigger_sample: Where the utterance was detected.
        speech_sample: Where the speech began that led to it.

    Attributes:
        shown_from_sample: When so much was heard, partials may be shown.
        kept_from_sample: A partial that hears so much is kept until then; one before it is evidence only.
    """

    def __init__(self, config: CadenceConfig, *, start_sample: int, trigger_sample: int, speech_sample: int) -> None:
        self.config = config
        self._start_sample = start_sample
        least_sample = speech_sample + config.min_audio_samples
        self.shown_from_sample = max(least_sample, trigger_sample + _YOUNGEST_SAMPLES)
        self.kept_from_sample = self.shown_from_sample - _AHEAD_SAMPLES
        self._first_sample = max(trigger_sample, least_sample - _AHEAD_SAMPLES, start_sample + _LEAST_CLIP_SAMPLES)
        self._taken_sample = trigger_sample  # as if a partial had begun there
        self._clip_start = start_sample  # of the last partial
        sensitivity = config.boundary_sensitivity
        self._detector = None if sensitivity is None else BoundaryDetector(sensitivity)
        self._heard_sample = start_sample
        self._boundary = False  # one was found, and no partial taken since
        self._followups: list[int] = []  # positions, ascending

    @property
    def next_sample(self) -> int | None:
        """Position of the next sample to `process`, from the utterance's first on; None where the pause alone rules."""
        return None if self._detector is None else self._heard_sample

    def process(self, samples: NDArray[np.int16]) -> None:
        """Listen for boundaries in the next samples, shape (n,)."""
        if self._detector is None:
            return
        self._heard_sample += samples.size
        for boundary in self._detector.push(samples):
            self._boundary = True
            decided = self._start_sample + boundary.decided_sample
            self._followups = [decided + delay for delay in self.config.followup_samples]

    def due(self, end_sample: int) -> Trigger | None:
        """Why audio up to `end_sample` deserves a partial, or None."""
        pause = self.config.pause_samples
        if end_sample < self._first_sample:
            return None
        if self._boundary:
            return Trigger.BOUNDARY
        if self._followups and self._followups[0] <= end_sample:
            return Trigger.FOLLOWUP
        if pause and end_sample - self._taken_sample >= pause:
            return Trigger.TIMER if self._detector is None else Trigger.FALLBACK
        return None

    def partial_requested(self, end_sample: int) -> None:
        """A partial of the audio up to `end_sample` was asked for: it serves all that was due by then."""
        self._taken_sample = end_sample
        self._boundary = False
        self._followups = [position for position in self._followups if position > end_sample]

    def full_clip_samples(self, end_sample: int) -> int:
        """Samples that a partial of the audio up to `end_sample` hears where nothing else limits it."""
        heard, longest = end_sample - self._start_sample, self.config.max_audio_samples
        return min(heard, longest) if longest else heard

    def clip_start(self, end_sample: int, *, window_samples: int | None = None) -> int:
        """First sample that a partial of the audio up to `end_sample` hears; never one before that of the last partial.

        Args:
            end_sample: Position after its last sample.
            window_samples: Newest audio that a lane with much to do lets it hear; a setting that wants the whole
                utterance stands above that. None for no such limit.
        """
        samples = self.full_clip_samples(end_sample)
        if window_samples is not None and self.config.max_audio_samples:
            samples = min(samples, window_samples)
        self._clip_start = max(self._clip_start, end_sample - samples)
        return self._clip_start
