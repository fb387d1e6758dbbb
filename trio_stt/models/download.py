"""Downloads one file: resumed after a broken connection, verified by size and SHA-256, with errors of one line.

It blocks, and asks its listener after each piece whether to go on. It must not know models, nor where they are kept.

Our own code, because no maintained library does this: pooch verifies and does not resume; huggingface_hub resumes, but
only for its hub; requests, urllib3 and httpx2 do neither. With any of them the loop below would stay.
"""

import errno
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

from trio_stt.errors import DownloadInterrupted, ModelError
from trio_stt.models.spec import ModelSource

_PIECE_BYTES = 1 << 18
_SILENCE_S = 30.0
"""A server that sends nothing for this long is given up."""

_ATTEMPTS = 4
"""Attempts in a row without a new byte before the download fails."""

_PAUSE_S = 1.0
"""Pause before the second attempt; doubles before each further one."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_SHOWN_CHARACTERS = 200


class ProgressListener(Protocol):
    """Observes a download. Each of its methods may raise to end it; the part that was received is kept."""

    def message(self, text: str) -> None:
        """Show one sentence to people."""

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        """Record how much was received, and how much there will be, if that is known."""


class _Interrupted(Exception):  # noqa: N818 - a state, never raised to a caller
    """The transfer ended early; another attempt may continue there."""


class _Part:
    """A file that is being downloaded, and the ETag of the version that it comes from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tag = path.with_name(path.name + ".etag")

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def etag(self) -> str:
        return self._tag.read_text(encoding="latin-1") if self._tag.exists() else ""

    def restart(self, etag: str | None) -> None:
        """Start over. Only a strong tag is kept, because only it says later whether the file is still the same."""
        self.discard()
        if etag and etag.startswith('"'):
            self._tag.write_text(etag, encoding="latin-1")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def fetch(source: ModelSource, part: Path, listener: ProgressListener, *, pause_s: float = _PAUSE_S) -> str:
    """Download a file, and continue a part that an earlier attempt left.

    Args:
        source: The file to download.
        part: The file to write. What it already holds is used if the server confirms that it is still the same file.
        listener: Receives the progress.
        pause_s: Pause before the second attempt.

    Returns:
        The file's SHA-256, in hexadecimal; the one of `source`, if it has one.

    Raises:
        ModelError: It cannot be downloaded, or is not the file of the catalogue; one line says why.
    """
    held = _Part(part)
    resumed = held.size_bytes > 0
    while True:
        _receive_all(source, held, listener, pause_s=pause_s)
        digest = sha256_of(part)
        if source.sha256 in (None, digest):
            return digest
        held.discard()
        if not resumed:
            raise ModelError(
                f"{source.url} has the wrong checksum: its sha256 is {digest}, not {source.sha256}; nothing was kept"
            )
        listener.message(f"{source.name}: the part of an earlier attempt does not fit; starting over")
        resumed = False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the file system into one line.

    Raises:
        ModelError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise ModelError(f"the disk is full: no room left in {folder}; the downloaded part is kept") from error
        raise ModelError(f"cannot write in {folder}: {error.strerror or error}") from error


def _receive_all(source: ModelSource, held: _Part, listener: ProgressListener, *, pause_s: float) -> None:
    failures = 0
    while True:
        before = held.size_bytes
        try:
            return _receive(source, held, listener)
        except _Interrupted as reason:
            failures = 1 if held.size_bytes > before else failures + 1
            if failures == _ATTEMPTS:
                raise DownloadInterrupted(f"{source.url}: {reason}") from reason.__cause__
            listener.message(f"{source.name}: {reason}; trying again")
            time.sleep(pause_s * 2 ** (failures - 1))


def _receive(source: ModelSource, held: _Part, listener: ProgressListener) -> None:
    done = held.size_bytes
    if done and not (held.etag or source.sha256):
        done = 0  # nothing could tell whether the rest belongs to the same file
    if source.size_bytes is not None and done == source.size_bytes:
        return
    with _open(source, held, start=done) as response:
        total = _total(source, response, held)
        done = held.size_bytes
        with disk_errors(held.path.parent):
            file = held.path.open("ab")
        with file:
            # Nothing behind the last byte is waited for: trailers, for one, may never end.
            while (total is None or done < total) and (piece := _read(response)):
                with disk_errors(held.path.parent):
                    file.write(piece)
                    file.flush()
                done += len(piece)
                if total is not None and done > total:
                    held.discard()
                    raise ModelError(f"{source.url}: the server sends more than the expected {total} bytes")
                listener.progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done} of {total} bytes")


def _open(source: ModelSource, held: _Part, *, start: int) -> HTTPResponse:
    headers = {"User-Agent": f"trio-stt/{version('trio-stt')}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if held.etag:
            headers["If-Range"] = held.etag
    try:
        response = _opener().open(Request(source.url, headers=headers), timeout=_SILENCE_S)  # noqa: S310 - the opener knows HTTP only
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            held.discard()
            raise _Interrupted("the server's file is shorter than the part that was kept") from error
        problem = f"the server answers {error.code} {_shown(error.reason)}"
        if error.code in _RETRY_STATUS:
            raise _Interrupted(problem) from error
        raise ModelError(f"{source.url}: {problem}") from error
    except URLError as error:
        raise _connection_error(source, error.reason) from error
    except (OSError, HTTPException) as error:
        raise _connection_error(source, error) from error
    assert isinstance(response, HTTPResponse)  # noqa: S101 - what these handlers return
    return response


def _connection_error(source: ModelSource, reason: object) -> Exception:
    """The error for a connection that could not be opened: final, or worth another attempt."""
    host = urlsplit(source.url).hostname
    if isinstance(reason, TimeoutError):
        return _Interrupted(f"{host} sends nothing for {_SILENCE_S:g} s")
    if isinstance(reason, socket.gaierror):
        problem = f"the name {host} cannot be resolved: is there a network?"
    elif isinstance(reason, ssl.SSLCertVerificationError):
        return ModelError(f"{source.url}: the certificate of {host} is not valid: {reason.verify_message}")
    elif isinstance(reason, ssl.SSLError):
        problem = f"the TLS handshake with {host} failed: {reason.reason}"
    elif isinstance(reason, ConnectionRefusedError):
        problem = f"connection refused by {host}"
    else:
        return _Interrupted(f"the connection broke: {_shown(reason)}")
    return DownloadInterrupted(f"{source.url}: {problem}")


def _shown(reason: object) -> str:
    """What a server sent, or an error that quotes it, on one line of a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(reason)[:_SHOWN_CHARACTERS])


def _total(source: ModelSource, response: HTTPResponse, held: _Part) -> int | None:
    """The file's length, if it is known. Starts the part over unless the server continues where it ends.

    Raises:
        ModelError: The server's file has another length than the catalogue says, or no known length.
    """
    total = response.length
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        given = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if given is None or int(given[1]) != held.size_bytes:
            held.discard()
            raise _Interrupted("the server sends another range than the requested one")
        total = None if given[2] == "*" else int(given[2])
    else:
        held.restart(response.headers.get("ETag"))
    if source.size_bytes is not None:
        if total not in (None, source.size_bytes):
            raise ModelError(f"{source.url} has {total} bytes; the catalogue says {source.size_bytes}")
        total = source.size_bytes
    if total is None and not response.chunked:
        raise ModelError(f"{source.url}: the server does not send the file's length")
    return total


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_PIECE_BYTES)
    except TimeoutError as error:
        raise _Interrupted(f"the server sends nothing for {_SILENCE_S:g} s") from error
    except (OSError, HTTPException) as error:
        raise _Interrupted("the connection broke") from error


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from HTTPS to anything else."""

    def redirect_request(  # noqa: PLR0917 - the base class's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to the new address; an HTTP error if that is not HTTPS while the old one was."""
        if req.type == "https" and not newurl.startswith("https:"):
            raise HTTPError(req.full_url, code, f"with a redirect out of TLS, to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    opener = OpenerDirector()  # unlike build_opener, without handlers for file: and ftp:
    handlers = (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, _Redirects)
    for handler in (*handlers, HTTPErrorProcessor):
        opener.add_handler(handler())
    return opener
