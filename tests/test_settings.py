"""Each setting as a flag and a variable: its range, and the error for an invalid value."""

from typing import Any

import msgspec
import pytest

from tests.support.declared import (
    PERMISSIVE_VALUES,
    SETTABLE,
    as_held,
    as_text,
    bad_values,
    from_flags,
    good_values,
    no_settings_in_environment,
)
from trio_stt.errors import SettingError
from trio_stt.settings import Declaration, declarations, load_settings, public_settings, runtime_settings
from trio_stt.settings.revision import revise

# RealtimeSTT's settings: name, flags, class (A, N, S), default. Defaults marked * differ.
SHARED = """
host --host S *127.0.0.1
port --port S 8010
tuning_profile --profile,--tuning-profile S custom
tuning_description - S *
model --model S *
realtime_model --realtime-model S *
language --language S en
transcription_engine --engine,--transcription-engine S *sherpa_onnx_moonshine
realtime_transcription_engine --realtime-engine,--realtime-transcription-engine S null
transcription_engine_options --engine-options S null
realtime_transcription_engine_options --realtime-engine-options S null
download_root --download-root S null
compute_type --compute-type S default
device --device S *auto
gpu_device_index --gpu-device-index S 0
beam_size --beam-size S 5
beam_size_realtime --beam-size-realtime S 3
batch_size --batch-size S 16
realtime_batch_size --realtime-batch-size N 16
vad_filter --no-vad-filter N True
normalize_audio --normalize-audio S False
realtime_callback --realtime-callback N update
min_length_of_recording --min-length-of-recording N 0.2
min_gap_between_recordings --min-gap-between-recordings N 0.0
post_speech_silence_duration --post-speech-silence-duration N 0.55
silero_sensitivity --silero-sensitivity N 0.05
webrtc_sensitivity --webrtc-sensitivity N 3
realtime_processing_pause --realtime-processing-pause N 0.02
realtime_transcription_use_syllable_boundaries --realtime-use-syllable-boundaries N False
realtime_boundary_detector_sensitivity --realtime-boundary-detector-sensitivity N 0.6
realtime_boundary_followup_delays --realtime-boundary-followup-delays N (0.05,0.2)
early_transcription_on_silence --early-transcription-on-silence N 0.2
initial_prompt --initial-prompt N null
initial_prompt_realtime --initial-prompt-realtime N null
wakeword_backend --wakeword-backend N
openwakeword_model_paths --openwakeword-model-paths N null
openwakeword_inference_framework --openwakeword-inference-framework N onnx
wake_words --wake-words N
wake_words_sensitivity --wake-words-sensitivity N 0.5
wake_word_activation_delay --wake-word-activation-delay N 0.0
wake_word_timeout --wake-word-timeout N 5.0
wake_word_buffer_duration --wake-word-buffer-duration N 0.1
wake_word_followup_window --wake-word-followup-window N 0.0
use_main_model_for_realtime --use-main-model-for-realtime S False
audio_queue_size --audio-queue-size N 128
max_audio_packet_bytes --max-audio-packet-bytes A 524288
log_level --log-level A INFO
max_sessions --max-sessions A *32
max_active_speakers --max-active-speakers A *32
max_audio_queue_seconds_per_session --max-audio-queue-seconds-per-session N 30.0
pre_recording_buffer_duration --pre-recording-buffer-duration N 0.75
max_realtime_queue_age_ms --max-realtime-queue-age-ms A 1500
max_final_queue_depth_per_session --max-final-queue-depth-per-session A 8
max_global_inference_queue_depth --max-global-inference-queue-depth A 64
realtime_degradation_threshold_ms --realtime-degradation-threshold-ms A 1500
realtime_min_audio_seconds --realtime-min-audio-seconds N 0.25
realtime_max_audio_seconds --realtime-max-audio-seconds N 20.0
vad_energy_threshold --vad-energy-threshold N 250.0
model_warmup --no-model-warmup S True
"""
ROWS = [line.split() for line in SHARED.strip().splitlines()]
ADDED = {
    "processes",
    "wyoming_port",
    "wyoming_host",
    "wyoming_endpointing",
    "wyoming_zeroconf",
    "lane_executor",
    "realtime_lane_executor",
    "lane_workers_max",
    "realtime_lane_workers_max",
    "ray_address",
    "lane_resources",
    "realtime_lane_resources",
    "lane_start_limit_s",
    "engine_load_limit_s",
    "lane_fallback",
    "lane_workers",
    "realtime_lane_workers",
    "job_deadline_s",
    "engine_outage_limit_s",
    "log_format",
    "stall_warning_ms",
    "max_backlog_seconds",
    "stream_stall_timeout_s",
    "idle_timeout_s",
    "keep_sound_tags",
    "endpointing",
    "unfinished_silence_duration",
    "shutdown_grace_s",
    "allowed_hosts",
    "allowed_origins",
    "frame_ancestors",
    "max_connections",
    "resume_grace_s",
    "record",
    "record_max_mb",
    "record_max_age_h",
    "offline",
    "keys_file",
    "keys",
    "certfile",
    "keyfile",
    "trusted_proxies",
    "root_path",
    "max_connections_per_address",
    "max_failed_logins_per_address",
    "max_commands_per_second",
    "max_packets_per_second",
    "max_audio_speed",
    "liveness_timeout_s",
    "dialects",
    "deepgram_min_endpointing_ms",
    "openai_api",
    "max_upload_bytes",
    "max_upload_seconds",
}
CLASSES = {"A": "activeSessionSafe", "N": "newSessionOnly", "S": "startupOnly"}
pytestmark = pytest.mark.usefixtures(no_settings_in_environment.__name__)
by_name = pytest.mark.parametrize("declaration", SETTABLE, ids=lambda declaration: declaration.name)


def permissive_settings(declaration: Declaration) -> dict[str, str]:
    return {name: str(value) for name, value in PERMISSIVE_VALUES.items() if name != declaration.name}


@pytest.mark.contract("3")
def test_all_59_shared_settings_are_declared() -> None:
    assert len(ROWS) == 59
    assert {d.name for d in declarations()} == {row[0] for row in ROWS} | ADDED


@pytest.mark.contract("3")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_flags_class_and_default_of_shared_settings(row: list[str]) -> None:
    name, flags, letter, *default = row
    declaration = next(d for d in declarations() if d.name == name)
    assert declaration.flags == (() if flags == "-" else tuple(flags.split(",")))
    assert name in runtime_settings()[CLASSES[letter]]
    if not default:
        assert declaration.field.default == ""
    elif default[0] == "null":
        assert declaration.field.default is None
    else:
        shown = default[0].removeprefix("*")
        assert str(declaration.field.default).replace(" ", "") == shown or default[0] == "*"


def test_runtime_classes_are_sorted_and_hold_each_setting_once() -> None:
    classes = runtime_settings()
    assert [len([n for n in names if n not in ADDED]) for names in classes.values()] == [8, 30, 21]
    assert all(names == sorted(names) for names in classes.values())
    assert sorted(name for names in classes.values() for name in names) == sorted(d.name for d in declarations())


@pytest.mark.contract("3")
@by_name
def test_each_flag_sets_its_setting(declaration: Declaration) -> None:
    others = [
        part
        for name, value in permissive_settings(declaration).items()
        for part in (f"--{name.replace('_', '-')}", value)
    ]
    if declaration.is_flag_only:
        (flag,) = declaration.flags
        assert getattr(from_flags(flag), declaration.name) is not declaration.field.default
        return
    for flag in declaration.flags:
        for value in good_values(declaration):
            settings = from_flags(f"{flag}={as_text(value)}", *others)
            assert getattr(settings, declaration.name) == as_held(value)


@pytest.mark.contract("3")
@by_name
def test_each_variable_sets_its_setting(declaration: Declaration, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in permissive_settings(declaration).items():
        monkeypatch.setenv(f"TRIO_STT_{name.upper()}", text)
    for value in good_values(declaration):
        if not as_text(value):
            continue  # an empty variable is unset
        monkeypatch.setenv(declaration.env, as_text(value))
        held = getattr(load_settings(), declaration.name)
        assert held == as_held(value)
        assert type(held) is type(as_held(value))


@pytest.mark.contract("3", "11/34")
@by_name
def test_invalid_value_is_rejected_by_flag_and_variable(
    declaration: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {bool: "perhaps", int: "1.5", float: "soon", tuple: "0.1;0.2", dict: "[1]"}.get(declaration.value_type)
    texts = [as_text(value) for value in bad_values(declaration)] + ([wrong] if wrong else [])
    for text in texts:
        if not declaration.is_flag_only:
            with pytest.raises(SettingError) as refusal:
                from_flags(f"{declaration.flags[0]}={text}")
            assert_one_line(refusal.value, declaration.flags[0], text)
        if not text:
            continue  # an empty variable is unset
        monkeypatch.setenv(declaration.env, text)
        with pytest.raises(SettingError) as refusal:
            load_settings()
        assert_one_line(refusal.value, declaration.env, text)


def assert_one_line(error: SettingError, name: str, text: str) -> None:
    message = str(error)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    assert len(message) < 300
    items = {text[:40], *text.split(",")}
    shown = message.lower().replace("'", '"')  # an object is shown as Python writes it
    assert any(item.lower() in shown for item in items)


@by_name
def test_flag_overrides_the_environment(declaration: Declaration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        declaration.env, "not at all" if declaration.is_flag_only else as_text(declaration.field.default)
    )
    if declaration.is_flag_only:
        settings = from_flags(declaration.flags[0])
        assert getattr(settings, declaration.name) is not declaration.field.default
        return
    value = good_values(declaration)[0]
    settings = from_flags(f"{declaration.flags[0]}={as_text(value)}")
    assert getattr(settings, declaration.name) == as_held(value)


@pytest.mark.parametrize("name", ["TRIO_STT_COLOUR", "TRIO_STT_TUNING_DESCRIPTION"])
def test_unknown_variable_is_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "blue")
    with pytest.raises(SettingError, match=f"^{name}: no such setting"):
        load_settings()


@pytest.mark.contract("3")
@pytest.mark.parametrize(
    "text",
    ["[1]", "{", "null", "5", '{"a": 1} x', "[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}"],
    ids=lambda text: text[:8],
)
def test_engine_options_that_are_not_an_object_are_rejected_in_one_line(text: str) -> None:
    with pytest.raises(SettingError) as refusal:
        from_flags("--engine-options", text)
    assert_one_line(refusal.value, "--engine-options", text)


@pytest.mark.parametrize("text", ["0.1,", "a", "0.1,,0.2", "nan", "0.1,inf", "-0.1", "null", "[0.1]"])
def test_invalid_list_of_delays_is_rejected_in_one_line(text: str) -> None:
    with pytest.raises(SettingError) as refusal:
        from_flags(f"--realtime-boundary-followup-delays={text}")
    assert_one_line(refusal.value, "--realtime-boundary-followup-delays", text)


@pytest.mark.parametrize(
    ("text", "delays"), [("", ()), (" ", ()), ("0.3", (0.3,)), ("0.3, 0.1,0.3", (0.1, 0.3)), ("0", (0.0,))]
)
def test_delays_are_sorted_without_duplicates(text: str, delays: tuple[float, ...]) -> None:
    assert from_flags(f"--realtime-boundary-followup-delays={text}").realtime_boundary_followup_delays == delays


@pytest.mark.contract("1.2")
def test_public_settings_leave_out_those_that_may_hold_secrets() -> None:
    shown: dict[str, Any] = public_settings(load_settings({"transcription_engine_options": '{"token": "secret"}'}))
    hidden = {"transcription_engine_options", "realtime_transcription_engine_options"}
    hidden |= {"keys_file", "keys", "certfile", "keyfile", "ray_address", "lane_resources", "realtime_lane_resources"}
    assert set(shown) == ({row[0] for row in ROWS} | ADDED | {"wake_word_enabled"}) - hidden
    assert "secret" not in repr(shown)


def test_variable_that_is_not_utf8_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_STT_MODEL", "\udcff")
    with pytest.raises(SettingError, match=r"^TRIO_STT_MODEL: .* must be text in UTF-8$"):
        load_settings()


@pytest.mark.parametrize("name", ["host", "model", "wyoming_host", "download_root"])
def test_control_characters_are_refused_and_escaped(name: str) -> None:
    with pytest.raises(SettingError, match=r"must be text without control characters$") as caught:
        load_settings({name: "\x1b[31mx"})
    assert str(caught.value).isprintable()
    assert load_settings({"initial_prompt": "Two\r\n\tlines"}).initial_prompt


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("record", "~no-such-user/recordings"),
        ("keys_file", "~no-such-user/keys"),
        ("model", "~no-such-user"),
        ("realtime_model", "~no-such-user/model"),
        ("download_root", "~no-such-user"),
        ("openwakeword_model_paths", "/a.onnx, ~no-such-user/b.onnx"),
    ],
)
def test_tilde_of_an_unknown_user_is_rejected(name: str, value: str) -> None:
    flag = next(declaration.flags[0] for declaration in declarations() if declaration.name == name)
    with pytest.raises(SettingError, match=f"{flag}: '.*' begins with the home folder of a user that does not exist"):
        load_settings({name: value})
    assert load_settings({name: value.replace("~no-such-user", "~")})


def test_tilde_of_an_unknown_user_is_rejected_at_run_time() -> None:
    changes = {"openwakeword_model_paths": msgspec.Raw(b'"~no-such-user/a.onnx"')}
    revision = revise(load_settings(), changes, lambda _: None)
    assert "does not exist" in revision.rejected["openwakeword_model_paths"].message
