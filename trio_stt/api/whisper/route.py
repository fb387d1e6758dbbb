"""The routes `/inference` of whisper.cpp's server, and `/asr` and `/detect-language` of whisper-asr-webservice.

They take the same sounds as OpenAI's route and write other answers. See docs/openai.md.
"""

from functools import partial

import msgspec
import trio
from quart import Blueprint, Response, request

from trio_stt.api.openai.file_request import receive_upload
from trio_stt.api.openai.route import whole_answer
from trio_stt.api.upload import Upload, with_request_errors
from trio_stt.api.whisper.asr_answers import DetectedLanguage, asr_body
from trio_stt.api.whisper.asr_request import AsrRequest, parse_asr_request, parse_inference_request
from trio_stt.languages import language_name
from trio_stt.server.server_state import ServerState
from trio_stt.sound.raw_pcm import read_pcm
from trio_stt.sound.reader import read_sound


def whisper_routes(server_state: ServerState) -> Blueprint:
    """The routes of one server."""
    routes = Blueprint("whisper", __name__)

    @routes.post("/inference")
    @with_request_errors
    async def inference() -> Response:
        return await whole_answer(*await receive_upload(server_state, parse_inference_request))

    @routes.post("/asr")
    @with_request_errors
    async def asr() -> Response:
        wanted, upload = await _receive(server_state)
        segments = await upload.segments()
        language = "en" if wanted.transcription.translate else upload.language
        content = await trio.to_thread.run_sync(partial(asr_body, wanted, segments, language=language))
        return _response(content, "text/plain; charset=utf-8")

    @routes.post("/detect-language")
    @with_request_errors
    async def detect_language() -> Response:
        _, upload = await _receive(server_state)
        # One utterance is enough; where the language is known, no sound is.
        with trio.CancelScope() as first:
            if upload.language:
                first.cancel()
            await upload.transcribe(lambda segment: first.cancel() if segment.language else None)
        code = upload.language
        answer = DetectedLanguage(detected_language=language_name(code), language_code=code, confidence=1.0)
        return _response(msgspec.json.encode(answer), "application/json")

    return routes


async def _receive(server_state: ServerState) -> tuple[AsrRequest, Upload]:
    """Receive the current request, whose parameters are in its query.

    Raises:
        RequestError: It is invalid, or the file is not a sound that can be read.
    """
    wanted = parse_asr_request(request.args.to_dict(flat=False))
    _, upload = await receive_upload(
        server_state,
        lambda _: wanted.transcription,
        file_field="audio_file",
        read=read_pcm if wanted.is_raw else read_sound,
    )
    return wanted, upload


def _response(content: bytes, content_type: str) -> Response:
    response = Response(content, content_type=content_type)
    response.timeout = None
    return response
