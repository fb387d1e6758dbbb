"""Checks of HTTP/1.1 requests in which h11 0.16 is more lenient than RFC 9112: ambiguous lengths and unknown versions.

`CheckedH11Protocol` takes the place of Hypercorn's class (see `replacements`). It must not know routes.
"""

from typing import Any

import h11
from hypercorn.protocol.h11 import H11Protocol

_PREFACE = (b"PRI", b"*", b"2.0")
"""First line of an HTTP/2 connection without TLS, which Hypercorn then hands to its HTTP/2 class."""
_BAD_REQUEST, _VERSION_NOT_SUPPORTED = 400, 505


class CheckedH11Protocol(H11Protocol):
    """One HTTP/1 connection."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = _CheckedConnection(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Change to HTTP/2 for its preface only, not for `Upgrade: h2c`, which RFC 9113 has removed.

        A reverse proxy that forwards the header, as it must for WebSockets, would become a tunnel: its client could
        then send any headers, those of the proxy included.
        """
        if _is_preface(event):
            await super()._check_protocol(event)


class _CheckedConnection(h11.Connection):
    def receive_data(self, data: bytes) -> None:
        """As h11's, without empty lines before a request (RFC 9112 section 2.2)."""
        if data and self.their_state is h11.IDLE and not self.trailing_data[0]:
            data = data.lstrip(b"\r\n")
            if not data:  # which would mean the end of the connection
                return
        super().receive_data(data)

    def next_event(self) -> Any:
        """Like h11's, with these checks; Hypercorn answers an error with its status and closes."""
        event = super().next_event()
        if isinstance(event, h11.Request) and (status := _error_status(event)):
            raise h11.RemoteProtocolError("ambiguous or unknown request", error_status_hint=status)
        return event


def _is_preface(request: h11.Request) -> bool:
    return (request.method, request.target, request.http_version) == _PREFACE


def _error_status(request: h11.Request) -> int | None:
    """The status with which a request is rejected; None if it is valid."""
    version = request.http_version
    if not version.startswith(b"1."):
        return None if _is_preface(request) else _VERSION_NOT_SUPPORTED
    names = {name for name, _ in request.headers}
    # RFC 9112 section 6.1: a proxy may use the other length, so that the rest becomes a second request (smuggling).
    if b"transfer-encoding" in names and (b"content-length" in names or version == b"1.0"):
        return _BAD_REQUEST
    return None
