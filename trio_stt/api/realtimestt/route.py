"""The WebSocket route: reserves a place, creates a session and serves it over the connection.

See docs/protocol.md, Connecting. `WebSocketAdmission` decides which connections reach this route. It carries messages;
it must not understand them.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import cast

import trio
from quart import Blueprint, websocket

from trio_stt.access.client_identity import client_identity
from trio_stt.access.keyring import REVOKED
from trio_stt.access.message_rate import MessageRateLimiter
from trio_stt.api.websocket_admission import WebSocketAdmission, drain_after_close, reject, upgrade_required
from trio_stt.api.websocket_transport import (
    CLOSE_GOING_AWAY,
    CLOSE_INTERNAL_ERROR,
    CLOSE_NORMAL,
    CLOSE_POLICY,
    CLOSE_SERVICE_RESTART,
    CLOSE_TRY_AGAIN_LATER,
    WebSocketTransport,
    websocket_transport,
)
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.protocol.event_objects import Where
from trio_stt.protocol.events import Error, encode
from trio_stt.server.server_state import ServerState
from trio_stt.server.traffic import NATIVE
from trio_stt.session.connection import CloseReason, ConnectionClosed
from trio_stt.session.session import Session

logger = logging.getLogger(__name__)

WS_PATH = "/ws/transcribe"
_CLOSE_CODES = {
    CloseReason.IDLE: CLOSE_NORMAL,
    CloseReason.SHUTDOWN: CLOSE_GOING_AWAY,
    CloseReason.RESUMED: CLOSE_POLICY,
    CloseReason.FAILED: CLOSE_INTERNAL_ERROR,
    CloseReason.EVICTED: CLOSE_GOING_AWAY,
    CloseReason.OVER: CLOSE_NORMAL,
}


class QuartConnection:
    """The current WebSocket as a session's connection."""

    def __init__(self, admission: WebSocketAdmission, rate_limiter: MessageRateLimiter) -> None:
        self._admission = admission
        self._rate_limiter = rate_limiter
        self._transport = websocket_transport(websocket.scope) or WebSocketTransport()
        self._identity = client_identity(websocket.scope)
        self._is_rejected = False
        # Looked up once, not for each message. The hosting layer's WebSocket class sends several messages at once.
        self._receive, self._send = websocket.receive, cast("Callable[..., Awaitable[None]]", websocket.send)

    @property
    def closed_cleanly(self) -> bool:
        """Whether the client closed the WebSocket itself, or was rejected: its session is not kept for a resume."""
        return self._is_rejected or self._transport.closed_cleanly

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            ConnectionClosed: The client has disconnected, or was rejected.
        """
        message: str | bytes = await self._receive()
        rejection = await self._rate_limiter.admit(is_audio=isinstance(message, bytes))
        if rejection is None and not self._admission.is_still_authorized(self._identity):
            rejection = REVOKED
        if rejection is not None:
            self._is_rejected = True
            await reject(rejection)
            raise ConnectionClosed(rejection.detail)
        return message

    async def send(self, *messages: str) -> None:
        """Send text frames; nothing after a rejection, which closed the WebSocket: Hypercorn would raise."""
        if self._is_rejected:
            await trio.lowlevel.checkpoint()
        else:
            await self._send(*messages)

    def abort(self) -> None:
        """Reset the TCP connection: Hypercorn shields a send that hangs, and closing would wait for it."""
        self._transport.abort()


def ws_routes(server_state: ServerState, admission: WebSocketAdmission) -> Blueprint:
    """The route for the sessions of one server, behind its admission."""
    routes = Blueprint("ws", __name__)

    routes.get(WS_PATH)(upgrade_required)

    @routes.websocket(WS_PATH)
    @admission.wrap
    async def transcribe() -> None:
        try:
            session_id = server_state.reserve(NATIVE)
        except (ServerFull, ServerClosing) as reason:
            rejection = Error(message=str(reason), where=Where.ADMISSION, limits=server_state.limits())
            await websocket.send(encode(rejection))
            full = isinstance(reason, ServerFull)
            await websocket.close(CLOSE_TRY_AGAIN_LATER if full else CLOSE_SERVICE_RESTART, str(reason))
            await drain_after_close()
            return
        try:
            shows_causes = client_identity(websocket.scope).may_administer
            session = Session(session_id=session_id, host=server_state, shows_causes=shows_causes)
        except Exception:
            server_state.leave(session_id)
            logger.exception("session %s could not be created", session_id)
            await websocket.close(CLOSE_INTERNAL_ERROR, CloseReason.FAILED)
            await drain_after_close()
            return
        server_state.start(session)
        try:
            close_reason = await session.serve_connection(
                QuartConnection(admission, MessageRateLimiter(server_state.settings))
            )
        except Exception:  # noqa: BLE001 - the session logged it; Quart would close with 1000
            close_reason = CloseReason.FAILED
        if close_reason:
            await websocket.close(_CLOSE_CODES[close_reason], close_reason)
        await drain_after_close()

    return routes
