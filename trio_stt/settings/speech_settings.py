"""Settings of utterances and their partials."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, SettingsGroup, new_sessions, parse_numbers

_Delays = Annotated[
    tuple[Annotated[float, Field(ge=0, le=60)], ...],
    Field(max_length=16),
    BeforeValidator(parse_numbers),
    AfterValidator(lambda delays: tuple(sorted(set(delays)))),
]


Endpointing = Literal["fixed", "adaptive"]


class SpeechSettings(SettingsGroup):
    """Start and end of utterances, and their partials."""

    group = "speech"

    vad_energy_threshold: Annotated[float, Field(ge=0, le=32_768), new_sessions()] = 250.0
    """If set: RMS of a window, in 16-bit units, above which it always passes the energy gate."""
    webrtc_sensitivity: Annotated[int, Field(ge=0, le=3), new_sessions()] = 3
    """If set: speech starts only with the consent of the WebRTC detector in this mode; 3 rejects most."""
    silero_sensitivity: Annotated[float, Field(ge=0, le=1), new_sessions()] = 0.05
    """Speech starts when Silero's probability exceeds 1 minus this; unless set, several windows may agree, too."""
    pre_recording_buffer_duration: Annotated[float, Field(ge=0, le=30), new_sessions()] = 0.75
    """Seconds of audio kept from before the detected start."""
    post_speech_silence_duration: Annotated[float, Field(ge=0.16, le=60), new_sessions()] = 0.55
    """Seconds without speech that end an utterance."""
    endpointing: Annotated[Endpointing, new_sessions()] = "fixed"
    """What ends an utterance: enough silence alone (fixed), or also whether the talker seems to be done (adaptive)."""
    unfinished_silence_duration: Annotated[float, Field(ge=0, le=60), new_sessions()] = 1.2
    """Seconds without speech that end an utterance in the middle of a sentence, with adaptive endpointing."""
    early_transcription_on_silence: Annotated[float, Field(ge=0, le=60), new_sessions()] = 0.2
    """Seconds of confirmed silence after which the final is computed ahead; 0 never does."""
    min_length_of_recording: Annotated[float, Field(ge=0, le=60), new_sessions()] = 0.2
    """Age of an utterance, in seconds, before which silence does not end it."""
    min_gap_between_recordings: Annotated[float, Field(ge=0, le=60), new_sessions()] = 0.0
    """Seconds after an utterance in which none starts."""
    max_audio_queue_seconds_per_session: Annotated[float, Field(ge=0, le=MAX_SECONDS), new_sessions()] = 30.0
    """Seconds after which an utterance is cut; 0 never cuts. Moonshine fails beyond a minute."""
    realtime_processing_pause: Annotated[float, Field(ge=0, le=60), new_sessions()] = 0.02
    """Seconds of audio between the starts of two partials of an utterance."""
    realtime_min_audio_seconds: Annotated[float, Field(ge=0, le=60), new_sessions()] = 0.25
    """Seconds of speech before the first partial is shown."""
    # At most 60: the cost of joining the texts of windows grows with the square of their words.
    realtime_max_audio_seconds: Annotated[float, Field(ge=0, le=60), new_sessions()] = 20.0
    """Newest seconds of audio that a partial covers; 0 covers the whole utterance."""
    realtime_transcription_use_syllable_boundaries: Annotated[
        bool, new_sessions("--realtime-use-syllable-boundaries")
    ] = False
    """Make partials at the ends of syllables; the pause between partials is a fallback."""
    realtime_boundary_detector_sensitivity: Annotated[float, Field(ge=0, le=1), new_sessions()] = 0.6
    """How readily the end of a syllable is detected."""
    realtime_boundary_followup_delays: Annotated[_Delays, new_sessions()] = (0.05, 0.2)
    """Seconds after the end of a syllable at which further partials are made, separated by commas."""
    keep_sound_tags: Annotated[bool, new_sessions()] = False
    """Keep what engines write for sounds that are no words, such as [Music] or (applause)."""
    realtime_callback: Annotated[Literal["update", "stabilized"], new_sessions()] = "update"
    """What `text` of a partial carries: the raw hypothesis, or the stable text with the rest."""
