"""Client of OpenAI's transcription API: sends several clips at the same time, each within its deadline.

It owns the connections and one event loop on a thread of its own, because only an event loop can end a wait while the
server sends single bytes. It is imported only when its engine is loaded: httpx2 is an extra.
"""

import io
import random
import re
import wave
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import httpx2
import msgspec
import numpy as np
from anyio.from_thread import start_blocking_portal
from numpy.typing import NDArray

from trio_stt.errors import EngineError, EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engines.base import SAMPLE_RATE_HZ

MAX_ANSWER_BYTES = 1 << 20
"""A longer answer is not a transcript."""

_FIRST_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 8.0
_EXCERPT_CHARACTERS = 120
_RETRY_STATUS = frozenset({408, 429})
_PERMANENT = frozenset({401, 403, 404, 405})
"""Status codes that every other clip would get too: the key, the address or the model's name is wrong."""

_SERVER_ERROR = 500
_SUCCESS = range(200, 300)


class TimedItem(msgspec.Struct, frozen=True):
    """A word or a segment of a verbose answer; `start` and `end` in seconds, and `word` or `text`."""

    start: float
    end: float
    word: str = ""
    text: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The server's transcript. Only `text` is in every answer."""

    text: str
    language: str | None = None
    words: list[TimedItem] | None = None
    segments: list[TimedItem] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The address of a service, and how it is called.

    Attributes:
        engine: Canonical engine name, for messages.
        url: Address of the transcription route.
        key: Bearer token, or None. Never logged or shown.
        fields: Form fields of every request: the model, the format of the answer.
        deadline_s: Limit for one clip, including all attempts and pauses.
        retries: Attempts after the first.
    """

    engine: str
    url: str
    key: str | None = field(repr=False)
    fields: tuple[tuple[str, str], ...]
    deadline_s: float
    retries: int


class _RetryableError(Exception):
    """An attempt failed, and another one may succeed; after `pause_s` if the server said so."""

    def __init__(self, reason: str, *, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Client:
    """Sends clips to one service. It must be closed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        headers = {"Accept-Encoding": "identity"}  # compressed, a small answer could unpack to a huge one
        if service.key is not None:
            headers["Authorization"] = f"Bearer {service.key}"
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("trio"))
            # Each clip has its own deadline. A redirect would send the audio to another server.
            self._http = httpx2.AsyncClient(headers=headers, timeout=None, follow_redirects=False)
            stack.callback(self._portal.call, self._http.aclose)
            self._stack = stack.pop_all()

    def transcribe(self, clips: Sequence[NDArray[np.float32]], *, extra: tuple[tuple[str, str], ...]) -> list[Answer]:
        """Send all clips at the same time, with `extra` form fields. Returns one answer for each, in order.

        Raises:
            TranscriptionFailed: The server cannot be reached, or its answer is an error or not a transcript.
            EngineUnavailable: The server rejects this key, route or model.
        """
        return self._portal.call(self._transcribe_all, [_wav(clip) for clip in clips], extra)

    def close(self) -> None:
        """Close the connections and end the loop. Calling it again does nothing."""
        self._stack.close()

    async def _transcribe_all(self, recordings: list[bytes], extra: tuple[tuple[str, str], ...]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        errors: list[EngineError] = []

        async def transcribe(number: int) -> None:
            try:
                answers[number] = await self._transcribe(recordings[number], extra)
            except EngineError as error:
                errors.append(error)
                tasks.cancel_scope.cancel()  # a batch fails as a whole

        async with anyio.create_task_group() as tasks:
            for number in range(len(recordings)):
                tasks.start_soon(transcribe, number)
        if errors:
            raise errors[0]
        return [answers[number] for number in range(len(recordings))]

    async def _transcribe(self, audio: bytes, extra: tuple[tuple[str, str], ...]) -> Answer:
        service = self._service
        problem = "it did not answer"
        with anyio.move_on_after(service.deadline_s):
            for attempt in range(service.retries + 1):
                try:
                    return self._parse(await self._send(audio, extra))
                except _RetryableError as error:
                    problem = str(error)
                    if attempt == service.retries:
                        raise self._failure(problem) from error
                    pause_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - only spreads clients
                    await anyio.sleep(pause_s if error.pause_s is None else error.pause_s)
        raise self._failure(f"no transcript within {service.deadline_s:g} s: {problem}")

    async def _send(self, audio: bytes, extra: tuple[tuple[str, str], ...]) -> bytes:
        """One attempt: send the audio, return the body of a successful answer."""
        service = self._service
        form: dict[str, list[str]] = {}
        for name, value in (*service.fields, *extra):
            form.setdefault(name, []).append(value)
        files = {"file": ("clip.wav", audio, "audio/wav")}
        try:
            async with self._http.stream("POST", service.url, data=form, files=files) as response:
                body = bytearray()
                with anyio.CancelScope() as enough:  # any other way to stop leaves open generators behind
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            enough.cancel()
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _RetryableError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if len(body) > MAX_ANSWER_BYTES:
            raise self._failure(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if response.status_code in _SUCCESS:
            return bytes(body)
        problem = f"status {response.status_code}: {_excerpt(bytes(body))}".rstrip(": ")
        if response.status_code in _RETRY_STATUS or response.status_code >= _SERVER_ERROR:
            raise _RetryableError(problem, pause_s=_retry_after_s(response.headers.get("retry-after", "")))
        if response.status_code in _PERMANENT:
            raise EngineUnavailable(f"engine {service.engine}: {service.url}: {problem}")
        raise self._failure(problem)

    def _failure(self, problem: str) -> TranscriptionFailed:
        return TranscriptionFailed(f"engine {self._service.engine}: {self._service.url}: {problem}")

    def _parse(self, body: bytes) -> Answer:
        try:
            return msgspec.json.decode(body, type=Answer)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._failure(f"the answer is not a transcript: {str(error)[:_EXCERPT_CHARACTERS]}") from error


def _wav(clip: NDArray[np.float32]) -> bytes:
    """A clip as the bytes of a WAV file: 16 bits, mono, 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(np.rint(np.clip(clip, -1.0, 1.0) * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def _retry_after_s(header: str) -> float | None:
    """The pause that a server requests, in seconds; a date is ignored."""
    return float(header) if re.fullmatch(r"\d{1,6}", header.strip()) else None


def _excerpt(body: bytes) -> str:
    """The start of an error's text, on one line."""
    return " ".join(body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace").split())[:_EXCERPT_CHARACTERS]
