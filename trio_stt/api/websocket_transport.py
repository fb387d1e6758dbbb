"""What a WebSocket route learns from its host beyond ASGI: the client's close code, and a way to abort the connection.

The hosting adapter puts one `WebSocketTransport` into the scope of each WebSocket. Hosts without the adapter put none:
there no close code is known, so every end counts as a lost connection, and `abort` does nothing.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_UNSUPPORTED = 1003
CLOSE_POLICY = 1008
CLOSE_INTERNAL_ERROR = 1011
CLOSE_SERVICE_RESTART = 1012
CLOSE_TRY_AGAIN_LATER = 1013

_SCOPE_KEY = "trio_stt.transport"
_CLEAN_CLOSE_CODES = frozenset({1000, 1001, 1005})
"""Normal, going away (the page was left) and no code at all: RFC 6455, section 7.4.1."""


@dataclass(slots=True)
class WebSocketTransport:
    """The connection beneath one WebSocket.

    Attributes:
        reset: Resets the TCP connection, also while a send hangs; None where the host cannot.
        close_code: From the client's close frame; None until one came.
        max_message_bytes: Largest message, where its protocol needs larger ones than the server's own.
    """

    reset: Callable[[], None] | None = None
    close_code: int | None = None
    max_message_bytes: int = 0

    @property
    def closed_cleanly(self) -> bool:
        """Whether the client closed the WebSocket itself, so that it will not come back for its session."""
        return self.close_code in _CLEAN_CLOSE_CODES

    def abort(self) -> None:
        """Reset the connection beneath, where the host can."""
        if self.reset is not None:
            self.reset()


def attach_transport(scope: MutableMapping[str, object], transport: WebSocketTransport) -> None:
    """Put a transport into the scope of its WebSocket."""
    scope[_SCOPE_KEY] = transport


def websocket_transport(scope: Mapping[str, object]) -> WebSocketTransport | None:
    """The transport that the host attached; None where it attached none."""
    transport = scope.get(_SCOPE_KEY)
    return transport if isinstance(transport, WebSocketTransport) else None
