"""Clips over HTTP to a server that speaks OpenAI's transcription API, several at once, each within its deadline.

It owns the connections and one event loop on a thread of its own, since only a loop can end a wait that a server
draws out byte by byte. It must not know engines' options, and is imported only when its engine is loaded: httpx2 is an
extra.
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
"""An answer longer than this is no transcript."""

_FIRST_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 8.0
_SHOWN_CHARACTERS = 120
_TEMPORARY = frozenset({408, 429})
_UNFIT = frozenset({401, 403, 404, 405})
"""Answers that another clip would get as well: the key, the address or the model's name is wrong."""

_SERVER_ERROR = 500
_SUCCESS = range(200, 300)


class Piece(msgspec.Struct, frozen=True):
    """A word or a segment of a verbose answer; `start` and `end` in seconds, `word` or `text` says which."""

    start: float
    end: float
    word: str = ""
    text: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What the server heard. Only `text` is in every answer."""

    text: str
    language: str | None = None
    words: list[Piece] | None = None
    segments: list[Piece] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where to ask, and how.

    Attributes:
        engine: Canonical engine name, for messages.
        url: Address of the transcription route.
        key: Sent as a bearer token, or None. Never shown.
        fields: Form fields of every request: the model, the format of the answer.
        deadline_s: For one clip, with all its attempts and the pauses between them.
        retries: Further attempts after the first.
    """

    engine: str
    url: str
    key: str | None = field(repr=False)
    fields: tuple[tuple[str, str], ...]
    deadline_s: float
    retries: int


class _Temporary(Exception):  # noqa: N818 - it says what kind of failure this was
    """An attempt failed in a way that may pass; after `pause_s` if the server said so."""

    def __init__(self, reason: str, *, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Client:
    """Asks one service. To be closed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        headers = {"Accept-Encoding": "identity"}  # else a small answer could unpack to a huge one
        if service.key is not None:
            headers["Authorization"] = f"Bearer {service.key}"
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("trio"))
            # Each clip has its own deadline, and a redirect would carry the audio to somebody else.
            self._http = httpx2.AsyncClient(headers=headers, timeout=None, follow_redirects=False)
            stack.callback(self._portal.call, self._http.aclose)
            self._stack = stack.pop_all()

    def transcribe(self, clips: Sequence[NDArray[np.float32]], *, extra: tuple[tuple[str, str], ...]) -> list[Answer]:
        """Ask for all clips at once, with `extra` form fields; one answer for each, in order.

        Raises:
            TranscriptionFailed: The server could not be asked, or answered with an error or rubbish.
            EngineUnavailable: It refuses this key, route or model.
        """
        return self._portal.call(self._transcribe_all, [_wav(clip) for clip in clips], extra)

    def close(self) -> None:
        """Close the connections and end the loop. Calling it again does nothing."""
        self._stack.close()

    async def _transcribe_all(self, sounds: list[bytes], extra: tuple[tuple[str, str], ...]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        errors: list[EngineError] = []

        async def ask(number: int) -> None:
            try:
                answers[number] = await self._transcribe(sounds[number], extra)
            except EngineError as error:
                errors.append(error)
                tasks.cancel_scope.cancel()  # a batch fails as a whole

        async with anyio.create_task_group() as tasks:
            for number in range(len(sounds)):
                tasks.start_soon(ask, number)
        if errors:
            raise errors[0]
        return [answers[number] for number in range(len(sounds))]

    async def _transcribe(self, sound: bytes, extra: tuple[tuple[str, str], ...]) -> Answer:
        service = self._service
        problem = "it did not answer"
        with anyio.move_on_after(service.deadline_s):
            for attempt in range(service.retries + 1):
                try:
                    return self._understood(await self._ask(sound, extra))
                except _Temporary as error:
                    problem = str(error)
                    if attempt == service.retries:
                        raise self._failed(problem) from error
                    pause_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - only spreads clients
                    await anyio.sleep(pause_s if error.pause_s is None else error.pause_s)
        raise self._failed(f"no transcript within {service.deadline_s:g} s: {problem}")

    async def _ask(self, sound: bytes, extra: tuple[tuple[str, str], ...]) -> bytes:
        """One attempt: send the sound, return the body of a successful answer."""
        service = self._service
        form: dict[str, list[str]] = {}
        for name, value in (*service.fields, *extra):
            form.setdefault(name, []).append(value)
        files = {"file": ("clip.wav", sound, "audio/wav")}
        try:
            async with self._http.stream("POST", service.url, data=form, files=files) as response:
                body = bytearray()
                with anyio.CancelScope() as enough:  # breaking off by any other way leaves generators behind
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            enough.cancel()
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _Temporary(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if len(body) > MAX_ANSWER_BYTES:
            raise self._failed(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if response.status_code in _SUCCESS:
            return bytes(body)
        problem = f"status {response.status_code}: {_shown(bytes(body))}".rstrip(": ")
        if response.status_code in _TEMPORARY or response.status_code >= _SERVER_ERROR:
            raise _Temporary(problem, pause_s=_retry_after_s(response.headers.get("retry-after", "")))
        if response.status_code in _UNFIT:
            raise EngineUnavailable(f"engine {service.engine}: {service.url}: {problem}")
        raise self._failed(problem)

    def _failed(self, problem: str) -> TranscriptionFailed:
        return TranscriptionFailed(f"engine {self._service.engine}: {self._service.url}: {problem}")

    def _understood(self, body: bytes) -> Answer:
        try:
            return msgspec.json.decode(body, type=Answer)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._failed(f"the answer is no transcript: {str(error)[:_SHOWN_CHARACTERS]}") from error


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
    """The pause that a server asks for in seconds; a date is taken for none."""
    return float(header) if re.fullmatch(r"\d{1,6}", header.strip()) else None


def _shown(body: bytes) -> str:
    """The beginning of an error's text, on one line."""
    return " ".join(body[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
