"""Settings of wake words."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trio_stt.settings.option import MAX_SECONDS, OptionalText, SettingsGroup, UserPath, canonical_name, new_sessions


class WakeWordSettings(SettingsGroup):
    """Wake words; disabled while no backend is set."""

    group = "wake"

    wakeword_backend: Annotated[str, Field(max_length=64), BeforeValidator(canonical_name), new_sessions()] = ""
    """Wake-word detector, openwakeword or pvporcupine; empty needs no wake word. The flag --wake-words alone chooses
    pvporcupine.
    """
    openwakeword_model_paths: Annotated[OptionalText, UserPath, new_sessions()] = None
    """Model files for openWakeWord, separated by commas; empty uses its own models."""
    openwakeword_inference_framework: Annotated[Literal["onnx"], BeforeValidator(canonical_name), new_sessions()] = (
        "onnx"
    )
    """Runtime of openWakeWord's models; tflite needs a runtime that current Pythons lack."""
    wake_words: Annotated[str, Field(max_length=1024), new_sessions()] = ""
    """Wake words, separated by commas; empty uses all that openWakeWord has."""
    wake_words_sensitivity: Annotated[float, Field(ge=0, le=1), new_sessions()] = 0.5
    """Porcupine's sensitivity, or the score at which openWakeWord detects a word."""
    wake_word_activation_delay: Annotated[float, Field(ge=0, le=MAX_SECONDS), new_sessions()] = 0.0
    """Seconds at the beginning of each wait in which speech needs no wake word."""
    wake_word_timeout: Annotated[float, Field(ge=0.1, le=MAX_SECONDS), new_sessions()] = 5.0
    """Seconds after a wake word in which speech must begin."""
    wake_word_buffer_duration: Annotated[float, Field(ge=0, le=30), new_sessions()] = 0.1
    """Seconds after a detection that still belong to the wake word; 0 does not cut it off."""
    wake_word_followup_window: Annotated[float, Field(ge=0, le=MAX_SECONDS), new_sessions()] = 0.0
    """Seconds after an utterance in which the next needs no wake word; 0 sets none."""
