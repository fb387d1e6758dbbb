"""With which code a client closed its WebSocket, if it did: whether it left, or was cut off.

It owns that one fact. Hypercorn 0.18 tells its apps 1006 whether a close frame came or the network broke. Behind a host
of another kind nothing is noted, and every end counts as a break.
"""

from collections.abc import Mapping

from hypercorn.protocol.ws_stream import WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Event

_KEY = "trio_stt.close_code"
_GOODBYES = frozenset({1000, 1001, 1005})
"""Normal, going away (a page that is left), and no code at all: RFC 6455, section 7.4.1."""

_send_frame = WSStream._send_wsproto_event  # noqa: SLF001 - Hypercorn has no hook here


async def _note_and_send(stream: WSStream, event: Event) -> None:
    """Note the code when a client's close frame is answered."""
    if isinstance(event, CloseConnection) and stream.connection.state is ConnectionState.REMOTE_CLOSING:
        stream.scope[_KEY] = event.code  # type: ignore[literal-required]  # an app may note things there
    await _send_frame(stream, event)


def note_close_codes() -> None:
    """Have the codes noted from now on, in every server of this process."""
    WSStream._send_wsproto_event = _note_and_send  # type: ignore[method-assign,assignment]  # noqa: SLF001 - as above


def said_goodbye(scope: Mapping[str, object]) -> bool:
    """Whether the client of a connection that is over closed it to stay away."""
    return scope.get(_KEY) in _GOODBYES
