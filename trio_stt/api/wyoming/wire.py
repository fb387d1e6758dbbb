"""The TCP connection of one client: whole frames, with a deadline for each."""

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import trio

from trio_stt.api.dialect import Frame
from trio_stt.api.wyoming.framing import FrameReader
from trio_stt.session.connection import ConnectionClosed

_READ_BYTES = 65_536
_FRAME_TIMEOUT_S = 30.0
"""Seconds from the first byte of a frame to its last: the largest one at 280 kbit/s."""
_SEND_TIMEOUT_S = 20.0
"""Seconds that one send may take."""
_DRAIN_TIMEOUT_S = 2.0
_MAX_PREFETCHED_BYTES = 1 << 20
"""Most bytes that are prefetched, beyond which a client has to wait: 32 s of audio at 16 kHz."""


class ClientSilent(ConnectionClosed):
    """The client sent no frame in time."""


class WyomingWire:
    """See `Wire`.

    Args:
        stream: To the client.
        abort: Closes its socket at once, also while a send hangs.
    """

    def __init__(self, stream: trio.abc.HalfCloseableStream, abort: Callable[[], object]) -> None:
        self._stream = stream
        self._abort = abort
        self._reader = FrameReader()
        self._frames: deque[bytes] = deque()
        self._prefetched = bytearray()  # read, but not yet cut into frames

    def put_back(self, frame: bytes) -> None:
        """Make a received frame the next one again."""
        self._frames.appendleft(frame)

    async def prefetch(self) -> NoReturn:
        """Read what the next calls of `receive` return, until cancelled: only reading notices that a client has left.

        Raises:
            ConnectionClosed: The client is gone.
        """
        while len(self._prefetched) < _MAX_PREFETCHED_BYTES:
            self._prefetched += await self._read()
        await trio.sleep_forever()

    async def receive(self, within_s: float = math.inf) -> bytes:
        """The next frame. Always a checkpoint.

        Args:
            within_s: Seconds in which it must begin and end.

        Raises:
            ConnectionClosed: The client is gone.
            ClientSilent: There was no frame in time.
            InvalidEvent: The client sent something else.
        """
        if self._frames:
            await trio.lowlevel.checkpoint()
            return self._frames.popleft()
        with trio.move_on_after(within_s) as scope:
            while not self._frames:
                if self._reader.is_inside:
                    scope.deadline = min(scope.deadline, trio.current_time() + _FRAME_TIMEOUT_S)
                data, self._prefetched = self._prefetched or await self._read(), bytearray()
                self._frames.extend(self._reader.feed(data))
            return self._frames.popleft()
        raise ClientSilent(f"no event arrived within {within_s:g} s, or not all of one within {_FRAME_TIMEOUT_S:g} s")

    async def _read(self) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionClosed("the client is gone") from None
        if not data:
            raise ConnectionClosed("the client is gone")
        return data

    async def send(self, *frames: Frame) -> None:
        """Send frames.

        Raises:
            ConnectionClosed: The client is gone, or takes nothing.
        """
        data = b"".join(frame if isinstance(frame, bytes) else frame.encode() for frame in frames)
        with trio.move_on_after(_SEND_TIMEOUT_S):
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise ConnectionClosed("the client is gone") from None
            return
        raise ConnectionClosed("the client takes nothing")

    def abort(self) -> None:
        """Close the socket, also while a send hangs."""
        self._abort()

    async def finish(self) -> None:
        """Send the end, and read what still comes: closing with unread data would take the last frames with it."""
        with trio.move_on_after(_DRAIN_TIMEOUT_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_eof()
            while await self._stream.receive_some(_READ_BYTES):
                pass
