"""A WebSocket between host and handler, without the task, the queue and the signals that Quart puts between them.

It owns nothing but the passage: at some thousand messages a second that is a third of what receiving costs. It must not
look into messages.
"""

from typing import cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketSendEvent
from quart_trio.asgi import TrioASGIWebsocketConnection


class DirectWebsocket(TrioASGIWebsocketConnection):
    """In the place of Quart's `asgi_websocket_class`.

    A handler that receives takes the host's next message itself; when the client has left, it is cancelled there. One
    that does not receive does not notice that its client left.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one WebSocket."""
        async with trio.open_nursery() as nursery:
            self.receive_channel = _Messages(receive, nursery.cancel_scope)  # type: ignore[assignment]  # as far as Quart uses it
            await self.handle_websocket(nursery, self._create_websocket_from_scope(send), send)

    async def send_data(self, send: ASGISendCallable, data: str | bytes) -> None:
        """Send a message."""
        text, binary = (data, None) if isinstance(data, str) else (None, data)
        await send(cast(WebsocketSendEvent, {"type": "websocket.send", "bytes": binary, "text": text}))


class _Messages:
    """The receiving end of a channel, as far as Quart uses it."""

    def __init__(self, receive: ASGIReceiveCallable, connected: trio.CancelScope) -> None:
        self._receive = receive
        self._connected = connected

    async def receive(self) -> str | bytes:
        """The next message; `connected` is cancelled when the client left."""
        while True:
            event = await self._receive()
            if event["type"] == "websocket.receive":
                binary = event.get("bytes")
                return event["text"] or "" if binary is None else binary
            if event["type"] == "websocket.disconnect":
                self._connected.cancel()
                await trio.sleep_forever()
