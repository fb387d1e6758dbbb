"""Admission of WebSockets: accepts the handshake, authenticates the client, and limits connections per address.

It owns what happens before a session, and must not know sessions. In the server's own protocol, a rejection is an
`error` event and a close code, because browsers show scripts nothing of a rejected handshake: 1008 for a violation or a
wrong key, 1013 where a later attempt may succeed. Clients of other protocols are rejected in the handshake.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import wraps

import trio
from quart import Response, request, websocket

from trio_stt.access.addresses import client_of
from trio_stt.access.client_identity import ClientIdentity, client_identity, identity_with_key, with_client
from trio_stt.access.credentials import IN_URL, NO_KEY, SUBPROTOCOL, key_in_message, key_in_url, presented_key
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keyring import Keyring
from trio_stt.access.keys import KeyRecord
from trio_stt.access.rejection_log import RejectionLog
from trio_stt.api.websocket_transport import CLOSE_POLICY, CLOSE_TRY_AGAIN_LATER
from trio_stt.processes.counts import ClientCount
from trio_stt.protocol.event_objects import Where
from trio_stt.protocol.events import AuthRequired, Error, encode
from trio_stt.protocol.http_errors import error_json
from trio_stt.server.server_state import ServerState
from trio_stt.server.stagger import Stagger
from trio_stt.server.traffic import NATIVE, RejectionReason
from trio_stt.session.connection import ConnectionClosed

AUTH_TIMEOUT_S = 5.0
"""Seconds from the handshake within which the key must arrive."""
_MAX_REASON_BYTES = 123
"""Longest reason in a close frame, in bytes (RFC 6455 section 5.5)."""
_TOO_MANY = 429
_UPGRADE_REQUIRED = 426
_DRAIN_TIMEOUT_S = 2.0
_NO_KEY = Rejection(
    status=401,
    cause="missing key",
    detail=f"a key is needed within {AUTH_TIMEOUT_S:g} s: in the header `Authorization: Bearer`, as the subprotocol"
    f' `{SUBPROTOCOL}.key.KEY` beside `{SUBPROTOCOL}`, or as a first message `{{"type":"auth","key":"KEY"}}`',
)


class WebSocketAdmission:
    """Decides which WebSockets reach their route.

    Args:
        server_state: Has the limits, and counts rejections.
        keyring: The keys.
    """

    def __init__(self, server_state: ServerState, keyring: Keyring) -> None:
        self._server_state = server_state
        self._keyring = keyring
        self._open: Counter[str] = Counter()  # connections by client address
        self._log = RejectionLog(logging.getLogger(__name__))
        # One connection per scheduler pass, so that a burst does not delay connected clients: a new session takes 1 ms.
        self._gate = Stagger()

    def wrap(self, route: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """A route that only admitted WebSockets reach, after their handshake."""

        @wraps(route)
        async def admit() -> None:
            # The reply names an offered subprotocol: without one, a browser fails a socket that offered some.
            await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in websocket.requested_subprotocols else None)
            # After accept(): Hypercorn fails on frames that arrive before the reply to the handshake.
            await self.wait_turn()
            identity = client_identity(websocket.scope)
            # A client that disconnects before it has a session is nothing to report.
            with suppress(ConnectionClosed), self.counted(identity) as too_many:
                rejection = too_many or await self._authenticate(identity)
                if rejection is None:
                    await route()
                else:
                    self._note(rejection, NATIVE, "connections" if rejection is too_many else "access")
                    await reject(rejection)
                    await drain_after_close()

        return admit

    async def wait_turn(self) -> None:
        """Wait until the current connection may have its session."""
        await self._gate.wait_turn()

    @contextmanager
    def counted(self, identity: ClientIdentity) -> Iterator[Rejection | None]:
        """Count a connection of a client within a block; gives why it is rejected if it is one too many."""
        client = client_of(identity.address)
        counts = self._server_state.counts
        with counts.exclusive():
            self._open[client] += 1
            counts.add_client(ClientCount.WEBSOCKETS, client, 1)
            rejection = self._reject_too_many(client)
        try:
            yield rejection
        finally:
            counts.add_client(ClientCount.WEBSOCKETS, client, -1)
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    async def reject_handshake(
        self, dialect: str, temporary_key: Callable[[str], KeyRecord | None]
    ) -> Rejection | None:
        """Check the key in the current handshake, before it is accepted; returns why it is rejected.

        Args:
            dialect: Of the client.
            temporary_key: Returns the record behind a key that the server gave out itself; None for other keys.
        """
        if not self._keyring.is_needed:
            return None
        rejection = await self._reject_key(presented_key(websocket.scope), temporary_key)
        if rejection is not None:
            self._note(rejection, dialect, "access")
        return rejection

    async def _reject_key(self, key: str | None, temporary_key: Callable[[str], KeyRecord | None]) -> Rejection | None:
        if key_in_url(websocket.scope):
            return IN_URL
        if key is None:
            return NO_KEY
        record = temporary_key(key)
        if record is None or not self._keyring.is_still_authorized(record):
            return await self._check(key, client_identity(websocket.scope))
        # Whatever the key behind it may do, a temporary one may only talk.
        _identify(record, may_administer=False)
        return None

    def is_still_authorized(self, identity: ClientIdentity) -> bool:
        """Whether the client's key, if it has one, was not revoked meanwhile."""
        return identity.record is None or self._keyring.is_still_authorized(identity.record)

    def _reject_too_many(self, client: str) -> Rejection | None:
        limit = self._server_state.settings.max_connections_per_address
        others = self._server_state.counts.others_of_client(ClientCount.WEBSOCKETS, client)
        if self._open[client] + others <= limit:
            return None
        return Rejection(
            status=429,
            cause="number of connections from an address",
            detail=f"too many connections from this address: max_connections_per_address is {limit}",
        )

    async def _authenticate(self, identity: ClientIdentity) -> Rejection | None:
        """Check the client's key and attach its identity to the scope; returns why it is rejected."""
        if not self._keyring.is_needed:
            return None
        if key_in_url(websocket.scope):
            return IN_URL
        key = presented_key(websocket.scope)
        if key is None:
            await websocket.send(encode(AuthRequired(timeout_seconds=AUTH_TIMEOUT_S)))
            with trio.move_on_after(AUTH_TIMEOUT_S):
                key = key_in_message(await websocket.receive())
            if key is None:
                return _NO_KEY
        return await self._check(key, identity)

    async def _check(self, key: str, identity: ClientIdentity) -> Rejection | None:
        record = await self._keyring.check(key, identity.address)
        if not isinstance(record, KeyRecord):
            return record
        _identify(record)
        return None

    def _note(self, rejection: Rejection, dialect: str, reason: RejectionReason) -> None:
        self._server_state.traffic.reject(dialect, reason)
        self._log.note(rejection)


def _identify(record: KeyRecord, *, may_administer: bool = True) -> None:
    """Attach the identity of a key to the scope of the current client."""
    known = identity_with_key(websocket.scope, record)
    known = replace(known, may_administer=known.may_administer and may_administer)
    websocket.scope["state"] = with_client(websocket.scope, known)["state"]


async def reject(rejection: Rejection) -> None:
    """Send the current client the reason of its rejection, and close its WebSocket."""
    await websocket.send(encode(Error(message=rejection.detail, where=Where.ADMISSION)))
    code = CLOSE_TRY_AGAIN_LATER if rejection.status == _TOO_MANY else CLOSE_POLICY
    await close(code, rejection.detail)


async def close(code: int, reason: str) -> None:
    """Close the current WebSocket. A reason that is too long for the close frame is cut."""
    await websocket.close(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))


async def upgrade_required() -> tuple[Response, int, dict[str, str]]:
    """The answer to a request for a WebSocket that is no handshake."""
    headers = {"Sec-WebSocket-Version": "13"}
    if request.http_version == "1.1":  # HTTP/2 has no such headers
        headers |= {"Connection": "upgrade", "Upgrade": "websocket"}
    detail = "this address takes WebSocket handshakes only"
    body = error_json(request.path, _UPGRADE_REQUIRED, detail)
    return Response(body, mimetype="application/json"), _UPGRADE_REQUIRED, headers


async def drain_after_close() -> None:
    """Receive what still arrives after a close: Hypercorn never frees a connection with unread messages."""
    with trio.move_on_after(_DRAIN_TIMEOUT_S), suppress(ConnectionClosed):
        while True:
            await websocket.receive()
