"""A server with OpenAI's transcription route on 127.0.0.1, in this process, whose behaviour a test chooses.

It recognises the words of `tone_models` and does not know the engine that calls it.
"""

import io
import json
import socket
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tests.support.tone_recognizer import words_of

ROUTE = "/v1/audio/transcriptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request: its path and headers, the form fields without the file, and the file's audio."""

    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]
    samples: NDArray[np.float32]


class Exchange:
    """One request and the connection to answer on."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: ReceivedRequest, over: threading.Event) -> None:
        self._handler = handler
        self._over = over
        self.request = request

    def answer(self, body: object, *, status: int = 200, **headers: str) -> None:
        """Send a complete answer: bytes unchanged, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._handler.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(content))} | headers
        ).items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(content)

    def transcribe(self) -> None:
        """Answer with the words of the clip."""
        self.answer({"text": words_of(self.request.samples)})

    def stall(self) -> None:
        """Answer nothing until the server ends."""
        self._over.wait()

    def drip(self, body: bytes) -> None:
        """Send a body slowly, byte by byte, until the client disconnects or the server ends."""
        self._handler.send_response(200)
        self._handler.end_headers()
        for byte in body:
            self._handler.wfile.write(bytes([byte]))
            if self._over.wait(0.05):
                return

    def reset(self) -> None:
        """Reset the connection."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.rfile.close()  # an open file object keeps the connection open
        self._handler.connection.close()
        self._handler.close_connection = True


Behaviour = Callable[[Exchange], None]


@dataclass(slots=True, kw_only=True)
class TranscriptionServer:
    """A running server: its address, the requests so far, and its behaviour for the next ones."""

    port: int
    requests: list[ReceivedRequest] = field(default_factory=list)
    behaviours: list[Behaviour] = field(default_factory=list)
    """What to do with each request, in order; by default it transcribes the words."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def transcription_server(*behaviours: Behaviour) -> Iterator[TranscriptionServer]:
    """Run a server; its connections end with it."""
    over = threading.Event()
    list_lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.1"

        def do_POST(self) -> None:
            request = _read_request(self)
            with list_lock:
                running.requests.append(request)
                behaviour = running.behaviours.pop(0) if running.behaviours else Exchange.transcribe
            try:
                behaviour(Exchange(self, request, over))
            except OSError:  # the client disconnected
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = TranscriptionServer(port=server.server_address[1], behaviours=list(behaviours))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _read_request(handler: BaseHTTPRequestHandler) -> ReceivedRequest:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    message = BytesParser().parsebytes(
        b"Content-Type: " + handler.headers["Content-Type"].encode() + b"\r\n\r\n" + body
    )
    form: dict[str, list[str]] = {}
    samples = np.zeros(0, np.float32)
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if name == "file":
            with wave.open(io.BytesIO(content)) as sound:
                assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32_767
        else:
            form.setdefault(name, []).append(content.decode())
    return ReceivedRequest(path=handler.path, headers=dict(handler.headers), form=form, samples=samples)
