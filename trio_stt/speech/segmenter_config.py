"""The settings that decide where utterances begin and end, in the units of the segmenter.

It translates and must not decide.
"""

from dataclasses import dataclass
from typing import Self

from trio_stt.dsp import samples_of
from trio_stt.settings import Settings

SILENCE_CONFIRMATION_S = 0.16  # shorter pauses are part of speech (docs/protocol.md, Ending an utterance)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """The settings that matter here, in samples and probabilities.

    Attributes:
        start_probability: Speech starts above it.
        preroll_samples: Audio kept from before the start.
        silence_samples: Silence that ends an utterance, counted from the last speech.
        speculation_samples: Silence, counted from the last speech, after which a final is computed ahead; 0 for never.
        min_length_samples: Age, counted from the trigger, before which silence ends nothing.
        min_gap_samples: Distance of a start from the last end.
        max_length_samples: Length, counted from the trigger, at which an utterance is cut; 0 for never.
    """

    start_probability: float
    preroll_samples: int
    silence_samples: int
    speculation_samples: int
    min_length_samples: int
    min_gap_samples: int
    max_length_samples: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say."""
        silence_s = settings.post_speech_silence_duration
        ahead_s = settings.early_transcription_on_silence
        # It counts from the confirmation (docs/protocol.md, Speculative finals), so that the soft end of a last word,
        # which can stay below the speech threshold for 0.4 s, is in the clip.
        ahead_of_end_s = SILENCE_CONFIRMATION_S + ahead_s
        speculates = ahead_s > 0 and ahead_of_end_s < silence_s
        return cls(
            start_probability=1.0 - settings.silero_sensitivity,
            preroll_samples=samples_of(settings.pre_recording_buffer_duration),
            silence_samples=samples_of(silence_s),
            speculation_samples=samples_of(ahead_of_end_s) if speculates else 0,
            min_length_samples=samples_of(settings.min_length_of_recording),
            min_gap_samples=samples_of(settings.min_gap_between_recordings),
            max_length_samples=samples_of(settings.max_audio_queue_seconds_per_session),
        )
