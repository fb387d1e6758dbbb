"""The settings of wake words."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, OptionalText, SettingsGroup, new_sessions, spelled


class WakeWordSettings(SettingsGroup):
    """Wake words; they are off while no backend is named."""

    wakeword_backend: Annotated[
        str,
        Field(
            max_length=64,
            description="What listens for wake words, openwakeword or pvporcupine; empty waits for none. "
            "The flag --wake-words alone takes pvporcupine.",
        ),
        BeforeValidator(spelled),
        new_sessions("--wakeword-backend"),
    ] = ""
    openwakeword_model_paths: Annotated[
        OptionalText,
        Field(
            description="Model files for openWakeWord, separated by commas; empty takes its own models.",
        ),
        new_sessions("--openwakeword-model-paths"),
    ] = None
    openwakeword_inference_framework: Annotated[
        Literal["onnx"],
        BeforeValidator(spelled),
        Field(description="What runs openWakeWord's models; tflite needs a runtime that current Pythons do not have."),
        new_sessions("--openwakeword-inference-framework"),
    ] = "onnx"
    wake_words: Annotated[
        str,
        Field(
            max_length=1024,
            description="Words to wait for, separated by commas; empty takes all that openWakeWord has.",
        ),
        new_sessions("--wake-words"),
    ] = ""
    wake_words_sensitivity: Annotated[
        float,
        Field(
            ge=0, le=1, description="Porcupine's sensitivity, or the score from which openWakeWord has heard a word."
        ),
        new_sessions("--wake-words-sensitivity"),
    ] = 0.5
    wake_word_activation_delay: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds of waiting in which speech is taken without a wake word at first.",
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
            description="Seconds after a detection that still belong to the wake word itself; 0 does not cut it off.",
        ),
        new_sessions("--wake-word-buffer-duration"),
    ] = 0.1
    wake_word_followup_window: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_SECONDS,
            description="Seconds after an utterance in which another needs no wake word; 0 is none.",
        ),
        new_sessions("--wake-word-followup-window"),
    ] = 0.0
