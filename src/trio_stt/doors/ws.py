"""The WebSocket route: admission, then a session over this connection for as long as it holds. Contract: section 2.1.

It carries messages; it must not understand them.
"""

import logging

import trio
from quart import Blueprint, websocket

from trio_stt.doors.closing import note_close_codes, said_goodbye
from trio_stt.doors.reset import reset_connection
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.protocol.events import Error, Event, Where, encode
from trio_stt.session.ending import Farewell
from trio_stt.session.house import House
from trio_stt.session.session import Session

logger = logging.getLogger(__name__)

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY_VIOLATION = 1008
CLOSE_INTERNAL_ERROR = 1011
CLOSE_SERVICE_RESTART = 1012
CLOSE_TRY_AGAIN_LATER = 1013
_CLOSE_CODES = {
    Farewell.IDLE: CLOSE_NORMAL,
    Farewell.SHUTDOWN: CLOSE_GOING_AWAY,
    Farewell.RESUMED: CLOSE_POLICY_VIOLATION,
    Farewell.FAILED: CLOSE_INTERNAL_ERROR,
    Farewell.OVER: CLOSE_NORMAL,
}
_LINGER_S = 2.0


class QuartConnection:
    """The current WebSocket as a session's connection."""

    def __init__(self) -> None:
        self._scope = websocket.scope
        self._receive, self._send = websocket.receive, websocket.send  # looked up once, not for each message

    @property
    def closed_cleanly(self) -> bool:
        """Whether the client closed the WebSocket to stay away."""
        return said_goodbye(self._scope)

    async def receive(self) -> str | bytes:
        """The next message; the handler is cancelled when the client leaves."""
        return await self._receive()

    async def send(self, event: Event) -> None:
        """Send one text frame."""
        await self._send(encode(event))

    def abort(self) -> None:
        """Reset the TCP connection beneath: Hypercorn shields a send that hangs, and closing would wait for it."""
        client = self._scope["client"]
        if client is not None:
            reset_connection(client[0], client[1])


async def _linger() -> None:
    """Take what still arrives after a close: Hypercorn never frees a connection whose messages nobody takes."""
    with trio.move_on_after(_LINGER_S):
        while True:
            await websocket.receive()


def ws_routes(house: House) -> Blueprint:
    """The route, bound to a house."""
    routes = Blueprint("ws", __name__)
    note_close_codes()

    @routes.websocket("/ws/transcribe")
    async def transcribe() -> None:
        await websocket.accept()
        try:
            session_id = house.reserve()
        except (ServerFull, ServerClosing) as reason:
            refusal = Error(message=str(reason), where=Where.ADMISSION, limits=house.limits())
            await websocket.send(encode(refusal))
            full = isinstance(reason, ServerFull)
            await websocket.close(CLOSE_TRY_AGAIN_LATER if full else CLOSE_SERVICE_RESTART, str(reason))
            await _linger()
            return
        try:
            session = Session(session_id=session_id, house=house)
        except Exception:
            house.leave(session_id)
            logger.exception("session %s could not be made", session_id)
            await websocket.close(CLOSE_INTERNAL_ERROR, Farewell.FAILED)
            await _linger()
            return
        house.start(session)
        try:
            farewell = await session.converse(QuartConnection())
        except Exception:  # noqa: BLE001 - the session logged it; left to Quart, the client would read a normal close
            farewell = Farewell.FAILED
        if farewell:
            await websocket.close(_CLOSE_CODES[farewell], farewell)
        await _linger()

    return routes
