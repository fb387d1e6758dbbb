"""The WebSocket route of a dialect: checks the handshake, and serves the client over Quart's WebSocket.

Clients of other protocols know no `auth_required` and no `error` event of this server: a missing or wrong key is an
HTTP answer to the handshake. `DialectSpec` says what else differs between dialects.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import trio
from quart import Blueprint, Response, websocket

from trio_stt.access.client_identity import client_identity
from trio_stt.access.credentials import presented_key
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keyring import REVOKED
from trio_stt.access.keys import KeyRecord
from trio_stt.api.dialect import IDLE_CLOSE, Close, Dialect, Frame, Wire, serve_dialect
from trio_stt.api.websocket_admission import WebSocketAdmission, close, drain_after_close, upgrade_required
from trio_stt.api.websocket_transport import (
    CLOSE_SERVICE_RESTART,
    CLOSE_TRY_AGAIN_LATER,
    WebSocketTransport,
    websocket_transport,
)
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.protocol.http_errors import error_json
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.settings import Settings

_RETRY = ((b"retry-after", b"1"),)


class HandshakeRefused(Exception):  # noqa: N818 - an answer to the client, not a fault of the server
    """A handshake asks for what the dialect does not have.

    Args:
        status: Of the HTTP answer, 400 to 499.
        message: One line that says what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a client says when it connects.

    Attributes:
        query: The parameters of the URL in order, decoded; a name may occur several times.
        headers: By name in lower case; of several of a name, the last.
        subprotocols: As offered. One of them may hold the key.
        key: The key that was presented, if any.
        settings: In force.
    """

    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    subprotocols: Sequence[str] = field(repr=False)
    key: str | None = field(repr=False)
    settings: Settings


ServeOne = Callable[[Wire, int], Awaitable[Close | None]]
"""Serves one session of a client over a wire, by its number; returns how the server closes the connection."""


async def _serve_first(wire: Wire, _: Sequence[Dialect], serve_one: ServeOne) -> Close | None:
    return await serve_one(wire, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectSpec:
    """One dialect, as its route needs it.

    Attributes:
        path: Of its WebSocket.
        new_dialect: Makes the translators of a client, one for each of its sessions; raises `HandshakeRefused`.
        subprotocols: Names that the server answers if a client offers them, the preferred one first; never a key.
        full_status: HTTP status of the answer to the handshake if there is no place; None accepts the WebSocket and
            closes it with 1013, or with 1012 while the server shuts down.
        idle_close: How the server closes the connection after `idle_timeout_s`.
        max_message_bytes: Largest message, where that is more than the server's own protocol needs.
        error_body: The JSON of an error, from the path, the status and the message.
        temporary_key: Returns the record behind a key that the server gave out itself; None for other keys.
        serve: Serves a client with its translators: calls `ServeOne` for each, perhaps with a translator of frames in
            front of the wire, for what needs Trio.
        http_routes: Further routes of the dialect.
        start: Awaited before the server serves.
    """

    path: str
    new_dialect: Callable[[Handshake], Sequence[Dialect]]
    subprotocols: Sequence[str] = ()
    full_status: int | None = None
    idle_close: Close = IDLE_CLOSE
    max_message_bytes: int = 0
    error_body: Callable[[str, int, str], bytes] = error_json
    temporary_key: Callable[[str], KeyRecord | None] = lambda _: None
    serve: Callable[[Wire, Sequence[Dialect], ServeOne], Awaitable[Close | None]] = _serve_first
    http_routes: Blueprint | None = None
    start: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint


class _QuartWire:
    """The current WebSocket as the wire of a dialect."""

    def __init__(self, transport: WebSocketTransport) -> None:
        self._transport = transport
        # The hosting layer's WebSocket class sends several frames at once.
        self._receive, self._send = websocket.receive, cast("Callable[..., Awaitable[None]]", websocket.send)

    async def receive(self) -> Frame:
        """The next frame; raises ConnectionClosed when the client is gone."""
        frame: Frame = await self._receive()
        return frame

    async def send(self, *frames: Frame) -> None:
        """Send frames."""
        await self._send(*frames)

    def abort(self) -> None:
        """Reset the TCP connection: Hypercorn shields a send that hangs, and closing would wait for it."""
        self._transport.abort()


def dialect_routes(name: str, spec: DialectSpec, server_state: ServerState, admission: WebSocketAdmission) -> Blueprint:
    """The route of one dialect."""
    routes = Blueprint(name, __name__)
    _add_http_routes(routes, spec)

    @routes.websocket(spec.path)
    async def admit() -> Response | None:
        rejection = await admission.reject_handshake(name, spec.temporary_key)
        if rejection is not None:
            return _refusal(spec, rejection)
        try:
            dialects = spec.new_dialect(_handshake(server_state.settings))
        except HandshakeRefused as refused:
            return _refusal(spec, Rejection(status=refused.status, cause="handshake", detail=str(refused)))
        with admission.counted(client_identity(websocket.scope)) as too_many:
            if too_many is not None:
                server_state.traffic.reject(name, "connections")
                return await _refuse_place(spec, ServerFull(too_many.detail))
            try:
                session_ids = server_state.reserve_several(name, len(dialects))
            except (ServerFull, ServerClosing) as reason:
                return await _refuse_place(spec, reason)
            await _serve(spec, dialects, session_ids, server_state, admission)
        return None

    return routes


async def _serve(
    spec: DialectSpec,
    dialects: Sequence[Dialect],
    session_ids: Sequence[str],
    server_state: ServerState,
    admission: WebSocketAdmission,
) -> None:
    """Accept the current handshake, and serve the client in its sessions, whose places are reserved."""
    try:
        await _accept(spec)
        await admission.wait_turn()
    except BaseException:
        for session_id in session_ids:
            server_state.leave(session_id)
        raise
    transport = websocket_transport(websocket.scope) or WebSocketTransport()
    transport.max_message_bytes = spec.max_message_bytes
    identity = client_identity(websocket.scope)

    async def serve_one(wire: Wire, number: int) -> Close | None:
        return await serve_dialect(
            server_state,
            wire,
            dialects[number],
            session_id=session_ids[number],
            shows_causes=identity.may_administer,
            rejection=lambda: None if admission.is_still_authorized(identity) else REVOKED,
            idle_close=spec.idle_close,
        )

    with suppress(ConnectionClosed):
        closing = await spec.serve(_QuartWire(transport), dialects, serve_one)
        if closing is not None:
            await close(closing.code, closing.reason)
        await drain_after_close()


def _add_http_routes(routes: Blueprint, spec: DialectSpec) -> None:
    if spec.path != "/":  # there is the page
        routes.get(spec.path)(upgrade_required)
    if spec.http_routes is not None:
        routes.register_blueprint(spec.http_routes)


async def _accept(spec: DialectSpec) -> None:
    """Accept the handshake. A browser fails a WebSocket that offered subprotocols and was answered none of them."""
    offered = websocket.requested_subprotocols
    await websocket.accept(subprotocol=next((name for name in spec.subprotocols if name in offered), None))


async def _refuse_place(spec: DialectSpec, reason: ServerFull | ServerClosing) -> Response | None:
    if spec.full_status is not None:
        place = Rejection(status=spec.full_status, cause="place", detail=str(reason), headers=_RETRY)
        return _refusal(spec, place)
    await _accept(spec)
    await close(CLOSE_TRY_AGAIN_LATER if isinstance(reason, ServerFull) else CLOSE_SERVICE_RESTART, str(reason))
    await drain_after_close()
    return None


def _handshake(settings: Settings) -> Handshake:
    return Handshake(
        query=list(websocket.args.items(multi=True)),
        headers={name.lower(): value for name, value in websocket.headers.items()},
        subprotocols=tuple(websocket.requested_subprotocols),
        key=presented_key(websocket.scope),
        settings=settings,
    )


def _refusal(spec: DialectSpec, rejection: Rejection) -> Response:
    response = Response(
        spec.error_body(spec.path, rejection.status, rejection.detail), rejection.status, mimetype="application/json"
    )
    response.headers.update({name.decode(): value.decode() for name, value in rejection.headers})
    return response
