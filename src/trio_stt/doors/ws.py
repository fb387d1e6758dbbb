"""The WebSocket route: admission, then a session for as long as the client stays. Contract: section 2.1.

It carries messages; it must not understand them.
"""

from quart import Blueprint, websocket

from trio_stt.protocol.events import Error, Event, Where, encode
from trio_stt.session.house import House, ServerFull
from trio_stt.session.session import Session

CLOSE_TRY_AGAIN_LATER = 1013


class QuartConnection:
    """The current WebSocket as a session's connection."""

    async def receive(self) -> str | bytes:
        """The next message; the handler is cancelled when the client leaves."""
        message: str | bytes | None = await websocket.receive()
        return b"" if message is None else message  # an empty binary frame arrives as None

    async def send(self, event: Event) -> None:
        """Send one text frame."""
        await websocket.send(encode(event))


def ws_routes(house: House) -> Blueprint:
    """The route, bound to a house."""
    routes = Blueprint("ws", __name__)

    @routes.websocket("/ws/transcribe")
    async def transcribe() -> None:
        await websocket.accept()
        try:
            session_id = house.reserve()
        except ServerFull as full:
            refusal = Error(message=str(full), where=Where.ADMISSION, limits=house.limits())
            await websocket.send(encode(refusal))
            await websocket.close(CLOSE_TRY_AGAIN_LATER, "server full")
            return
        try:
            session = Session(session_id=session_id, house=house, connection=QuartConnection())
            house.admit(session)
            await session.run()
        finally:
            house.leave(session_id)

    return routes
