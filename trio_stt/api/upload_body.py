"""The body of an upload: received within limits of size and time, and written to a file.

Its client needs no key on an open server and keeps a place among the sessions meanwhile, so a body must make progress.
"""

from collections.abc import AsyncIterable, Callable
from typing import BinaryIO

import trio
from quart import request
from werkzeug.exceptions import RequestEntityTooLarge

from trio_stt.api.request_error import NO_RETRY, RequestError

_MAX_BODY_S = 600.0
"""Seconds in which the whole body must arrive: the largest one at 350 kbit/s."""
_STRETCH_S = 30.0
"""Seconds in which each stretch of the body must arrive. No network pauses for longer."""
_STRETCH_BYTES = 15_000
"""Bytes of a stretch: 500 B/s, an eighth of what a telephone sends over a slow mobile network (GPRS). The end of a body
may be shorter."""
_WRITE_BYTES = 1 << 18
"""Bytes of the sound that are written at once, in a thread, because a disk may block."""


class TimedBody:
    """The parts of a body, which must arrive at a least rate.

    The rate is judged by stretches of bytes, not over the whole body: a client that sent much in its first second could
    otherwise drip for minutes.

    Args:
        parts: The body.
    """

    def __init__(self, parts: AsyncIterable[bytes]) -> None:
        self._parts = aiter(parts)
        self._end_s = trio.current_time() + _MAX_BODY_S
        self._begin_stretch()

    async def next_part(self) -> bytes:
        """The next bytes, empty at the end.

        Raises:
            RequestError: They do not come in time.
        """
        with trio.move_on_at(min(self._end_s, self._stretch_end_s)):
            part = await anext(self._parts, b"")
            self._missing_bytes -= len(part)
            if self._missing_bytes <= 0:
                self._begin_stretch()
            return part
        if self._end_s <= self._stretch_end_s:
            raise RequestError(408, f"the body took more than {_MAX_BODY_S:g} s", headers=NO_RETRY)
        rate = _STRETCH_BYTES / _STRETCH_S
        raise RequestError(
            408, f"the body arrived with less than {rate:g} bytes per second for {_STRETCH_S:g} s", headers=NO_RETRY
        )

    def _begin_stretch(self) -> None:
        self._missing_bytes = _STRETCH_BYTES
        self._stretch_end_s = trio.current_time() + _STRETCH_S


async def store_body(source: BinaryIO, feed: Callable[[bytes], bytes], max_bytes: int) -> None:
    """Write the sound in the body of the current request to a file.

    Args:
        source: The file, unbuffered.
        feed: Takes the next bytes of the body; returns those of the sound in them.
        max_bytes: The largest body.

    Raises:
        RequestError: The body is too large or too slow, or cannot be written.
    """
    too_large = RequestError(413, f"the body is larger than {max_bytes} bytes (max_upload_bytes)", param="file")
    received_bytes, pending = 0, bytearray()
    body = TimedBody(request.body)
    try:
        while part := await body.next_part():
            received_bytes += len(part)
            if received_bytes > max_bytes:
                raise too_large
            pending += feed(part)
            if len(pending) >= _WRITE_BYTES:
                await trio.to_thread.run_sync(_write, source, bytes(pending))
                pending.clear()
    except RequestEntityTooLarge:  # Quart's, by the header Content-Length
        raise too_large from None
    await trio.to_thread.run_sync(_write, source, bytes(pending))


def _write(source: BinaryIO, data: bytes) -> None:
    """Write all of it: one call on an unbuffered file may write less, on a full disk above all.

    Raises:
        RequestError: It cannot be written.
    """
    left = memoryview(data)
    try:
        while left:
            left = left[source.write(left) :]
    except OSError as error:
        raise RequestError(507, f"the sound cannot be stored: {error.strerror or error}", headers=NO_RETRY) from None
