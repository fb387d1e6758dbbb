"""Transcription of a sound file by a server: the file is streamed to its upload route, and its segments come back.

`transcribe` opens it. It runs on anyio and h11, and holds no more of the file than a block at a time.
"""

import os
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import anyio
import anyio.to_thread
import h11
import msgspec
from anyio.abc import ByteStream

from trio_stt.client.address import ConnectError, ServerAddress, parse_address, trusting
from trio_stt.client.http_exchange import HttpExchange
from trio_stt.errors import TrioSttError
from trio_stt.protocol.event_objects import Piece
from trio_stt.protocol.transcript_formats import SpokenSegment

_ROUTE = "/v1/audio/transcriptions"
_BLOCK_BYTES = 1 << 18
_MAX_ERROR_BYTES = 1 << 16
_MAX_LINE_BYTES = 16 << 20
"""Longest event: the text of a whole file, which the last event repeats."""
_FIRST_ANSWER_S = 900.0
"""Seconds for the status: the server gives a body 600 s, and may load a model first."""
_SILENCE_S = 60.0
"""Seconds without a byte after which the server is gone: it sends a comment every 15 s."""
_OK = 200
_SERVER_WIDE = frozenset({401, 403, 404, 405, 421})
"""Statuses that say nothing of the file: another one would get the same answer."""


class UploadRefused(TrioSttError):  # noqa: N818 - an answer of the server
    """The server refuses a file, or cannot transcribe it.

    Attributes:
        status: Of the HTTP answer; 200 where the transcription failed on its way.
        is_about_file: Whether another file may be transcribed all the same.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.is_about_file = status not in _SERVER_WIDE


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class _Event(msgspec.Struct, frozen=True):
    """An event of the stream; absent fields have their defaults."""

    type: str = ""
    delta: str = ""
    start: float = 0.0
    end: float = 0.0
    duration: float | None = None
    pieces: tuple[Piece, ...] = ()
    channel: int | None = None
    warnings: tuple[str, ...] = ()
    error: _Error | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    """The body of an error; servers in front of this one answer with anything."""

    error: _Error = _Error()


class Transcription:
    """A transcription that runs: an async iterator of its segments, in order of their start.

    Attributes:
        length_s: Length of the sound in seconds: as the file states it, and after the last segment as it was read;
            None where it is not known.
        warnings: After the last segment: what could not be read or transcribed.
        sent: Share of the file that was sent, 0 to 1.
    """

    def __init__(self, stream: ByteStream, address: ServerAddress, name: str) -> None:
        self.length_s: float | None = None
        self.warnings: tuple[str, ...] = ()
        self.sent = 0.0
        self._address = address
        self._name = name
        self._exchange = HttpExchange(stream, address.url)
        self._answers = False  # whether the status has come
        self._lines = bytearray()
        self._segments = 0

    def __aiter__(self) -> Self:
        """Iterate over the segments."""
        return self

    async def __anext__(self) -> SpokenSegment:
        """The next segment.

        Raises:
            UploadRefused: The server refuses the file, or cannot transcribe it.
            ConnectError: The connection broke.
        """
        if not self._answers:
            await self._receive_status()
            self._answers = True
        while (event := await self._next_event()) is not None:
            if event.error is not None:
                raise UploadRefused(self._named(event.error.message), _OK)
            if event.duration is not None:
                self.length_s = event.duration
            if event.type == "transcript.text.done":
                self.warnings = tuple(map(self._named, event.warnings))
                raise StopAsyncIteration
            if event.type == "transcript.text.delta":
                return self._segment(event)
        raise ConnectError(f"{self._address.url} ended the answer too early")

    async def send(self, head: bytes, source: BinaryIO, tail: bytes, fields: list[tuple[str, str]]) -> None:
        """Send the request. `transcribe` calls it, beside the iteration: the server may answer before its end."""
        size = os.fstat(source.fileno()).st_size - source.tell()
        headers = [*fields, ("Content-Length", str(len(head) + size + len(tail)))]
        try:
            await self._exchange.send(h11.Request(method="POST", target=self._address.path + _ROUTE, headers=headers))
            await self._exchange.send(h11.Data(head))
            left = size
            while left and (block := await anyio.to_thread.run_sync(source.read, min(left, _BLOCK_BYTES))):
                await self._exchange.send(h11.Data(block))
                left -= len(block)
                self.sent = 1 - left / size
            await self._exchange.send(h11.Data(tail))
            await self._exchange.send(h11.EndOfMessage())
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, h11.LocalProtocolError):
            return  # the server has answered, or is gone: reading says which
        self.sent = 1.0

    async def _receive_status(self) -> None:
        """Receive the head of the answer; raises as `__anext__` does."""
        while isinstance(response := await self._exchange.receive(_FIRST_ANSWER_S), h11.InformationalResponse):
            pass
        assert isinstance(response, h11.Response)  # noqa: S101 - h11 gives it before all else
        if response.status_code == _OK:
            return
        body = bytearray()
        while isinstance(part := await self._exchange.receive(_SILENCE_S), h11.Data) and len(body) < _MAX_ERROR_BYTES:
            body += part.data
        status = response.status_code
        try:
            message = msgspec.json.decode(body, type=_ErrorBody).error.message
        except msgspec.DecodeError:
            message = ""
        refused = f"{self._address.url} answers with status {status}"
        if status in _SERVER_WIDE:
            raise UploadRefused(f"{refused}: {' '.join(message.split())}".removesuffix(": "), status)
        raise UploadRefused(self._named(message or refused), status)

    def _named(self, message: str) -> str:
        """A message of the server about the file in one line, with its name, which the server does not know."""
        line = " ".join(message.split())
        return f"{self._name}: {line.removeprefix('file: ')}"

    async def _next_event(self) -> _Event | None:
        """The next event of the stream; None at its end."""
        while b"\n" not in self._lines:
            part = await self._exchange.receive(_SILENCE_S)
            if not isinstance(part, h11.Data):
                return None
            self._lines += part.data
            if len(self._lines) > _MAX_LINE_BYTES:
                raise ConnectError(f"{self._address.url} answers with something else than a transcription")
        line, _, rest = self._lines.partition(b"\n")
        self._lines = rest
        if not line.startswith(b"data: "):
            return _Event()
        try:
            return msgspec.json.decode(line.removeprefix(b"data: "), type=_Event)
        except msgspec.DecodeError as error:
            raise ConnectError(
                f"{self._address.url} answers with something else than a transcription: {error}"
            ) from None

    def _segment(self, event: _Event) -> SpokenSegment:
        self._segments += 1
        return SpokenSegment(
            file=self._name,
            segment_id=self._segments,
            start=event.start,
            end=event.end,
            text=event.delta.strip(),
            pieces=event.pieces,
            channel=event.channel,
        )


@asynccontextmanager
async def transcribe(
    url: str,
    source: str | Path | BinaryIO,
    *,
    name: str | None = None,
    key: str | None = None,
    language: str | None = None,
    prompt: str | None = None,
    channels: str | int = "mix",
    ca_file: str | Path | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Transcription]:
    """Transcribe a sound file; at the end of the `async with` block, the server stops.

    Args:
        url: Of the server; `https` uses TLS.
        source: The file: its path, or open, with a file descriptor, at the position from which it is sent.
        name: For messages and segments; by default that of the file.
        key: An API key, where the server has keys.
        language: Of the speech; None for the server's setting.
        prompt: Primes the models that take one.
        channels: `mix`, `separate` to take each channel as a speaker, or the number of one from 1.
        ca_file: For TLS: a PEM file with the authorities to trust; None for the system's.
        ssl_context: For TLS, instead of `ca_file`.

    Raises:
        ConnectError: The server cannot be reached.
        OSError: The file cannot be opened.
    """
    address = parse_address(url, _ROUTE)
    given = {"language": language, "prompt": prompt, "channels": None if channels == "mix" else str(channels)}
    chosen = {"response_format": "verbose_json", "stream": "true"} | {k: v for k, v in given.items() if v is not None}
    boundary = secrets.token_hex(16)
    head, tail = _form(boundary, chosen)
    context = ssl_context or trusting(ca_file)
    failure: Exception | None = None
    with _opened(source) as file:
        stream = await address.connect(context)
        transcription = Transcription(stream, address, name or ("file" if file is source else str(source)))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transcription.send, head, file, tail, _headers(address, boundary, key))
                try:
                    yield transcription
                except Exception as error:  # noqa: BLE001 - raised below, as it is: the task group would wrap it
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            await anyio.aclose_forcefully(stream)  # noqa: ASYNC102 - it does not wait
    if failure is not None:
        raise failure


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, str | Path):
        with open(source, "rb", buffering=0) as file:  # noqa: PTH123 - Path.open takes no str
            yield file
    else:
        yield source


def _headers(address: ServerAddress, boundary: str, key: str | None) -> list[tuple[str, str]]:
    authorization = [("Authorization", f"Bearer {key}")] if key else []
    return [
        ("Host", address.authority),
        ("Content-Type", f"multipart/form-data; boundary={boundary}"),
        ("Connection", "close"),
        *authorization,
    ]


def _form(boundary: str, fields: dict[str, str]) -> tuple[bytes, bytes]:
    """What stands before and behind the file in the body."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join([*parts, file]).encode(), f"\r\n--{boundary}--\r\n".encode()
