"""HTTP errors in the form of Deepgram's API, whose clients log the id of a request with its errors."""

import os
from contextvars import ContextVar
from dataclasses import dataclass, field

import msgspec

LISTEN_PATH = "/v1/listen"
_CODES = {
    401: "INVALID_AUTH",
    403: "INSUFFICIENT_PERMISSIONS",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}
_FIRST_SERVER_STATUS = 500


def _new_id() -> str:
    """A random UUID of version 4. Each request needs one, and `uuid4` takes 8 us for it instead of 1.5 us."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class IdentifiedRequest:
    """One request or handshake, from its arrival to its answer.

    Attributes:
        id: Its id, a UUID.
        error: Why it was refused; empty if it was not.
    """

    id: str = field(default_factory=_new_id)
    error: str = ""


current_request: ContextVar[IdentifiedRequest] = ContextVar("current_request")
"""The request that the current task answers; unset outside of a server."""


def this_request() -> IdentifiedRequest:
    """The current request; outside of a server, a new one."""
    return current_request.get(None) or IdentifiedRequest()


class DeepgramError(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error."""

    err_code: str
    err_msg: str
    request_id: str


def deepgram_error_json(status: int, message: str) -> bytes:
    """The body of the answer to the current request."""
    request = this_request()
    request.error = message
    code = _CODES.get(status, "INTERNAL_SERVER_ERROR" if status >= _FIRST_SERVER_STATUS else "Bad Request")
    return msgspec.json.encode(DeepgramError(err_code=code, err_msg=message, request_id=request.id))
