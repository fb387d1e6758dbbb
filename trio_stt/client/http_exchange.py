"""One request and its answer over a connection, on anyio and h11."""

from typing import cast

import anyio
import h11
from anyio.abc import ByteStream

from trio_stt.client.address import ConnectError

_READ_BYTES = 1 << 16
_MAX_HEADER_BYTES = 1 << 16


class HttpExchange:
    """The client's end of one exchange. One task may send while another receives.

    Args:
        stream: Open to the server.
        url: Of the server, for messages.
    """

    def __init__(self, stream: ByteStream, url: str) -> None:
        self._stream = stream
        self._url = url
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADER_BYTES)

    async def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        """Send a part of the request; raises the errors of anyio's streams and of h11."""
        if data := self._connection.send(event):
            await self._stream.send(data)

    async def receive(self, within_s: float) -> h11.Event:
        """The next part of the answer.

        Raises:
            ConnectError: The connection broke, or the server is silent for this many seconds.
        """
        try:
            with anyio.fail_after(within_s):
                while True:
                    event = self._connection.next_event()
                    if not (event is h11.NEED_DATA or event is h11.PAUSED):
                        return cast("h11.Event", event)
                    try:
                        data = await self._stream.receive(_READ_BYTES)
                    except anyio.EndOfStream:
                        data = b""
                    self._connection.receive_data(data)
        except TimeoutError:
            raise ConnectError(f"{self._url} does not answer for {within_s:g} s") from None
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, h11.RemoteProtocolError):
            raise ConnectError(f"{self._url} closed the connection before the end of the answer") from None
