"""`session.update` in both shapes: what it merges, what it refuses, and what the client reads."""

from typing import Any

import pytest

from trio_stt.api.openai_realtime.session_config import (
    SessionConfig,
    beta_session,
    first_config,
    ga_session,
    updated,
)
from trio_stt.api.openai_realtime.update_fields import InvalidUpdate
from trio_stt.protocol.packets import SampleFormat
from trio_stt.settings import Settings

SETTINGS = Settings()
SERVER_VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 750, "silence_duration_ms": 550}


def ga(**audio_input: object) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": audio_input}}


def after(*sessions: object, model: str = "") -> SessionConfig:
    config = first_config(SETTINGS, model)
    for session in sessions:
        config = updated(config, session, SETTINGS)
    return config


def test_first_session_is_pcm_with_the_detection_of_the_server() -> None:
    session = ga_session(after(), session_id="sess_1", model="tiny", expires_at=9)
    assert session == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "sess_1",
        "expires_at": 9,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "tiny"},
                "noise_reduction": None,
                "turn_detection": SERVER_VAD,
            }
        },
    }


LIVEKIT = ga(
    format={"type": "audio/pcm", "rate": 24_000},
    transcription={"model": "gpt-4o-mini-transcribe", "prompt": "names", "language": "en"},
    turn_detection={"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 600, "silence_duration_ms": 350},
    noise_reduction={"type": "near_field"},
)
FLAT = {
    "input_audio_format": "pcm16",
    "input_audio_transcription": {"model": "gpt-4o-mini-transcribe", "prompt": "names", "language": "en"},
    "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 600, "silence_duration_ms": 350},
    "input_audio_noise_reduction": {"type": "near_field"},
    "modalities": ["text"],
}


@pytest.mark.parametrize("session", [LIVEKIT, FLAT, LIVEKIT | {"type": "realtime", "voice": "none", "tools": []}])
def test_both_shapes_mean_the_same(session: dict[str, Any]) -> None:
    config = after(session)
    assert config.turn_detection == SERVER_VAD | {"prefix_padding_ms": 600, "silence_duration_ms": 350}
    assert (config.languages, config.prompt, config.model) == (("en",), "names", "gpt-4o-mini-transcribe")
    assert config.noise_reduction == {"type": "near_field"}
    session = beta_session(config, session_id="sess_1", model="tiny", expires_at=9)
    assert session["input_audio_format"] == "pcm16"
    assert session["input_audio_transcription"] == {"model": "tiny", "prompt": "names", "language": "en"}


def test_both_shapes_in_one_object_count_and_the_nested_one_comes_first() -> None:
    config = after(
        ga(transcription={"language": "de"}) | FLAT | {"turn_detection": None, "input_audio_format": "g711_ulaw"}
    )
    assert (config.languages, config.prompt) == (("de",), None)
    assert config.is_manual
    assert config.format.coding is SampleFormat.MULAW
    with pytest.raises(InvalidUpdate, match=r"^session\.input_audio_format: must be one of pcm16"):
        after(ga() | {"input_audio_format": "mp3"})


def test_noise_reduction_is_merged() -> None:
    config = after(
        ga(noise_reduction={"type": "far_field", "strength": 0.5}), ga(noise_reduction={"type": "near_field"})
    )
    assert config.noise_reduction == {"type": "near_field", "strength": 0.5}
    assert updated(config, ga(noise_reduction=None), SETTINGS).noise_reduction is None


def test_configuration_of_a_secret_comes_before_the_model_of_the_url() -> None:
    def first(secret: SessionConfig) -> SessionConfig:
        return first_config(SETTINGS, "gpt-live-transcribe", secret)

    assert first(after()).is_manual
    assert not first(after(ga(transcription={"model": "whisper-1"}))).is_manual
    assert not first(after(ga(turn_detection=SERVER_VAD))).is_manual


@pytest.mark.parametrize(
    ("sessions", "turns"),
    [
        ([ga(turn_detection=None)], None),
        ([ga(turn_detection=None), ga()], None),
        ([ga(turn_detection=None), {}], None),
        ([ga(turn_detection=None), ga(turn_detection={"threshold": 0.7})], SERVER_VAD | {"threshold": 0.7}),
        ([ga(turn_detection={"silence_duration_ms": 900}), ga(turn_detection={"threshold": 0.7})],
         SERVER_VAD | {"silence_duration_ms": 900, "threshold": 0.7}),
        ([ga(turn_detection={"threshold": 0.9}), ga(turn_detection={"threshold": None})], SERVER_VAD),
        ([ga(turn_detection={"type": "semantic_vad"})], {"type": "semantic_vad", "eagerness": "auto"}),
        ([ga(turn_detection={"type": "semantic_vad", "eagerness": "low"}), ga(turn_detection={"type": "semantic_vad"})],
         {"type": "semantic_vad", "eagerness": "low"}),
        ([ga(turn_detection={"type": "semantic_vad"}), ga(turn_detection={"type": "server_vad"})], SERVER_VAD),
        ([ga(turn_detection=SERVER_VAD | {"create_response": False, "idle_timeout_ms": 5})], SERVER_VAD),
        ([ga(transcription={"model": "gpt-realtime-whisper-2026"})], None),
        ([ga(transcription={"model": "gpt-live-transcribe"})], None),
        ([ga(transcription={"model": "gpt-live-transcribe"}), ga(transcription={"model": "whisper-1"})], SERVER_VAD),
        ([ga(turn_detection=SERVER_VAD), ga(transcription={"model": "gpt-live-transcribe"})], SERVER_VAD),
    ],
)  # fmt: skip
def test_turn_detection_is_merged(sessions: list[dict[str, Any]], turns: dict[str, Any] | None) -> None:
    assert after(*sessions).turn_detection == turns


def test_model_of_the_url_decides_where_no_turn_detection_is_sent() -> None:
    assert after(model="gpt-realtime-whisper").is_manual
    assert after(ga(transcription={"language": "en"}), model="gpt-live-transcribe").is_manual
    assert not after(ga(turn_detection=SERVER_VAD), model="gpt-live-transcribe").is_manual
    assert not after(model="gpt-4o-transcribe").is_manual


def test_transcription_is_merged_and_null_clears() -> None:
    config = after(
        ga(transcription={"language": "de", "prompt": "one", "keywords": ["two", "three"], "delay": "low"}),
        ga(transcription={"prompt": "four"}),
    )
    assert (config.languages, config.prompt) == (("de",), "four two, three")
    session = ga_session(config, session_id="s", model="tiny", expires_at=1)
    assert session["audio"]["input"]["transcription"] == {
        "model": "tiny", "language": "de", "prompt": "four", "keywords": ["two", "three"], "delay": "low"
    }  # fmt: skip
    assert after(ga(transcription={"languages": ["fr", "de"]})).languages == ("fr", "de")
    assert updated(config, ga(transcription={"language": None}), SETTINGS).languages == ()
    assert updated(config, ga(transcription=None), SETTINGS).prompt is None


@pytest.mark.parametrize(
    ("format_", "coding", "rate_hz"),
    [
        ({"type": "audio/pcm"}, SampleFormat.PCM_S16LE, 24_000),
        ({"type": "audio/pcm", "rate": 16_000}, SampleFormat.PCM_S16LE, 16_000),
        ({"type": "audio/pcmu"}, SampleFormat.MULAW, 8_000),
        ({"type": "audio/pcma", "rate": 24_000}, SampleFormat.ALAW, 8_000),
        (None, SampleFormat.PCM_S16LE, 24_000),
    ],
)
def test_formats(format_: object, coding: SampleFormat, rate_hz: int) -> None:
    config = after(ga(format={"type": "audio/pcmu"}), ga(format=format_))
    assert (config.format.coding, config.format.rate_hz) == (coding, rate_hz)


@pytest.mark.parametrize(
    ("name", "coding"),
    [("pcm16", SampleFormat.PCM_S16LE), ("g711_ulaw", SampleFormat.MULAW), ("g711_alaw", SampleFormat.ALAW)],
)
def test_formats_of_the_beta(name: str, coding: SampleFormat) -> None:
    config = after({"input_audio_format": name})
    assert config.format.coding is coding
    assert beta_session(config, session_id="s", model="m", expires_at=1)["input_audio_format"] == name


def test_detection_becomes_settings() -> None:
    turns = {"type": "server_vad", "threshold": 0.8, "prefix_padding_ms": 300, "silence_duration_ms": 100}
    settings = after(ga(turn_detection=turns)).detection(SETTINGS, has_turn_model=False)
    assert settings.silero_sensitivity == pytest.approx(0.2)
    assert settings.is_set("silero_sensitivity")
    assert settings.pre_recording_buffer_duration == 0.3
    assert settings.post_speech_silence_duration == 0.16
    assert (
        not after(ga(turn_detection=SERVER_VAD)).detection(SETTINGS, has_turn_model=False).is_set("silero_sensitivity")
    )
    assert after(ga(turn_detection=None)).detection(SETTINGS, has_turn_model=False) == SETTINGS


def test_log_probabilities_are_included_on_request() -> None:
    included = {"include": ["item.input_audio_transcription.logprobs", "other"]}
    assert after(included).with_logprobs
    assert not after(included, {"include": None}).with_logprobs
    assert ga_session(after(included), session_id="s", model="m", expires_at=1)["include"] == included["include"][:1]


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (None, "session"),
        ([], "session"),
        ({"audio": 1}, "session.audio"),
        ({"audio": {"input": "x"}}, "session.audio.input"),
        (ga(format="pcm16"), "session.audio.input.format"),
        (ga(format={"type": "audio/mp3"}), "session.audio.input.format.type"),
        (ga(format={"type": ["audio/pcm"]}), "session.audio.input.format.type"),
        (ga(format={"type": "audio/pcm", "rate": 4000}), "session.audio.input.format.rate"),
        (ga(format={"type": "audio/pcm", "rate": True}), "session.audio.input.format.rate"),
        (ga(format={"type": "audio/pcm", "rate": 24_000.0}), "session.audio.input.format.rate"),
        (ga(transcription="whisper-1"), "session.audio.input.transcription"),
        (ga(transcription={"language": 1}), "session.audio.input.transcription.language"),
        (ga(transcription={"prompt": "x" * 10_001}), "session.audio.input.transcription.prompt"),
        (ga(transcription={"keywords": "x"}), "session.audio.input.transcription.keywords"),
        (ga(transcription={"languages": [1]}), "session.audio.input.transcription.languages"),
        (ga(transcription={"keywords": ["x"] * 1001}), "session.audio.input.transcription.keywords"),
        (ga(transcription={"keywords": ["x" * 10_001]}), "session.audio.input.transcription.keywords"),
        (ga(noise_reduction="near_field"), "session.audio.input.noise_reduction"),
        (ga(noise_reduction={"type": ["near_field"]}), "session.audio.input.noise_reduction.type"),
        (ga(noise_reduction={"strength": "1"}), "session.audio.input.noise_reduction.strength"),
        (ga(turn_detection="server_vad"), "session.audio.input.turn_detection"),
        (ga(turn_detection={"type": "other"}), "session.audio.input.turn_detection.type"),
        (ga(turn_detection={"type": ["server_vad"]}), "session.audio.input.turn_detection.type"),
        (ga(turn_detection={"threshold": 1.1}), "session.audio.input.turn_detection.threshold"),
        (ga(turn_detection={"threshold": True}), "session.audio.input.turn_detection.threshold"),
        (ga(turn_detection={"silence_duration_ms": -1}), "session.audio.input.turn_detection.silence_duration_ms"),
        (ga(turn_detection={"prefix_padding_ms": 30_001}), "session.audio.input.turn_detection.prefix_padding_ms"),
        (ga(turn_detection={"type": "semantic_vad", "eagerness": "x"}), "session.audio.input.turn_detection.eagerness"),
        (ga(turn_detection={"type": "semantic_vad", "eagerness": 1}), "session.audio.input.turn_detection.eagerness"),
        ({"include": "x"}, "session.include"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
        ({"input_audio_format": ["pcm16"]}, "session.input_audio_format"),
        ({"input_audio_transcription": {"language": 1}}, "session.input_audio_transcription.language"),
        ({"turn_detection": {"threshold": "x"}}, "session.turn_detection.threshold"),
    ],
)
def test_invalid_value_names_its_field(session: object, param: str) -> None:
    with pytest.raises(InvalidUpdate) as caught:
        after(session)
    assert caught.value.param == param
    assert str(caught.value).startswith(f"{param}: must be")
