"""Settings of utterances and their partials."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from trio_stt.settings.option import MAX_SECONDS, SettingsGroup, new_sessions, parse_numbers

_Delays = Annotated[
    tuple[Annotated[float, Field(ge=0, le=60)], ...],
    Field(max_length=16),
    NoDecode,
    BeforeValidator(parse_numbers),
    AfterValidator(lambda delays: tuple(sorted(set(delays)))),
]


class SpeechSettings(SettingsGroup):
    """Start and end of utterances, and their partials."""

    group = "speech"

    vad_energy_threshold: Annotated[
        float,
        Field(
            ge=0,
            le=32_768,
            description="RMS of a window, in 16-bit units, above which it always passes the energy gate.",
        ),
        new_sessions("--vad-energy-threshold"),
    ] = 250.0
    webrtc_sensitivity: Annotated[
        int,
        Field(ge=0, le=3, description="Mode of the WebRTC detector; 3 rejects most."),
        new_sessions("--webrtc-sensitivity"),
    ] = 3
    silero_sensitivity: Annotated[
        float,
        Field(ge=0, le=1, description="Speech starts when Silero's probability exceeds 1 minus this."),
        new_sessions("--silero-sensitivity"),
    ] = 0.05
    pre_recording_buffer_duration: Annotated[
        float,
        Field(ge=0, le=30, description="Seconds of audio kept from before the detected start."),
        new_sessions("--pre-recording-buffer-duration"),
    ] = 0.75
    post_speech_silence_duration: Annotated[
        float,
        Field(ge=0.16, le=60, description="Seconds without speech that end an utterance."),
        new_sessions("--post-speech-silence-duration"),
    ] = 0.55
    early_transcription_on_silence: Annotated[
        float,
        Field(
            ge=0,
            le=60,
            description="Seconds of confirmed silence after which the final is computed ahead; 0 never does.",
        ),
        new_sessions("--early-transcription-on-silence"),
    ] = 0.2
    min_length_of_recording: Annotated[
        float,
        Field(ge=0, le=60, description="Age of an utterance, in seconds, before which silence does not end it."),
        new_sessions("--min-length-of-recording"),
    ] = 0.2
    min_gap_between_recordings: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds after an utterance in which none starts."),
        new_sessions("--min-gap-between-recordings"),
    ] = 0.0
    max_audio_queue_seconds_per_session: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds after which an utterance is cut; 0 never cuts. Moonshine fails beyond a minute.",
        ),
        new_sessions("--max-audio-queue-seconds-per-session"),
    ] = 30.0

    realtime_processing_pause: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds of audio between the starts of two partials of an utterance."),
        new_sessions("--realtime-processing-pause"),
    ] = 0.02
    realtime_min_audio_seconds: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds of speech before the first partial is shown."),
        new_sessions("--realtime-min-audio-seconds"),
    ] = 0.25
    realtime_max_audio_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=60,  # joining the texts of windows costs the square of their words
            description="Newest seconds of audio that a partial covers; 0 covers the whole utterance.",
        ),
        new_sessions("--realtime-max-audio-seconds"),
    ] = 20.0
    realtime_transcription_use_syllable_boundaries: Annotated[
        bool,
        Field(description="Make partials at the ends of syllables; the pause between partials is a fallback."),
        new_sessions("--realtime-use-syllable-boundaries"),
    ] = False
    realtime_boundary_detector_sensitivity: Annotated[
        float,
        Field(ge=0, le=1, description="How readily the end of a syllable is detected."),
        new_sessions("--realtime-boundary-detector-sensitivity"),
    ] = 0.6
    realtime_boundary_followup_delays: Annotated[
        _Delays,
        Field(
            description="Seconds after the end of a syllable at which further partials are made, separated by commas.",
        ),
        new_sessions("--realtime-boundary-followup-delays"),
    ] = (0.05, 0.2)
    realtime_callback: Annotated[
        Literal["update", "stabilized"],
        Field(description="What `text` of a partial carries: the raw hypothesis, or the stable text with the rest."),
        new_sessions("--realtime-callback"),
    ] = "update"
