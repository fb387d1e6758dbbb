"""Names of the settings for people, with their units, as the page shows them.

A setting without one is called by its own name. The help of a setting is its docstring, see `SettingsGroup`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Label(NamedTuple):
    """The name of a setting for people, and the unit of its value; empty without one."""

    text: str
    unit: str = ""


_S, _MS, _BYTES = "s", "ms", "bytes"

_LABELS: Mapping[str, Label] = {
    "host": Label("Address"),
    "processes": Label("Server processes"),
    "tuning_profile": Label("Profile"),
    "tuning_description": Label("Description of the profile"),
    "log_level": Label("Log level"),
    "log_format": Label("Log format"),
    "stall_warning_ms": Label("Log tasks that block for", _MS),
    "max_sessions": Label("Most sessions"),
    "max_active_speakers": Label("Most people who talk at once"),
    "max_audio_packet_bytes": Label("Largest audio packet", _BYTES),
    "audio_queue_size": Label("Audio that may wait", "32 ms"),
    "max_backlog_seconds": Label("Speech that may wait for finals", _S),
    "stream_stall_timeout_s": Label("Utterance ends without audio after", _S),
    "shutdown_grace_s": Label("Shutdown waits for finals", _S),
    "resume_grace_s": Label("Sessions are kept after a lost connection", _S),
    "record": Label("Folder for recordings"),
    "record_max_mb": Label("Most space for recordings", "MB"),
    "record_max_age_h": Label("Recordings are kept", "h"),
    "idle_timeout_s": Label("Silent clients are closed after", _S),
    "allowed_hosts": Label("Other names of this server"),
    "allowed_origins": Label("Other pages that may use the server"),
    "frame_ancestors": Label("Pages that may frame this page"),
    "trusted_proxies": Label("Trusted proxies"),
    "root_path": Label("Path behind the proxy"),
    "max_connections": Label("Most connections"),
    "max_connections_per_address": Label("Most sockets of one address"),
    "max_failed_logins_per_address": Label("Wrong keys of one address", "per minute"),
    "max_commands_per_second": Label("Commands of one socket", "per second"),
    "max_packets_per_second": Label("Audio packets of one socket", "per second"),
    "max_audio_speed": Label("Audio is read at up to", "times real time"),
    "liveness_timeout_s": Label("Dead sockets are closed after", _S),
    "openai_api": Label("OpenAI's API"),
    "dialects": Label("Protocols of other servers"),
    "deepgram_min_endpointing_ms": Label("Least silence of Deepgram's clients", _MS),
    "max_upload_bytes": Label("Largest upload", _BYTES),
    "max_upload_seconds": Label("Longest sound of an upload", _S),
    "transcription_engine": Label("Engine for finals"),
    "model": Label("Model for finals"),
    "realtime_transcription_engine": Label("Engine for live words"),
    "realtime_model": Label("Model for live words"),
    "use_main_model_for_realtime": Label("One model for both"),
    "language": Label("Language"),
    "download_root": Label("Folder of the models"),
    "offline": Label("Never download"),
    "device": Label("Device"),
    "gpu_device_index": Label("Number of the GPU"),
    "compute_type": Label("Precision"),
    "beam_size": Label("Beam width for finals"),
    "beam_size_realtime": Label("Beam width for live words"),
    "batch_size": Label("Finals in one batch"),
    "realtime_batch_size": Label("Live words in one batch"),
    "lane_workers": Label("Finals at the same time"),
    "realtime_lane_workers": Label("Live words at the same time"),
    "lane_workers_max": Label("Most finals at the same time"),
    "realtime_lane_workers_max": Label("Most live words at the same time"),
    "lane_executor": Label("Where engines run"),
    "realtime_lane_executor": Label("Where engines for live words run"),
    "ray_address": Label("Ray cluster"),
    "lane_resources": Label("Resources of an engine on the Ray cluster"),
    "realtime_lane_resources": Label("Resources of an engine for live words on the Ray cluster"),
    "lane_start_limit_s": Label("Longest wait for room on the Ray cluster", _S),
    "engine_load_limit_s": Label("An engine must load within", _S),
    "lane_fallback": Label("Engines without the Ray cluster"),
    "job_deadline_s": Label("An engine hangs after", _S),
    "engine_outage_limit_s": Label("Finals wait for a new engine", _S),
    "vad_filter": Label("The engine skips silence"),
    "initial_prompt": Label("Prompt for finals"),
    "initial_prompt_realtime": Label("Prompt for live words"),
    "normalize_audio": Label("Make quiet speech louder"),
    "model_warmup": Label("Warm the model up at the start"),
    "max_final_queue_depth_per_session": Label("Queued finals of one session"),
    "max_global_inference_queue_depth": Label("Queued jobs of all sessions"),
    "max_realtime_queue_age_ms": Label("Live words are dropped after", _MS),
    "realtime_degradation_threshold_ms": Label("Live words slow down above a delay of", _MS),
    "vad_energy_threshold": Label("Loudness that always counts", "of 32,768"),
    "webrtc_sensitivity": Label("Second opinion on speech"),
    "silero_sensitivity": Label("Readiness to detect speech"),
    "pre_recording_buffer_duration": Label("Sound kept from before the speech", _S),
    "post_speech_silence_duration": Label("Pause that ends an utterance", _S),
    "endpointing": Label("What ends an utterance"),
    "unfinished_silence_duration": Label("Pause that ends an unfinished sentence", _S),
    "early_transcription_on_silence": Label("Compute the final ahead after a silence of", _S),
    "min_length_of_recording": Label("Shortest utterance", _S),
    "min_gap_between_recordings": Label("Least gap between utterances", _S),
    "max_audio_queue_seconds_per_session": Label("Longest utterance", _S),
    "realtime_processing_pause": Label("Time between live words", _S),
    "realtime_min_audio_seconds": Label("Speech before the first words", _S),
    "realtime_max_audio_seconds": Label("Newest speech that live words cover", _S),
    "realtime_transcription_use_syllable_boundaries": Label("Live words at the ends of syllables"),
    "realtime_boundary_detector_sensitivity": Label("Readiness to detect syllables"),
    "realtime_boundary_followup_delays": Label("More live words after a syllable", _S),
    "keep_sound_tags": Label("Keep marks of sounds"),
    "realtime_callback": Label("Text of live words"),
    "wakeword_backend": Label("Detector of wake words"),
    "openwakeword_model_paths": Label("Models of wake words"),
    "openwakeword_inference_framework": Label("Runtime of wake-word models"),
    "wake_words": Label("Wake words"),
    "wake_words_sensitivity": Label("Readiness to detect wake words"),
    "wake_word_activation_delay": Label("Time without a wake word at first", _S),
    "wake_word_timeout": Label("Speech must follow the wake word within", _S),
    "wake_word_buffer_duration": Label("Length of the wake word after its detection", _S),
    "wake_word_followup_window": Label("Time without a wake word after an utterance", _S),
}


def label_of(name: str) -> Label:
    """The label of a setting."""
    text = name.replace("_", " ")
    return _LABELS.get(name) or Label(text[0].upper() + text[1:])
