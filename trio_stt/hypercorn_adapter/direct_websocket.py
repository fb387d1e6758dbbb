"""A WebSocket between host and handler, without the task, the queue and the signals that Quart puts between them.

It owns nothing but the passage: at some thousand messages a second that is a third of what receiving costs. It must not
look into messages.
"""

from functools import partial
from typing import cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, WebsocketSendEvent
from quart.asgi import ASGIWebsocketConnection
from quart_trio.asgi import TrioASGIWebsocketConnection

from trio_stt.session.connection import ConnectionClosed

MORE = "trio_stt.more"
"""In what an app sends: whether it sends more at once. A host may wait for that, and need not look."""


class DirectWebsocket(TrioASGIWebsocketConnection):
    """In the place of Quart's `asgi_websocket_class`.

    A handler that receives takes the host's next message itself; when the client has left, `receive` says so, then and
    ever after. One that does not receive does not notice that its client left. Nothing is cancelled: the frames through
    which a cancellation leaves Quart hold each other, and the session, until the garbage collector comes by.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one WebSocket."""
        messages = _Messages(receive)

        async def send_while_there(event: ASGISendEvent) -> None:
            if not messages.over:  # Quart closes after the handler, and not every host takes that then
                await send(event)

        self.receive_channel = messages  # type: ignore[assignment]  # as far as Quart uses it
        websocket = self._create_websocket_from_scope(send_while_there)
        # Quart's own accept anew, as far as they can tell, for each message.
        websocket.receive = messages.receive  # type: ignore[method-assign]
        websocket.send = partial(_send, send_while_there)  # type: ignore[method-assign]
        await ASGIWebsocketConnection.handle_websocket(self, websocket, send_while_there)


async def _send(send: ASGISendCallable, *messages: str) -> None:
    """Send messages, together where the host can: each but the last says that there is more."""
    for number, text in enumerate(messages, 1):
        more = number < len(messages)
        await send(cast(WebsocketSendEvent, {"type": "websocket.send", "bytes": None, "text": text, MORE: more}))


class _Messages:
    """The receiving end of a channel, as far as Quart uses it; `over` when the client left."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self.over = False

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            ConnectionClosed: The client left.
        """
        while not self.over:
            event = await self._receive()
            if event["type"] == "websocket.receive":
                binary = event.get("bytes")
                return event["text"] or "" if binary is None else binary
            self.over = event["type"] == "websocket.disconnect"
        raise ConnectionClosed("the client left")
