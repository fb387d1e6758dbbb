"""A web server in this process on 127.0.0.1 that serves files as a test chooses: whole, in parts, cut, or not at all.

It does not know its clients.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass(slots=True)
class ServedFile:
    """One file and how it is served; tests change it between requests.

    Attributes:
        content: Its bytes.
        etag: Its version; derived from the content if None, not sent if empty.
        ranges: Whether ranges can be requested.
        cut_after: Bytes of an answer after which the connection breaks, one entry for each answer that breaks.
        status: Error statuses, one entry for each answer that is an error instead.
        redirect: The URL to which requests are redirected.
        hold_after: Bytes of an answer after which the rest waits for `release`.
        length: Whether the answer has a `Content-Length`.
    """

    content: bytes
    etag: str | None = None
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    redirect: str = ""
    hold_after: int | None = None
    length: bool = True
    release: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)

    @property
    def version(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"' if self.etag is None else self.etag

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class FileServer:
    """The server. `requests` holds a pair for each request: its path, and its `Range` or an empty text."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.files: dict[str, ServedFile] = {}
        self.requests: list[tuple[str, str]] = []

    def serve(self, name: str, content: bytes) -> ServedFile:
        self.files[f"/{name}"] = ServedFile(content)
        return self.files[f"/{name}"]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: ClassVar[FileServer]

    def do_GET(self) -> None:
        self.files.requests.append((self.path, self.headers.get("Range", "")))
        file = self.files.files.get(self.path)
        if file is None or file.status:
            self._fail(404 if file is None else file.status.pop(0))
        elif file.redirect:
            self.send_response(302)
            self.send_header("Location", file.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._hand_out(file)

    def _fail(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hand_out(self, file: ServedFile) -> None:
        start, size = 0, len(file.content)
        byte_range = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if byte_range and file.ranges and self.headers.get("If-Range", file.version) == file.version:
            start = int(byte_range[1])
            if start >= size:
                self._fail(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if file.version:
            self.send_header("ETag", file.version)
        if file.length:
            self.send_header("Content-Length", str(size - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        body = file.content[start:]
        if file.cut_after:
            self._write(body[: file.cut_after.pop(0)])
            self.close_connection = True
        elif file.hold_after is not None and start <= file.hold_after:
            before = file.hold_after - start
            self._write(body[:before])
            file.held.set()
            file.release.wait(60)
            self._write(body[before:])
        else:
            self._write(body)

    def _write(self, content: bytes) -> None:
        try:
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has disconnected

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: tests read `requests`."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Serve until the block ends."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        files = handler.files = FileServer(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield files
        finally:
            for file in files.files.values():
                file.release.set()
            http.shutdown()
            thread.join()
