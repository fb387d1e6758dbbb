"""An upload: its body is streamed to a temporary file, decoded in a thread and transcribed in a session of its own.

It owns the place of an upload among the sessions, and what the failures of a transcription are to the client. A route
gives it the decoder of its form and the settings that its client chose. A client that disconnects ends the
transcription.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import BinaryIO, Protocol, TypeVar, cast

import msgspec
import trio
from msgspec import UNSET
from quart import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from trio_stt.access.client_identity import client_identity
from trio_stt.api.request_error import NO_RETRY, RequestError
from trio_stt.api.request_language import choose_language
from trio_stt.api.upload_body import store_body
from trio_stt.errors import AudioFileError, ServerClosing, ServerFull
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.lanes.engines.language_support import UNKNOWN_LANGUAGES
from trio_stt.lanes.job import JobKind
from trio_stt.protocol.commands import Start
from trio_stt.protocol.deepgram_errors import this_request
from trio_stt.protocol.http_errors import error_json, has_openai_errors
from trio_stt.protocol.transcript_formats import SpokenSegment
from trio_stt.server.server_state import ServerState
from trio_stt.server.sound_channels import SoundTranscription, open_channels
from trio_stt.server.sound_client import decode_in_thread
from trio_stt.server.traffic import OTHER
from trio_stt.settings import Settings
from trio_stt.sound.channels import MIX, ChannelChoice
from trio_stt.sound.reader import Sound, read_sound

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_DISCARD_S = 5.0
"""Seconds for which the rest of the body of a refused request is read."""
_RETRY = {"retry-after": "1"}
_FIRST_SERVER_STATUS = 500


class SoundReader(Protocol):
    """Opens a sound, as `read_sound` does."""

    def __call__(self, source: BinaryIO, *, name: str, max_length_s: float | None, is_copy: bool) -> Sound:
        """Open it; the source is closed with it, and where this raises."""


@contextmanager
def place(server_state: ServerState) -> Iterator[None]:
    """A place among the sessions, for a client that sends its sound; the transcription takes another one afterwards.

    Raises:
        RequestError: There is none, or the lane for finals has no engine.
    """
    if not server_state.lanes.lane_for(JobKind.FINAL).accepting:
        raise RequestError(503, "no engine is loaded", headers=_RETRY)
    try:
        session_id = server_state.reserve(_dialect())
    except (ServerFull, ServerClosing) as error:
        raise _refused(error) from None
    try:
        yield
    finally:
        server_state.leave(session_id)


def _dialect() -> str:
    """The dialect of the current request: its routes' blueprint has the name."""
    return request.blueprint or OTHER


async def receive_sound(
    server_state: ServerState,
    feed: Callable[[bytes], bytes],
    finish: Callable[[], _T],
    *,
    name: str = "file",
    read: SoundReader = read_sound,
) -> tuple[_T, Sound]:
    """Receive the body of the current request, and open the sound in it.

    Args:
        server_state: The server.
        feed: Takes the next bytes of the body; returns those of the sound in them.
        finish: Called after the whole body and before the sound is opened, to check the rest of the request.
        name: Of the sound in messages, its field. The client's file name is not used for anything.
        read: Opens the sound.

    Returns:
        What `finish` returned, and the open sound.

    Raises:
        RequestError: The request is invalid, or the file is not a sound that can be read.
    """
    settings = server_state.settings
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise RequestError(415, f"the body has the content encoding {encoding[:100]!r}; send it without one")
    source = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - closed with the sound
    try:
        await store_body(source, feed, settings.max_upload_bytes)
        finished = finish()
        opening = partial(read, source, name=name, max_length_s=settings.max_upload_seconds, is_copy=True)
        return finished, await decode_in_thread(name, opening)
    except AudioFileError as error:
        raise _unreadable(error) from None
    except BaseException:
        source.close()
        raise


async def prepare_upload(
    server_state: ServerState,
    sound: Sound,
    settings: Settings,
    languages: Sequence[str],
    *,
    translate: bool = False,
    channels: ChannelChoice = MIX,
) -> "Upload":
    """Choose the language of a sound, as soon as the engine is loaded, and open its channels.

    Args:
        server_state: The server.
        sound: The open sound, which is closed where this raises.
        settings: For its session.
        languages: As the client wrote them, in order of preference; none takes the server's setting.
        translate: Whether the text is to be English, whatever is spoken.
        channels: Which are transcribed.

    Raises:
        RequestError: The model can have none of them, or does not translate; the sound lacks the channel.
    """
    lane = server_state.lanes.lane_for(JobKind.FINAL)
    try:
        await lane.wait_loaded()
        known = lane.engine.languages if lane.engine else UNKNOWN_LANGUAGES
        chosen = choose_language(languages, known)
        if translate:
            _check_translates(lane.engine)
    except BaseException:
        sound.close()
        raise
    language = known.of_request(chosen) or known.in_force or ""
    start = Start(language=chosen or UNSET, translate=translate)
    try:
        opened = await open_channels(sound, channels)
    except AudioFileError as error:
        raise RequestError(400, str(error), param="channels", code="invalid_value") from None
    return Upload(server_state, opened, settings, start=start, language=language)


def _check_translates(engine: EngineInfo | None) -> None:
    if engine is None or not engine.translates:
        raise RequestError(
            400,
            "model: the loaded model does not translate; load a multilingual Whisper model, as with"
            " `--engine faster_whisper --model small`",
            param="model",
            code="unsupported_value",
        )


class Upload:
    """The transcription of one sound for the current request.

    Args:
        server_state: The server.
        opened: The open sound, see `open_channels`; it is closed at the end.
        settings: For its sessions, with what the request chooses.
        start: What its sessions are asked for.
        language: Code of the language that it is transcribed in; empty if the model detects it.

    Attributes:
        language: As given; where the model detects it, that of most utterances so far.
        length_s: Seconds of audio that were read.
        channels: Number of channels that are transcribed on their own; 1 where they are mixed.
        warnings: What is wrong with a part of the sound, beside the text.
        stated_length_s: Its length in seconds as the file states it, which may be wrong; None where it states none.
    """

    def __init__(
        self,
        server_state: ServerState,
        opened: list[tuple[Sound, int | None]],
        settings: Settings,
        *,
        start: Start,
        language: str,
    ) -> None:
        self.language = language
        self.length_s = 0.0
        self.channels = len(opened)
        self.warnings: list[str] = []
        self.stated_length_s = opened[0][0].length_s
        self._start = start
        self._server_state = server_state
        self._opened = opened
        self._settings = settings
        self._shows_causes = client_identity(request.scope).may_administer
        self._dialect = _dialect()

    async def segments(self) -> list[SpokenSegment]:
        """The utterances of the whole sound; raises as `transcribe` does."""
        found: list[SpokenSegment] = []
        await self.transcribe(found.append)
        return found

    async def transcribe(self, on_segment: Callable[[SpokenSegment], object]) -> None:
        """Transcribe the sound.

        Raises:
            RequestError: There is no text because of an error. An error beside text is only logged.
        """
        words = 0
        detected: Counter[str] = Counter()

        def pass_on(segment: SpokenSegment) -> None:
            nonlocal words
            words += 1
            if segment.language:
                detected[segment.language] += 1
                ((self.language, _),) = detected.most_common(1)
            on_segment(segment)

        transcription = SoundTranscription(
            self._opened, on_segment=pass_on, on_error=self.warnings.append, start=self._start
        )
        try:
            await transcription.run(
                self._server_state, self._settings, dialect=self._dialect, shows_causes=self._shows_causes
            )
        except (ServerFull, ServerClosing) as error:
            raise _refused(error) from None
        self.length_s = transcription.length_s
        if self.warnings and not words:
            if transcription.complete:
                raise RequestError(500, self.warnings[0], headers=NO_RETRY)
            raise _unreadable(AudioFileError(self.warnings[0]))
        for message in self.warnings:
            logger.warning("request %s: an upload is transcribed in part: %s", this_request().id, message)


def with_request_errors(route: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """A route that answers a `RequestError` in the form that the clients of its path read."""

    @wraps(route)
    async def answer(*args: object, **kwargs: object) -> Response:
        try:
            return await route(*args, **kwargs)
        except RequestError as error:
            if (
                error.status >= _FIRST_SERVER_STATUS and "retry-after" not in error.headers
            ):  # not for each refused client
                logger.warning("request %s: answered with %d: %s", this_request().id, error.status, error)
            await _discard_body()
            if has_openai_errors(request.path):
                body = msgspec.json.encode(error.body)
            else:
                body = error_json(request.path, error.status, str(error))
            response = Response(body, error.status, mimetype="application/json")
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
