"""The configuration of an OpenAI Realtime session: `session.update` is merged into it, and it is sent to the client.

GA clients send and read nested objects, Beta clients flat ones; both become one form here. Keys that are not known are
passed over, because most clients end on any error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trio_stt.api.openai_realtime.turn_detection import merged_turns, server_vad, turn_settings
from trio_stt.api.openai_realtime.update_fields import InvalidUpdate, Json, checked_object, checked_text, checked_texts
from trio_stt.protocol.packets import SampleFormat
from trio_stt.settings import Settings

DEFAULT_RATE_HZ = 24_000
_G711_RATE_HZ = 8_000
_MIN_RATE_HZ, _MAX_RATE_HZ = 8_000, 48_000
_MODELS_WITHOUT_TURNS = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Models whose sessions have no turn detection unless the client asks for one."""
_LOGPROBS = "item.input_audio_transcription.logprobs"
_BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_BETA_KEYS = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}
"""Names of the Beta, and those of GA for the same."""
_FORMATS = {
    "audio/pcm": SampleFormat.PCM_S16LE,
    "audio/pcmu": SampleFormat.MULAW,
    "audio/pcma": SampleFormat.ALAW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How the client codes its audio; always mono."""

    coding: SampleFormat = SampleFormat.PCM_S16LE
    rate_hz: int = DEFAULT_RATE_HZ

    @property
    def as_json(self) -> Json:
        """As GA clients read it."""
        kind = next(name for name, coding in _FORMATS.items() if coding is self.coding)
        return {"type": kind, "rate": self.rate_hz} if self.coding is SampleFormat.PCM_S16LE else {"type": kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """The configuration in force.

    Attributes:
        model: As the client named it last.
        format: Of the audio.
        transcription: What the client chose besides the model, such as `language` and `prompt`.
        turn_detection: As it is sent; None while the client ends its turns by commits.
        has_chosen_turns: Whether the client sent `turn_detection`; otherwise it follows from the model.
        noise_reduction: As sent; it has no effect.
        with_logprobs: Whether `completed` has log probabilities, where the engine gives confidences.
    """

    model: str = ""
    format: AudioFormat = AudioFormat()
    transcription: Json = field(default_factory=dict)
    turn_detection: Json | None = None
    has_chosen_turns: bool = False
    noise_reduction: Json | None = None
    with_logprobs: bool = False

    @property
    def is_manual(self) -> bool:
        """Whether turns end by commits only."""
        return self.turn_detection is None

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the client chose, in order of preference."""
        chosen = self.transcription
        return tuple(name for name in (chosen.get("language"), *(chosen.get("languages") or ())) if name)

    @property
    def prompt(self) -> str | None:
        """The prompt that the client chose, with its keywords."""
        keywords = ", ".join(self.transcription.get("keywords") or ())
        return " ".join(filter(None, (self.transcription.get("prompt"), keywords))) or None

    def detection(self, settings: Settings, *, has_turn_model: bool) -> Settings:
        """The settings in force, with the client's choices for the detection of speech; see `turn_settings`."""
        return turn_settings(self.turn_detection, settings, has_turn_model=has_turn_model)


def first_config(settings: Settings, model: str, secret: SessionConfig | None = None) -> SessionConfig:
    """The configuration of a client that has sent none.

    Args:
        settings: In force.
        model: That the URL names.
        secret: The configuration of the client's secret; a model that it names comes before that of the URL.
    """
    config = secret or SessionConfig()
    config = replace(config, model=config.model or model)
    return config if config.has_chosen_turns else _with_turns(config, settings)


def is_ga(session: object) -> bool:
    """Whether a session object has the form of GA; one without input settings has neither form."""
    return isinstance(session, dict) and "audio" in session


def is_beta(session: object) -> bool:
    """Whether a session object has the form of the Beta."""
    return isinstance(session, dict) and not is_ga(session) and any(key in session for key in _BETA_KEYS)


def updated(config: SessionConfig, session: object, settings: Settings) -> SessionConfig:
    """The configuration after an update: absent keys stay, null takes the default again.

    Args:
        config: Before it.
        session: The object `session` of the update, of GA or Beta.
        settings: In force, for what is not sent.

    Raises:
        InvalidUpdate: A value has another type or range; nothing is applied.
    """
    given = checked_object(session, "session")
    audio_input, params = _audio_input(given)
    if "format" in audio_input:
        config = replace(config, format=_format(audio_input["format"], params["format"]))
    if "transcription" in audio_input:
        config = _with_transcription(config, audio_input["transcription"], params["transcription"])
    if "noise_reduction" in audio_input:
        reduction = _noise_reduction(config.noise_reduction, audio_input["noise_reduction"], params["noise_reduction"])
        config = replace(config, noise_reduction=reduction)
    if "include" in given:
        config = replace(config, with_logprobs=_LOGPROBS in checked_texts(given["include"], "session.include"))
    if "turn_detection" in audio_input:
        turns = merged_turns(config.turn_detection, audio_input["turn_detection"], settings, params["turn_detection"])
        return replace(config, turn_detection=turns, has_chosen_turns=True)
    return config if config.has_chosen_turns else _with_turns(config, settings)


def ga_session(config: SessionConfig, *, session_id: str, model: str, expires_at: int) -> Json:
    """The session object of GA.

    Args:
        config: In force.
        session_id: Of this session.
        model: The one that really transcribes.
        expires_at: In seconds since the epoch.
    """
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": session_id,
        "expires_at": expires_at,
        "include": [_LOGPROBS] if config.with_logprobs else None,
        "audio": {
            "input": {
                "format": config.format.as_json,
                "transcription": {"model": model, **config.transcription},
                "noise_reduction": config.noise_reduction,
                "turn_detection": config.turn_detection,
            }
        },
    }


def beta_session(config: SessionConfig, *, session_id: str, model: str, expires_at: int) -> Json:
    """The session object of the Beta; arguments as of `ga_session`."""
    kind = config.format.as_json["type"]
    return {
        "id": session_id,
        "object": "realtime.transcription_session",
        "expires_at": expires_at,
        "input_audio_format": next(name for name, ga_name in _BETA_FORMATS.items() if ga_name == kind),
        "input_audio_transcription": {"model": model, **config.transcription},
        "input_audio_noise_reduction": config.noise_reduction,
        "turn_detection": config.turn_detection,
        "include": [_LOGPROBS] if config.with_logprobs else None,
        "client_secret": None,
    }


def _audio_input(session: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The input settings by GA's names, and their names in the client's form.

    A client that has both forms in one object means both: what is nested comes first.
    """
    audio = checked_object(_or_empty(session.get("audio")), "session.audio")
    nested = checked_object(_or_empty(audio.get("input")), "session.audio.input")
    params = {key: f"session.audio.input.{key}" for key in _BETA_KEYS.values()}
    flat = {}
    for beta_key, key in _BETA_KEYS.items():
        if beta_key in session and key not in nested:
            params[key] = f"session.{beta_key}"
            flat[key] = session[beta_key] if key != "format" else _beta_format(session[beta_key], params[key])
    return {**nested, **flat}, params


def _beta_format(name: object, param: str) -> Json | None:
    """The format with this name of the Beta, as GA has it."""
    if name is None:
        return None
    if not isinstance(name, str) or name not in _BETA_FORMATS:
        raise InvalidUpdate(param, f"must be one of {', '.join(_BETA_FORMATS)}")
    return {"type": _BETA_FORMATS[name]}


def _format(value: object, param: str) -> AudioFormat:
    if value is None:
        return AudioFormat()
    given = checked_object(value, param)
    kind = given.get("type", "audio/pcm")
    coding = _FORMATS.get(kind) if isinstance(kind, str) else None
    if coding is None:
        raise InvalidUpdate(f"{param}.type", f"must be one of {', '.join(_FORMATS)}")
    if coding is not SampleFormat.PCM_S16LE:
        return AudioFormat(coding=coding, rate_hz=_G711_RATE_HZ)
    rate_hz = given.get("rate", DEFAULT_RATE_HZ)
    if not isinstance(rate_hz, int) or isinstance(rate_hz, bool) or not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise InvalidUpdate(f"{param}.rate", f"must be an integer from {_MIN_RATE_HZ} to {_MAX_RATE_HZ}")
    return AudioFormat(rate_hz=rate_hz)


def _noise_reduction(before: Json | None, value: object, param: str) -> Json | None:
    if value is None:
        return None
    given, merged = checked_object(value, param), dict(before or {})
    if "type" in given:
        merged["type"] = checked_text(given["type"], f"{param}.type")
    if "strength" in given:
        merged["strength"] = strength = given["strength"]
        if isinstance(strength, bool) or not isinstance(strength, int | float | None):
            raise InvalidUpdate(f"{param}.strength", "must be a number")
    return {key: each for key, each in merged.items() if each is not None}


def _or_empty(value: object) -> object:
    return {} if value is None else value


def _with_transcription(config: SessionConfig, value: object, param: str) -> SessionConfig:
    if value is None:
        return replace(config, transcription={})
    given, chosen, model = checked_object(value, param), dict(config.transcription), config.model
    for key in ("model", "language", "prompt", "delay"):
        if key in given:
            chosen[key] = checked_text(given[key], f"{param}.{key}")
    for key in ("languages", "keywords"):
        if key in given:
            chosen[key] = checked_texts(given[key], f"{param}.{key}") or None
    if "model" in chosen:
        model = chosen.pop("model") or ""
    return replace(config, model=model, transcription={key: each for key, each in chosen.items() if each is not None})


def _with_turns(config: SessionConfig, settings: Settings) -> SessionConfig:
    """The configuration with the turn detection that its model has by default."""
    manual = config.model.startswith(_MODELS_WITHOUT_TURNS)
    return replace(config, turn_detection=None if manual else server_vad(settings))
