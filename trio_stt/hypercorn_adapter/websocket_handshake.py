"""The handshake of a WebSocket, as RFC 6455 has it where Hypercorn 0.18 does not.

It owns the stream until the app has accepted it; `limited_websocket` owns it from then on.
"""

import re
from dataclasses import replace
from typing import cast

from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent
from wsproto.handshake import WEBSOCKET_VERSION

_KEY = b"sec-websocket-key"
_VALID_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64 (RFC 6455 section 4.1); the last character holds two bits."""
_LISTS = frozenset({b"connection", b"sec-websocket-extensions", b"sec-websocket-protocol"})
"""Headers whose lists Hypercorn reads as ASCII; it fails on anything else."""
_BAD_REQUEST, _UPGRADE_REQUIRED = 400, 426
_ABNORMAL_END = cast(ASGIReceiveEvent, {"type": "websocket.disconnect", "code": 1006, "reason": None})


class CheckedHandshake(WSStream):
    """One WebSocket, up to the end of its handshake."""

    _is_answered = False  # the app has answered the handshake, or begun to

    async def handle(self, event: Event) -> None:
        """Process an event from Hypercorn."""
        if isinstance(event, Request):
            event = replace(event, headers=_checked(event.headers))
        if isinstance(event, Body | Data) and not self.handshake.accepted:
            await self._refuse_early_data()
            return
        await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Send an event of the app."""
        self._is_answered = True
        await super().app_send(message)

    async def _send_error_response(self, status_code: int) -> None:
        """Reject the handshake; one with another version learns which one the server has (RFC 6455 section 4.4)."""
        if status_code != _BAD_REQUEST or self.handshake.version == WEBSOCKET_VERSION:
            await super()._send_error_response(status_code)
            return
        headers = [(b"sec-websocket-version", WEBSOCKET_VERSION), (b"content-length", b"0")]
        if self.handshake.http_version == "1.1":  # HTTP/2 has no such headers
            headers += [(b"connection", b"upgrade, close"), (b"upgrade", b"websocket")]
        await self.send(Response(stream_id=self.stream_id, status_code=_UPGRADE_REQUIRED, headers=headers))
        await self.send(EndBody(stream_id=self.stream_id))

    async def _refuse_early_data(self) -> None:
        """Answer a client that sends frames before the answer to its handshake, and end the connection.

        Where the app has begun another answer, that one stands. All of the app's later events are ignored: Hypercorn
        sends both answers, and the second one fails inside h11.
        """
        if self.closed or self._is_answered:
            return
        self.closed = True  # before the first checkpoint, at which the app would answer
        if self.app_put is not None:
            await self.app_put(_ABNORMAL_END)
        await self._send_error_response(_BAD_REQUEST)
        await self.send(StreamClosed(stream_id=self.stream_id))


def _checked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a handshake; of an invalid one without its key and its lists: Hypercorn then answers 400.

    The key must be one of 16 bytes. A body is invalid, too: its bytes would be taken for frames.
    """
    names = [name.lower() for name, _ in headers]
    keys = [value for name, value in headers if name.lower() == _KEY]
    is_valid = (
        (not keys or (len(keys) == 1 and _VALID_KEY.fullmatch(keys[0]) is not None))  # HTTP/2 has none
        and b"transfer-encoding" not in names
        and all(value.isascii() for name, value in headers if name.lower() in _LISTS)
        and all(value == b"0" for name, value in headers if name.lower() == b"content-length")
    )
    if is_valid:
        return headers
    return [(name, value) for name, value in headers if name.lower() not in {_KEY, *_LISTS}]
