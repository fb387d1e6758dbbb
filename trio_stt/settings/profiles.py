"""Tuning profiles: sets of defaults for one purpose. See docs/settings.md, Profiles.

Values of a profile override the defaults; an explicit flag or variable overrides the profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["custom", "parakeet-low-latency", "parakeet-balanced", "parakeet-accurate-final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile.

    Attributes:
        description: One sentence for people; the public `tuning_description`.
        values: Settings by name.
    """

    description: str
    values: Mapping[str, float]


PROFILES: Mapping[str, Profile] = {
    "custom": Profile(description="The default of each setting.", values={}),
    "parakeet-low-latency": Profile(
        description="Lowest latency: single clips, short silences.",
        values={
            "batch_size": 1,
            "realtime_batch_size": 1,
            "realtime_processing_pause": 0.04,
            "min_length_of_recording": 0.18,
            "post_speech_silence_duration": 0.45,
            "early_transcription_on_silence": 0.15,
        },
    ),
    "parakeet-balanced": Profile(
        description="Several speakers on one GPU: small batches, fewer partials.",
        values={
            "batch_size": 8,
            "realtime_batch_size": 4,
            "realtime_processing_pause": 0.06,
            "min_length_of_recording": 0.2,
            "post_speech_silence_duration": 0.55,
            "early_transcription_on_silence": 0.2,
        },
    ),
    "parakeet-accurate-final": Profile(
        description="Best finals: whole sentences, few partials, large batches.",
        values={
            "batch_size": 16,
            "realtime_batch_size": 8,
            "realtime_processing_pause": 0.1,
            "min_length_of_recording": 0.3,
            "post_speech_silence_duration": 0.7,
            "early_transcription_on_silence": 0.35,
        },
    ),
}


def canonical_profile(value: object) -> object:
    """A profile name in lower case with hyphens; other values unchanged."""
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value
