"""The routes of OpenAI's REST API. See docs/openai.md.

`file_request` receives the sound, `upload` transcribes it; `transcription_request` and `answers` understand requests
and answers.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from types import TracebackType

import msgspec
import trio
from quart import Blueprint, Response
from quart.wrappers.response import ResponseBody

from trio_stt.api.openai.answers import TextDelta, TextDone, body, joined_text, logprobs, sse
from trio_stt.api.openai.file_request import receive_upload
from trio_stt.api.openai.models import ModelEntry, ModelList, model_entries, model_entry
from trio_stt.api.openai.transcription_request import (
    ResponseFormat,
    TranscriptionRequest,
    parse_request,
    parse_translation_request,
)
from trio_stt.api.request_error import RequestError
from trio_stt.api.upload import Upload, with_request_errors
from trio_stt.languages import language_name
from trio_stt.protocol.scripts import space_between
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.server_state import ServerState

_COMMENT_INTERVAL_S = 15.0
"""Seconds between two comments in a silent stream, which keep proxies from closing it."""


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
    @with_request_errors
    async def model(model_id: str) -> Response:
        if entry := model_entry(model_id, entries(), created_at):
            return _json(entry)
        raise RequestError(404, f"the model {model_id[:200]!r} is not loaded", param="model", code="model_not_found")

    @routes.post("/audio/transcriptions")
    @with_request_errors
    async def transcriptions() -> Response:
        wanted, upload = await receive_upload(server_state, parse_request)
        if wanted.stream:
            response = Response(_EventStream(wanted, upload), mimetype="text/event-stream")
            response.headers["cache-control"] = "no-cache"
            response.headers["x-accel-buffering"] = "no"
            response.timeout = None
            return response
        return await whole_answer(wanted, upload)

    @routes.post("/audio/translations")
    @with_request_errors
    async def translations() -> Response:
        return await whole_answer(*await receive_upload(server_state, parse_translation_request))

    return routes


async def whole_answer(wanted: TranscriptionRequest, upload: Upload) -> Response:
    """Transcribe a sound; the answer in the format that the client chose.

    Raises:
        RequestError: There is no text because of an error.
    """
    segments = await upload.segments()
    language = language_name("en" if wanted.translate else upload.language)
    write = partial(body, wanted, segments, duration_s=upload.length_s, language=language)
    content, content_type = await trio.to_thread.run_sync(write)  # subtitles of an hour take half a second
    response = Response(content, content_type=content_type)
    response.timeout = None
    return response


class _EventStream(ResponseBody):
    """The events of a transcription as the body of a response; each utterance is sent when it is final."""

    def __init__(self, wanted: TranscriptionRequest, upload: Upload) -> None:
        self._with_logprobs = wanted.with_logprobs
        self._with_times = wanted.response_format is ResponseFormat.VERBOSE_JSON
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
        with_logprobs = self._with_logprobs

        def send(segment: SpokenSegment) -> None:
            space = space_between(segments[-1].text, segment.text) if segments else ""
            segments.append(segment)
            delta = TextDelta(delta=space + segment.text, logprobs=logprobs([segment]) if with_logprobs else None)
            if self._with_times:
                delta = msgspec.structs.replace(
                    delta,
                    start=round(segment.start, 3),
                    end=round(segment.end, 3),
                    duration=self._upload.stated_length_s,
                    pieces=segment.pieces,
                    channel=segment.channel,
                )
            self._events_in.send_nowait(sse(delta))

        with self._events_in:
            try:
                await self._upload.transcribe(send)
            except RequestError as error:
                self._events_in.send_nowait(sse(error.body))
            else:
                done = TextDone(text=joined_text(segments), logprobs=logprobs(segments) if with_logprobs else None)
                if self._with_times:
                    length_s, warnings = round(self._upload.length_s, 3), self._upload.warnings
                    done = msgspec.structs.replace(done, duration=length_s, warnings=warnings)
                self._events_in.send_nowait(sse(done))

    async def _keep_alive(self) -> None:
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while True:
                await trio.sleep(_COMMENT_INTERVAL_S)
                self._events_in.send_nowait(b": \n\n")


def _json(content: ModelList | ModelEntry) -> Response:
    return Response(msgspec.json.encode(content), mimetype="application/json")
