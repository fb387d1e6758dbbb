"""Settings of the segmenter, converted to samples and probabilities."""

from dataclasses import dataclass
from typing import Self

from trio_stt.dsp import samples_of
from trio_stt.settings import Settings
from trio_stt.speech.endpointing import EARLIEST_END_S, QUESTION_S, TurnState

SILENCE_CONFIRMATION_S = 0.16  # shorter pauses are part of speech (docs/protocol.md, Ending an utterance)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """Settings of the segmenter.

    Attributes:
        start_probability: Probability of speech above which one window starts an utterance, 0 to 1.
        confirms_by_evidence: Whether several less probable windows start one, too.
        preroll_samples: Audio from before the start that belongs to the utterance.
        silence_samples: Silence since the last speech that ends an utterance.
        speculation_samples: Silence since the last speech after which a speculative final is due; 0 for never.
        min_length_samples: Age since the trigger before which silence ends no utterance.
        min_gap_samples: Minimal distance of a start from the last end.
        max_length_samples: Length since the trigger at which an utterance is cut; 0 for never.
        question_samples: Silence since the last speech after which it is asked whether the talker is done; 0 for never.
        finished_samples: Silence that ends an utterance whose talker is done, at most `silence_samples`.
        unfinished_samples: Silence that ends an utterance whose talker is not done, at least `silence_samples`.
        resumes: Whether an utterance whose talker is done is announced before it ends, and may still go on.
    """

    start_probability: float
    confirms_by_evidence: bool
    preroll_samples: int
    silence_samples: int
    speculation_samples: int
    min_length_samples: int
    min_gap_samples: int
    max_length_samples: int
    question_samples: int
    finished_samples: int
    unfinished_samples: int
    resumes: bool

    def silence_samples_of(self, turn_state: TurnState | None) -> int:
        """Silence since the last speech that ends an utterance, after this answer to the question."""
        match turn_state:
            case TurnState.FINISHED:
                return self.finished_samples
            case TurnState.UNFINISHED:
                return self.unfinished_samples
            case TurnState.DOUBTFUL:
                return (self.silence_samples + self.unfinished_samples) // 2
            case _:
                return self.silence_samples

    @classmethod
    def from_settings(cls, settings: Settings, *, resumes: bool = True) -> Self:
        """Read the settings; `resumes` is no setting: it is what the client understands."""
        silence_s = settings.post_speech_silence_duration
        # Without a way back, half of the silence: an end in the middle of a turn cannot be corrected.
        finished_s = silence_s if resumes else min(silence_s, max(EARLIEST_END_S, silence_s / 2))
        early_s = settings.early_transcription_on_silence
        # Counted from the confirmation of the silence (docs/protocol.md, Speculative finals), so that the clip contains
        # the soft end of a last word, which can stay below the speech threshold for 0.4 s.
        speculation_s = SILENCE_CONFIRMATION_S + early_s
        speculates = early_s > 0 and speculation_s < silence_s
        asks = settings.endpointing == "adaptive" and silence_s > QUESTION_S
        return cls(
            start_probability=1.0 - settings.silero_sensitivity,
            # A sensitivity that was set means what it means in the reference server: one threshold.
            confirms_by_evidence=not settings.is_set("silero_sensitivity"),
            preroll_samples=samples_of(settings.pre_recording_buffer_duration),
            silence_samples=samples_of(silence_s),
            speculation_samples=samples_of(speculation_s) if speculates else 0,
            min_length_samples=samples_of(settings.min_length_of_recording),
            min_gap_samples=samples_of(settings.min_gap_between_recordings),
            max_length_samples=samples_of(settings.max_audio_queue_seconds_per_session),
            question_samples=samples_of(QUESTION_S) if asks else 0,
            finished_samples=samples_of(finished_s),
            unfinished_samples=samples_of(max(silence_s, settings.unfinished_silence_duration)),
            resumes=resumes,
        )
