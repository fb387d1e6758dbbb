"""What ends the turns of an OpenAI Realtime client: `server_vad`, `semantic_vad`, or nothing but commits.

`semantic_vad` judges a pause by its text and, with the turn model, by its sound.
Without the model, silence ends a turn.
"""

import math
from dataclasses import dataclass

from trio_stt.api.openai_realtime.update_fields import InvalidUpdate, Json, checked_object
from trio_stt.settings import Settings


@dataclass(frozen=True, slots=True)
class _Eagerness:
    """Silence that ends a turn of `semantic_vad`, in seconds.

    Attributes:
        silence_s: If nothing says whether the talker is done, or without a turn model. A finished turn ends after half.
        unfinished_s: If the talker is not done.
    """

    silence_s: float
    unfinished_s: float


_EAGERNESS = {
    "low": _Eagerness(1.5, 4.0),
    "medium": _Eagerness(0.8, 2.0),
    "auto": _Eagerness(0.8, 2.0),
    "high": _Eagerness(0.5, 1.0),
}
"""OpenAI waits for 8, 4 and 2 s at most; half of that, because unfinished turns are most often finished ones here."""
_DEFAULT_THRESHOLD = 0.5
"""OpenAI's default, which clients send without a wish of their own: it means this server's own detection."""
_MIN_SILENCE_S = 0.16
"""Least silence that ends an utterance, in seconds; that of the setting `post_speech_silence_duration`."""
_HIGHEST = {"threshold": 1.0, "prefix_padding_ms": 30_000, "silence_duration_ms": 60_000}
"""Highest values of `server_vad`: those of the settings behind them. The least is 0."""


def server_vad(settings: Settings) -> Json:
    """The detection by silence that the server's settings mean."""
    return {
        "type": "server_vad",
        "threshold": _DEFAULT_THRESHOLD,
        "prefix_padding_ms": round(settings.pre_recording_buffer_duration * 1000),
        "silence_duration_ms": round(settings.post_speech_silence_duration * 1000),
    }


def merged_turns(turns: Json | None, value: object, settings: Settings, param: str) -> Json | None:
    """The turn detection after an update.

    Args:
        turns: Before it.
        value: Of the update; None for no detection.
        settings: In force.
        param: The name of the field, for errors.

    Raises:
        InvalidUpdate: A value is invalid.
    """
    if value is None:
        return None
    given, default = checked_object(value, param), server_vad(settings)
    before = turns or default
    kind = given.get("type", before["type"])
    if kind == "semantic_vad":
        eagerness = given.get("eagerness", before.get("eagerness")) or "auto"
        if not isinstance(eagerness, str) or eagerness not in _EAGERNESS:
            raise InvalidUpdate(f"{param}.eagerness", f"must be one of {', '.join(_EAGERNESS)}")
        return {"type": kind, "eagerness": eagerness}
    if kind != "server_vad":
        raise InvalidUpdate(f"{param}.type", "must be server_vad or semantic_vad")
    merged = dict(before) if before["type"] == kind else default
    for key, highest in _HIGHEST.items():
        if key in given:
            number = default[key] if given[key] is None else given[key]
            if not isinstance(number, int | float) or isinstance(number, bool) or not 0 <= number <= highest:
                raise InvalidUpdate(f"{param}.{key}", f"must be a number from 0 to {highest:g}")
            merged[key] = number
    return merged


def turn_settings(turns: Json | None, settings: Settings, *, has_turn_model: bool) -> Settings:
    """The settings in force, with a turn detection.

    Args:
        turns: The detection; None leaves the settings as they are.
        settings: In force.
        has_turn_model: Whether a model judges by the sound if a turn is over.
    """
    if turns is None:
        return settings
    changes: dict[str, object]
    if turns["type"] == "semantic_vad":
        eagerness = _EAGERNESS[turns["eagerness"]]
        changes = {
            "post_speech_silence_duration": eagerness.silence_s,
            "unfinished_silence_duration": eagerness.unfinished_s,
            "endpointing": "adaptive" if has_turn_model else "fixed",
        }
    else:
        changes = {
            "post_speech_silence_duration": max(_MIN_SILENCE_S, turns["silence_duration_ms"] / 1000),
            "pre_recording_buffer_duration": turns["prefix_padding_ms"] / 1000,
        }
        if not math.isclose(turns["threshold"], _DEFAULT_THRESHOLD):
            changes["silero_sensitivity"] = 1.0 - turns["threshold"]
    return settings.model_copy(update=changes)
