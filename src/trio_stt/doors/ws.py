"""The WebSocket route: admission, then a session for as long as the client stays. Contract: section 2.1.

It carries messages; it must not understand them.
"""

import trio
from quart import Blueprint, websocket

from trio_stt.doors.reset import reset_connection
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.protocol.events import Error, Event, Where, encode
from trio_stt.session.house import House
from trio_stt.session.session import Farewell, Session

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_INTERNAL_ERROR = 1011
CLOSE_SERVICE_RESTART = 1012
CLOSE_TRY_AGAIN_LATER = 1013
_CLOSE_CODES = {Farewell.IDLE: CLOSE_NORMAL, Farewell.SHUTDOWN: CLOSE_GOING_AWAY}
_LINGER_S = 2.0


class QuartConnection:
    """The current WebSocket as a session's connection."""

    def __init__(self) -> None:
        self._client = websocket.scope["client"]

    async def receive(self) -> str | bytes:
        """The next message; the handler is cancelled when the client leaves."""
        message: str | bytes | None = await websocket.receive()
        return b"" if message is None else message  # an empty binary frame arrives as None

    async def send(self, event: Event) -> None:
        """Send one text frame."""
        await websocket.send(encode(event))

    def abort(self) -> None:
        """Reset the TCP connection beneath: Hypercorn shields a send that hangs, and closing would wait for it."""
        if self._client is not None:
            reset_connection(self._client[0], self._client[1])


async def _linger() -> None:
    """Take what still arrives after a close: Hypercorn never frees a connection whose messages nobody takes."""
    with trio.move_on_after(_LINGER_S):
        while True:
            await websocket.receive()


def ws_routes(house: House) -> Blueprint:
    """The route, bound to a house."""
    routes = Blueprint("ws", __name__)

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
            session = Session(session_id=session_id, house=house, connection=QuartConnection())
            house.admit(session)
            farewell = await session.run()
            if farewell:
                await websocket.close(_CLOSE_CODES[farewell], farewell)
        except Exception:  # noqa: BLE001 - the session logged it; left to Quart, the client would read a normal close
            await websocket.close(CLOSE_INTERNAL_ERROR, "internal error")
        finally:
            house.leave(session_id)
        await _linger()

    return routes
