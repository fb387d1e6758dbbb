"""One file from a web server, whole and checked: resumed where it broke off, told in one line where it cannot be had.

It must not know models, nor where they are kept. It blocks, and asks its watcher after each piece whether to go on.
"""

import errno
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse
from importlib.metadata import version
from pathlib import Path
from typing import IO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from trio_stt.errors import ModelError
from trio_stt.models.spec import ModelSource

_PIECE_BYTES = 1 << 18
_SILENCE_S = 30.0
"""How long a server may say nothing."""

_ATTEMPTS = 4
"""Without a byte in between."""

_PAUSE_S = 1.0
"""Before the second attempt; doubled before each further one."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class ProgressListener(Protocol):
    """Whoever waits for a download. Each of its methods may raise to end it; what came is kept."""

    def say(self, text: str) -> None:
        """Tell people one sentence."""

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Take note of how much is there, and of how much there will be, where that is known."""


class _BrokenOff(Exception):  # noqa: N818 - it names a state
    """The transfer ended early; another attempt may go on from there."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A file that is still coming, and what its server calls the version it comes from."""

    path: Path

    @property
    def _tag(self) -> Path:
        return self.path.with_name(self.path.name + ".etag")

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str:
        return self._tag.read_text(encoding="latin-1") if self._tag.exists() else ""

    def begin(self, tag: str | None) -> None:
        """Start over with a version; only a strong tag can say later whether the file is still the same."""
        self.discard()
        if tag and tag.startswith('"'):
            self._tag.write_text(tag, encoding="latin-1")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def fetch(source: ModelSource, part: Path, watcher: ProgressListener, *, pause_s: float = _PAUSE_S) -> str:
    """Bring a file to its end, from wherever an earlier attempt left it.

    Args:
        source: What to fetch.
        part: The file to write; what it holds already is taken for the beginning, if the server agrees.
        watcher: Hears how it goes.
        pause_s: Before the second attempt.

    Returns:
        Its SHA-256, in hexadecimal; that of `source`, where it names one.

    Raises:
        ModelError: It cannot be had, or it is another file than the catalogue says; one line says why.
    """
    held = _Part(part)
    resumed = held.size_bytes > 0
    while True:
        _receive_all(source, held, watcher, pause_s=pause_s)
        digest = sha256_of(part)
        if source.sha256 in (None, digest):
            return digest
        held.discard()
        if not resumed:
            raise ModelError(
                f"{source.url} is another file than it should be: its sha256 is {digest}, not {source.sha256};"
                " nothing of it was kept"
            )
        watcher.say(f"{source.name}: what an earlier attempt left does not fit; from the start again")
        resumed = False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what a file system refuses into one line.

    Raises:
        ModelError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise ModelError(f"the disk is full: no more room in {folder}; what came is kept") from error
        raise ModelError(f"cannot write in {folder}: {error.strerror or error}") from error


def _receive_all(source: ModelSource, held: _Part, watcher: ProgressListener, *, pause_s: float) -> None:
    failures = 0
    while True:
        before = held.size_bytes
        try:
            return _receive(source, held, watcher)
        except _BrokenOff as reason:
            failures = 1 if held.size_bytes > before else failures + 1
            if failures == _ATTEMPTS:
                raise ModelError(f"{source.url}: {reason}; the same command goes on from there") from reason.__cause__
            watcher.say(f"{source.name}: {reason}; trying again")
            time.sleep(pause_s * 2 ** (failures - 1))


def _receive(source: ModelSource, held: _Part, watcher: ProgressListener) -> None:
    start = held.size_bytes
    if start and not (held.version or source.sha256):
        start = 0  # nothing could tell whether the rest is of the same file
    if source.size_bytes is not None and start == source.size_bytes:
        return
    with _open(source, held, start=start) as response:
        total = _total(source, response, held)
        start = held.size_bytes
        with _file(held.path) as file:
            for piece in _pieces(response):
                with disk_errors(held.path.parent):
                    file.write(piece)
                    file.flush()
                start += len(piece)
                if total is not None and start > total:
                    held.discard()
                    raise ModelError(f"{source.url}: the server sends more than the {total} bytes that it should")
                watcher.advance(start, total)
    if total is not None and start < total:
        raise _BrokenOff(f"the connection ended after {start} of {total} bytes")


def _open(source: ModelSource, held: _Part, *, start: int) -> HTTPResponse:
    headers = {"User-Agent": f"trio-stt/{version('trio-stt')}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if held.version:
            headers["If-Range"] = held.version
    try:
        response = _opener().open(Request(source.url, headers=headers), timeout=_SILENCE_S)  # noqa: S310 - the opener knows HTTP only
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            held.discard()
            raise _BrokenOff("the server has less of it than we have") from error
        if error.code in _TRY_AGAIN:
            raise _BrokenOff(f"the server answers {error.code} {error.reason}") from error
        raise ModelError(f"{source.url}: the server answers {error.code} {error.reason}") from error
    except URLError as error:
        raise _told(source, error.reason) from error
    except (OSError, HTTPException) as error:
        raise _told(source, error) from error
    assert isinstance(response, HTTPResponse)  # noqa: S101 - what these handlers return
    return response


def _told(source: ModelSource, reason: object) -> Exception:
    """The error for a connection that did not come about: final, or worth another attempt."""
    host = urlsplit(source.url).hostname
    if isinstance(reason, socket.gaierror):
        return ModelError(f"{source.url}: the name {host} is not known: is there a network?")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ModelError(f"{source.url}: the certificate of {host} is not valid: {reason.verify_message}")
    if isinstance(reason, ssl.SSLError):
        return ModelError(f"{source.url}: {host} does not speak TLS as it should: {reason.reason}")
    if isinstance(reason, ConnectionRefusedError):
        return ModelError(f"{source.url}: nobody answers at {host}")
    if isinstance(reason, TimeoutError):
        return _BrokenOff(f"{host} says nothing for {_SILENCE_S:g} s")
    return _BrokenOff(f"the connection broke: {reason}")


def _total(source: ModelSource, response: HTTPResponse, held: _Part) -> int | None:
    """How long the file will be; begins it anew unless the server goes on where it ends.

    Raises:
        ModelError: The server has another file than the catalogue says, or does not say how long it is.
    """
    total = response.length
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        given = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if given is None or int(given[1]) != held.size_bytes:
            held.discard()
            raise _BrokenOff("the server sends another part than we asked for")
        total = None if given[2] == "*" else int(given[2])
    else:
        held.begin(response.headers.get("ETag"))
    if source.size_bytes is not None:
        if total not in (None, source.size_bytes):
            raise ModelError(f"{source.url} has {total} bytes; the catalogue says {source.size_bytes}")
        total = source.size_bytes
    if total is None and not response.chunked:
        raise ModelError(f"{source.url}: the server does not say how long it is")
    return total


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read1(_PIECE_BYTES)
        except TimeoutError as error:
            raise _BrokenOff(f"the server says nothing for {_SILENCE_S:g} s") from error
        except (OSError, HTTPException) as error:
            raise _BrokenOff("the connection broke") from error
        if not piece:
            return
        yield piece


@contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    with disk_errors(path.parent):
        file = path.open("ab")
    with file:
        yield file


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect, but not out of TLS."""

    def redirect_request(  # noqa: PLR0917 - the base class's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to the new place; an HTTP error where it is not as safe as the old one."""
        if req.type == "https" and not newurl.startswith("https:"):
            raise HTTPError(req.full_url, code, f"and sends us to {newurl}, out of TLS", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    opener = OpenerDirector()
    handlers = (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, _Redirects)
    for handler in (*handlers, HTTPErrorProcessor):
        opener.add_handler(handler())
    return opener
