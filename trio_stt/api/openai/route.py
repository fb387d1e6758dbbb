"""The routes of OpenAI's REST API. See docs/openai.md.

An upload is streamed to a temporary file, decoded in a thread and transcribed in a session of its own, as a sound file
is by `trio-stt transcribe`. A client that disconnects ends it. The routes read requests and write answers;
`upload_form`, `transcription_request` and `answers` understand them.
"""

import logging
import math
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from types import TracebackType
from typing import BinaryIO, cast

import msgspec
import trio
from quart import Blueprint, Response, request
from quart.wrappers.response import ResponseBody
from werkzeug.exceptions import RequestEntityTooLarge

from trio_stt.access.client_identity import client_identity
from trio_stt.api.openai.answers import TextDelta, TextDone, body, joined_text, logprobs, sse
from trio_stt.api.openai.errors import RequestError
from trio_stt.api.openai.languages import check_language, language_code, language_name
from trio_stt.api.openai.models import ModelEntry, ModelList, model_entries
from trio_stt.api.openai.transcription_request import TranscriptionRequest, parse_request
from trio_stt.api.openai.upload_form import UploadForm
from trio_stt.errors import AudioFileError, ServerClosing, ServerFull
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.openai_errors import ErrorBody
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_client import SoundClient, decode_in_thread, file_settings
from trio_stt.settings import Settings
from trio_stt.sound.reader import Sound, read_sound

logger = logging.getLogger(__name__)

_MAX_UPLOAD_S = 600.0
"""Seconds in which the whole body must arrive: the largest one at 350 kbit/s."""
_MAX_DISCARD_S = 5.0
"""Seconds for which the rest of the body of a refused request is read."""
_WRITE_BYTES = 1 << 18
"""Bytes of the sound that are written at once, in a thread, because a disk may block."""
_COMMENT_INTERVAL_S = 15.0
"""Seconds between two comments in a silent stream, which keep proxies from closing it."""
_MIN_SILENCE_S = 0.16
"""Least silence that ends an utterance, in seconds; that of the setting `post_speech_silence_duration`."""
_RETRY = {"retry-after": "1"}
_NAME = "file"
"""The name of the sound in messages. The client's file name is not used for anything."""


def openai_routes(server_state: ServerState) -> Blueprint:
    """The routes of one server."""
    routes = Blueprint("openai", __name__, url_prefix="/v1")
    created_at = int(time.time())

    def entries() -> list[ModelEntry]:
        lanes = server_state.lanes.statistics().lanes
        return model_entries([lane.engine.model for lane in lanes if lane.engine], created_at)

    @routes.get("/models")
    async def models() -> Response:
        return _json(ModelList(data=entries()))

    @routes.get("/models/<path:model_id>")
    @_with_errors
    async def model(model_id: str) -> Response:
        for entry in entries():
            if entry.id == model_id:
                return _json(entry)
        raise RequestError(404, f"the model {model_id[:200]!r} is not loaded", param="model", code="model_not_found")

    @routes.post("/audio/transcriptions")
    @_with_errors
    async def transcriptions() -> Response:
        # A client takes a place while it sends its sound, and its session takes one while it is transcribed.
        with _place(server_state):
            upload = await _receive(server_state)
        if upload.request.stream:
            response = Response(_EventStream(upload), mimetype="text/event-stream")
            response.headers["cache-control"] = "no-cache"
            response.headers["x-accel-buffering"] = "no"
        else:
            content, content_type = await upload.answer()
            response = Response(content, content_type=content_type)
        response.timeout = None
        return response

    return routes


@contextmanager
def _place(server_state: ServerState) -> Iterator[None]:
    """A place among the sessions.

    Raises:
        RequestError: There is none, or the lane for finals has no engine.
    """
    if not server_state.lanes.lane_for(JobKind.FINAL).accepting:
        raise RequestError(503, "no engine is loaded", headers=_RETRY)
    try:
        session_id = server_state.reserve()
    except (ServerFull, ServerClosing) as error:
        raise _refused(error) from None
    try:
        yield
    finally:
        server_state.leave(session_id)


async def _receive(server_state: ServerState) -> "_Upload":
    """Read the body of the current request.

    Raises:
        RequestError: The request is invalid, or the file is not a sound that can be read.
    """
    settings = server_state.settings
    source = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the sound
    try:
        with trio.fail_after(_MAX_UPLOAD_S):
            fields = await _store(cast("BinaryIO", source), settings.max_upload_bytes)
        wanted = parse_request(fields)
        check_language(wanted.languages, settings.language)
        read = partial(
            read_sound, cast("BinaryIO", source), name=_NAME, max_length_s=server_state.settings.max_upload_seconds
        )
        sound = await decode_in_thread(_NAME, read)
    except AudioFileError as error:
        raise _unreadable(error) from None
    except trio.TooSlowError:
        source.close()
        raise RequestError(408, f"the body did not arrive within {_MAX_UPLOAD_S:g} s") from None
    except BaseException:
        source.close()
        raise
    return _Upload(server_state, wanted, sound)


async def _store(source: BinaryIO, max_bytes: int) -> dict[str, list[str]]:
    """Write the sound of the current request to a file; returns the other fields of the form."""
    too_large = RequestError(413, f"the body is larger than {max_bytes} bytes (max_upload_bytes)", param="file")
    form = UploadForm(request.headers.get("content-type", ""))
    received_bytes, pending = 0, bytearray()
    try:
        async for part in request.body:
            received_bytes += len(part)
            if received_bytes > max_bytes:
                raise too_large
            pending += form.feed(part)
            if len(pending) >= _WRITE_BYTES:
                await trio.to_thread.run_sync(_write, source, bytes(pending))
                pending.clear()
    except RequestEntityTooLarge:  # Quart's, by the header Content-Length
        raise too_large from None
    fields = form.finish()
    await trio.to_thread.run_sync(_write, source, bytes(pending))
    return fields


def _write(source: BinaryIO, data: bytes) -> None:
    """Write all of it: one call on an unbuffered file may write less, on a full disk above all.

    Raises:
        RequestError: It cannot be written.
    """
    left = memoryview(data)
    try:
        while left:
            left = left[source.write(left) :]
    except OSError as error:
        raise RequestError(507, f"the sound cannot be stored: {error.strerror or error}") from None


class _Upload:
    """The transcription of one sound for one request.

    Args:
        server_state: The server.
        wanted: The request.
        sound: The open sound.

    Attributes:
        request: The request.
    """

    def __init__(self, server_state: ServerState, wanted: TranscriptionRequest, sound: Sound) -> None:
        self.request = wanted
        self._server_state = server_state
        self._sound = sound
        self._errors: list[str] = []
        self._length_s = 0.0
        self._shows_causes = client_identity(request.scope).may_administer

    async def answer(self) -> tuple[bytes, str]:
        """Transcribe the sound; returns the body and its content type.

        Raises:
            RequestError: There is no text because of an error.
        """
        segments: list[SpokenSegment] = []
        await self.transcribe(segments.append)
        language = language_name(language_code(self._server_state.settings.language))
        return body(self.request, segments, duration_s=self._length_s, language=language)

    async def transcribe(self, on_segment: Callable[[SpokenSegment], object]) -> None:
        """Transcribe the sound.

        Raises:
            RequestError: There is no text because of an error. An error beside text is only logged.
        """
        words = 0

        def pass_on(segment: SpokenSegment) -> None:
            nonlocal words
            words += 1
            on_segment(segment)

        client = SoundClient(self._sound, on_segment=pass_on, on_error=self._errors.append)
        try:
            await client.transcribe(self._server_state, self._settings(), shows_causes=self._shows_causes)
        except (ServerFull, ServerClosing) as error:
            raise _refused(error) from None
        self._length_s = client.length_s
        if self._errors and not words:
            if client.complete:
                raise RequestError(500, self._errors[0])
            raise _unreadable(AudioFileError(self._errors[0]))
        for message in self._errors:
            logger.warning("an upload is transcribed in part: %s", message)

    def _settings(self) -> Settings:
        """The settings in force, with what the request chooses."""
        chunking = self.request.chunking
        changes: dict[str, object] = {}
        if self.request.prompt is not None:
            changes["initial_prompt"] = self.request.prompt
        if chunking.threshold is not None:
            changes["silero_sensitivity"] = 1.0 - chunking.threshold
        if chunking.silence_duration_ms is not None:
            changes["post_speech_silence_duration"] = max(_MIN_SILENCE_S, chunking.silence_duration_ms / 1000)
        if chunking.prefix_padding_ms is not None:
            changes["pre_recording_buffer_duration"] = chunking.prefix_padding_ms / 1000
        return file_settings(self._server_state.settings).model_copy(update=changes)


class _EventStream(ResponseBody):
    """The events of a transcription as the body of a response; each utterance is sent when it is final."""

    def __init__(self, upload: _Upload) -> None:
        self._upload = upload
        self._nursery: trio.Nursery
        self._nursery_manager = trio.open_nursery()
        self._events_in, self._events_out = trio.open_memory_channel[bytes](math.inf)

    async def __aenter__(self) -> AsyncIterator[bytes]:
        """Start to transcribe."""
        self._nursery = await self._nursery_manager.__aenter__()
        self._nursery.start_soon(self._transcribe)
        self._nursery.start_soon(self._keep_alive)
        return self._events_out.__aiter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel the transcription if the client has disconnected."""
        self._nursery.cancel_scope.cancel()
        await self._nursery_manager.__aexit__(exc_type, error, traceback)  # noqa: ASYNC102 - its tasks are cancelled above

    async def _transcribe(self) -> None:
        segments: list[SpokenSegment] = []
        with_logprobs = self._upload.request.with_logprobs

        def send(segment: SpokenSegment) -> None:
            space = " " if segments else ""
            segments.append(segment)
            delta = TextDelta(delta=space + segment.text, logprobs=logprobs([segment]) if with_logprobs else None)
            self._events_in.send_nowait(sse(delta))

        with self._events_in:
            try:
                await self._upload.transcribe(send)
            except RequestError as error:
                self._events_in.send_nowait(sse(error.body))
            else:
                done = TextDone(text=joined_text(segments), logprobs=logprobs(segments) if with_logprobs else None)
                self._events_in.send_nowait(sse(done))

    async def _keep_alive(self) -> None:
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while True:
                await trio.sleep(_COMMENT_INTERVAL_S)
                self._events_in.send_nowait(b": \n\n")


def _with_errors(route: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """A route whose errors have OpenAI's form."""

    @wraps(route)
    async def answer(*args: object, **kwargs: object) -> Response:
        try:
            return await route(*args, **kwargs)
        except RequestError as error:
            await _discard_body()
            response = _json(error.body, error.status)
            response.headers.update(error.headers)
            return response

    return answer


async def _discard_body() -> None:
    """Read the rest of the body: most clients neither read the answer nor reuse the connection before all is sent."""
    with trio.move_on_after(_MAX_DISCARD_S), suppress(RequestEntityTooLarge):
        async for _ in request.body:
            pass


def _refused(error: ServerFull | ServerClosing) -> RequestError:
    if isinstance(error, ServerFull):
        return RequestError(429, str(error), code="rate_limit_exceeded", headers=_RETRY)
    return RequestError(503, str(error), headers=_RETRY)


def _unreadable(error: AudioFileError) -> RequestError:
    return RequestError(400, str(error), param="file", code="invalid_value")


def _json(content: ModelList | ModelEntry | ErrorBody, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, mimetype="application/json")
