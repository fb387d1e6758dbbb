"""Receives a request with a sound file, and the settings of its session."""

from collections.abc import Callable, Mapping, Sequence

from quart import request

from trio_stt.api.openai.transcription_request import TranscriptionRequest
from trio_stt.api.openai.upload_form import UploadForm
from trio_stt.api.upload import SoundReader, Upload, place, prepare_upload, receive_sound
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_client import file_settings
from trio_stt.settings import Settings
from trio_stt.sound.reader import read_sound

_MIN_SILENCE_S = 0.16
"""Least silence that ends an utterance, in seconds; that of the setting `post_speech_silence_duration`."""


async def receive_upload(
    server_state: ServerState,
    parse: Callable[[Mapping[str, Sequence[str]]], TranscriptionRequest],
    *,
    file_field: str = "file",
    read: SoundReader = read_sound,
) -> tuple[TranscriptionRequest, Upload]:
    """Receive the current request, a form with a sound.

    Args:
        server_state: The server.
        parse: Validates the text fields of the form.
        file_field: The field of the sound.
        read: Opens the sound.

    Raises:
        RequestError: It is invalid, or the file is not a sound that can be read.
    """
    form = UploadForm(request.headers.get("content-type", ""), file_field)

    # A client takes a place while it sends its sound, and its session takes one while it is transcribed.
    with place(server_state):
        wanted, sound = await receive_sound(
            server_state, form.feed, lambda: parse(form.finish()), name=file_field, read=read
        )
        settings = _session_settings(server_state.settings, wanted)
        return wanted, await prepare_upload(
            server_state,
            sound,
            settings,
            wanted.languages,
            translate=wanted.translate,
            channels=wanted.channels,
        )


def _session_settings(settings: Settings, wanted: TranscriptionRequest) -> Settings:
    """The settings in force, with what the request chooses."""
    chunking = wanted.chunking
    changes: dict[str, object] = {}
    if wanted.prompt is not None:
        changes["initial_prompt"] = wanted.prompt
    if chunking.threshold is not None:
        changes["silero_sensitivity"] = 1.0 - chunking.threshold
    if chunking.silence_duration_ms is not None:
        changes["post_speech_silence_duration"] = max(_MIN_SILENCE_S, chunking.silence_duration_ms / 1000)
    if chunking.prefix_padding_ms is not None:
        changes["pre_recording_buffer_duration"] = chunking.prefix_padding_ms / 1000
    return file_settings(settings).model_copy(update=changes)
