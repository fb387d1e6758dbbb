"""What the connections of both workers share: their deadlines, their admission, and how far an exchange is."""

from dataclasses import dataclass
from typing import Any, cast

import h11
import msgspec
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.utils import parse_socket_addr

from trio_stt.access.connection_limits import Connection, ConnectionLimits
from trio_stt.access.host_and_origin import Rejection

READ_BYTES = 8192
"""Bytes that are read and processed at once. Nothing else runs meanwhile, and the smallest frames of HTTP/2 take 15 us
each: Hypercorn's 64 KiB of them hold the event loop for 0.1 s, again and again."""
_BODY_READ_BYTES = 65_536
"""Likewise, of a body of stated length: an upload of 22 MiB takes 0.7 s instead of 2.4 s. In a body of chunks, the
smallest ones take 30 us each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """What a client can cost outside its requests.

    Attributes:
        closing_s: For a client to end its request after the answer, and for an app to end after its answer.
        sending_s: For a client to read one write, of at most some 100 KB; longer than any session waits for its client.
        probe_s: Between two looks whether a client that sends nothing more is still there.
        discarded_bytes: Rest of a request that is read after an early answer; with a longer one, the client loses the
            answer.
        refusals: Rejected connections that are read until their clients close, at a time: each keeps a descriptor.
    """

    closing_s: float = 2.0
    sending_s: float = 30.0
    probe_s: float = 1.0
    discarded_bytes: int = 1_048_576
    refusals: int = 16


def admit(limits: ConnectionLimits | None, connection: Connection, socket: Any) -> Rejection | None:
    """Count a connection, unless a limit rejects it. `limits` of None counts nothing; `socket` is any worker's."""
    if limits is None:
        return None
    try:
        client = parse_socket_addr(socket.family, socket.getpeername())
    except OSError:  # it is over already
        client = None
    return limits.admit(connection, client[0] if client else None)


def refusal(rejection: Rejection) -> bytes:
    """The answer to a client whose connection is rejected, in HTTP/1.1."""
    body = msgspec.json.encode({"detail": rejection.detail})
    head = f"HTTP/1.1 {rejection.status} Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Retry-After: 5\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def read_bytes(protocol: object) -> int:
    """How many bytes to read next: more of a body of stated length, in HTTP/1, whose request is not answered yet."""
    if isinstance(protocol, H11Protocol) and isinstance(protocol.stream, HTTPStream):
        exchange = http1(protocol)
        if exchange.their_state is h11.SEND_BODY and exchange.our_state is h11.SEND_RESPONSE:
            has_length = any(name == b"content-length" for name, _ in protocol.stream.scope["headers"])
            return _BODY_READ_BYTES if has_length else READ_BYTES
    return READ_BYTES


def awaits_answer(protocol: object) -> bool:
    """Whether a client has sent a whole request, and its answer is not sent yet."""
    if not isinstance(protocol, H11Protocol) or not isinstance(protocol.stream, HTTPStream):
        return False
    return is_finished(protocol) and http1(protocol).our_state in {h11.SEND_RESPONSE, h11.SEND_BODY}


def is_finished(protocol: H11Protocol) -> bool:
    """Whether a client has sent the whole of its last request."""
    return http1(protocol).their_state in {h11.DONE, h11.MUST_CLOSE, h11.CLOSED}


def is_last_answer_sent(protocol: object) -> bool:
    """Whether a connection has nothing more to send: not after an answer that keeps it alive, nor over HTTP/2."""
    if not isinstance(protocol, H11Protocol):
        return False
    exchange = http1(protocol)
    if exchange.our_state is h11.DONE:
        # The answer is complete: keep alive only if the request is, too, never after a handshake.
        return isinstance(protocol.connection, H11WSConnection) or exchange.their_state is not h11.DONE
    return exchange.our_state in {h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}


def http1(protocol: object) -> h11.Connection:
    """The state of both sides of an `H11Protocol`."""
    connection = cast(H11Protocol, protocol).connection
    return connection.h11_connection if isinstance(connection, H11WSConnection) else connection
