"""A WebSocket whose handler receives from the host directly, without the task, queue and signals of Quart.

It owns only that path. It must not look into messages. On Quart's own path, a silent session costs 19 % more CPU
(benchmarks.session_cost, 50 clients: 10.72 instead of 9.05 ms a second of audio).
"""

from functools import partial
from typing import cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, WebsocketSendEvent
from quart.asgi import ASGIWebsocketConnection
from quart_trio.asgi import TrioASGIWebsocketConnection

from trio_stt.session.connection import ConnectionClosed

MORE = "trio_stt.more"
"""Key of a `websocket.send` event: whether another one follows at once. A host may hold the first back until then."""


class DirectWebsocket(TrioASGIWebsocketConnection):
    """A value for Quart's `asgi_websocket_class`.

    A handler that receives gets the host's next message itself; after a disconnect, `receive` always raises. A handler
    that does not receive does not notice a disconnect. Nothing is cancelled: the frames through which a cancellation
    leaves Quart refer to each other, and would keep the session until the garbage collector runs.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one WebSocket."""
        messages = _Messages(receive)

        async def send_while_connected(event: ASGISendEvent) -> None:
            if not messages.ended:  # Quart closes after the handler, which not every host allows after a disconnect
                await send(event)

        self.receive_channel = messages  # type: ignore[assignment]  # has what Quart uses
        websocket = self._create_websocket_from_scope(send_while_connected)
        # Quart's own methods try to accept the WebSocket again for each message.
        websocket.receive = messages.receive  # type: ignore[method-assign]
        websocket.send = partial(_send, send_while_connected)  # type: ignore[method-assign]
        await ASGIWebsocketConnection.handle_websocket(self, websocket, send_while_connected)


async def _send(send: ASGISendCallable, *messages: str | bytes) -> None:
    """Send messages together, where the host supports it: each but the last is marked with `MORE`."""
    for number, message in enumerate(messages, 1):
        text, binary = (message, None) if isinstance(message, str) else (None, message)
        more = number < len(messages)
        await send(cast(WebsocketSendEvent, {"type": "websocket.send", "bytes": binary, "text": text, MORE: more}))


class _Messages:
    """The receiving end of a channel, as far as Quart uses it.

    Attributes:
        ended: Whether the client has disconnected.
    """

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            ConnectionClosed: The client has disconnected.
        """
        while not self.ended:
            event = await self._receive()
            if event["type"] == "websocket.receive":
                binary = event.get("bytes")
                return event["text"] or "" if binary is None else binary
            self.ended = event["type"] == "websocket.disconnect"
        raise ConnectionClosed("the client has disconnected")
