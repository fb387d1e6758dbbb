"""Settings of wake words."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, OptionalText, SettingsGroup, canonical_name, new_sessions


class WakeWordSettings(SettingsGroup):
    """Wake words; disabled while no backend is set."""

    group = "wake"

    wakeword_backend: Annotated[
        str,
        Field(
            max_length=64,
            description="Wake-word detector, openwakeword or pvporcupine; empty needs no wake word. The "
            "flag --wake-words alone chooses pvporcupine.",
        ),
        BeforeValidator(canonical_name),
        new_sessions("--wakeword-backend"),
    ] = ""
    openwakeword_model_paths: Annotated[
        OptionalText,
        Field(
            description="Model files for openWakeWord, separated by commas; empty uses its own models.",
        ),
        new_sessions("--openwakeword-model-paths"),
    ] = None
    openwakeword_inference_framework: Annotated[
        Literal["onnx"],
        BeforeValidator(canonical_name),
        Field(description="Runtime of openWakeWord's models; tflite needs a runtime that current Pythons lack."),
        new_sessions("--openwakeword-inference-framework"),
    ] = "onnx"
    wake_words: Annotated[
        str,
        Field(
            max_length=1024,
            description="Wake words, separated by commas; empty uses all that openWakeWord has.",
        ),
        new_sessions("--wake-words"),
    ] = ""
    wake_words_sensitivity: Annotated[
        float,
        Field(ge=0, le=1, description="Porcupine's sensitivity, or the score at which openWakeWord detects a word."),
        new_sessions("--wake-words-sensitivity"),
    ] = 0.5
    wake_word_activation_delay: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds at the beginning of each wait in which speech needs no wake word.",
        ),
        new_sessions("--wake-word-activation-delay"),
    ] = 0.0
    wake_word_timeout: Annotated[
        float,
        Field(ge=0.1, le=MAX_SECONDS, description="Seconds after a wake word in which speech must begin."),
        new_sessions("--wake-word-timeout"),
    ] = 5.0
    wake_word_buffer_duration: Annotated[
        float,
        Field(
            ge=0,
            le=30,
            description="Seconds after a detection that still belong to the wake word; 0 does not cut it off.",
        ),
        new_sessions("--wake-word-buffer-duration"),
    ] = 0.1
    wake_word_followup_window: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds after an utterance in which the next needs no wake word; 0 sets none.",
        ),
        new_sessions("--wake-word-followup-window"),
    ] = 0.0
