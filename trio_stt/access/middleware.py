"""ASGI middleware: rejects unauthorised requests before any route runs.

It owns the order of the checks, the HTTP answer and the log line. It must not decide: `host_and_origin`, `proxies` and
`keyring` do. It runs before the web framework, which fails on some host names before any of its own hooks. Keys of
WebSockets are left to `api.websocket_admission`, which can tell browsers what is wrong.
"""

import logging
from collections.abc import Callable

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope, WWWScope

from trio_stt.access.client_identity import identity_with_key, identity_without_key, with_client
from trio_stt.access.credentials import IN_URL, NO_KEY, key_in_url, presented_key
from trio_stt.access.host_and_origin import Access, Rejection
from trio_stt.access.keyring import Keyring
from trio_stt.access.keys import KeyRecord, KeyScope
from trio_stt.access.proxies import Proxies
from trio_stt.access.rejection_log import RejectionLog
from trio_stt.access.request_form import REDIRECT, normal_form
from trio_stt.protocol.http_errors import error_json

_OPEN_PATHS = frozenset({"/", "/captions", "/health", "/healthz", "/livez", "/openapi.json", "/readyz"})
_ADMIN_PATHS = frozenset({"/api/history", "/api/metrics", "/metrics"})
_READING_METHODS = frozenset({"GET", "HEAD"})
_NEEDS_ADMIN = Rejection(
    status=403,
    cause="scope of the key",
    detail="the scope of this key is talk; here it must be admin",
    headers=((b"www-authenticate", b'Bearer error="insufficient_scope", scope="admin"'),),
)


class AccessMiddleware:
    """The middleware before an app.

    Args:
        app: Gets what is not rejected.
        access: The rules for host names and origins.
        proxies: The trusted proxies; none if None.
        keyring: The keys; without one, no key is needed.
        on_rejected_handshake: Called with the path of a WebSocket handshake that is rejected.
    """

    def __init__(
        self,
        app: ASGIFramework,
        access: Access,
        proxies: Proxies | None = None,
        keyring: Keyring | None = None,
        on_rejected_handshake: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._access = access
        self._proxies = proxies
        self._keyring = keyring if keyring is not None and keyring.is_needed else None
        self._on_rejected_handshake = on_rejected_handshake
        self._log = RejectionLog(logging.getLogger(__name__))

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope, or reject it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        normal = normal_form(scope)
        passed = normal if isinstance(normal, Rejection) else await self._check(normal)
        if isinstance(passed, Rejection):
            if passed.status != REDIRECT:
                self._log.note(passed)
            if scope["type"] == "websocket":
                self._on_rejected_handshake(scope["path"])
            await _answer(passed, scope, send)
        else:
            await self._app(passed, receive, send)

    async def _check(self, scope: WWWScope) -> WWWScope | Rejection:
        """The scope for the routes, with the client's identity; or why it is rejected."""
        # Check `Host` before proxies' headers: a page whose DNS name was rebound to us can set any header but `Host`.
        seen = self._access.host_rejection(scope) or (self._proxies.seen(scope) if self._proxies else scope)
        if isinstance(seen, Rejection):
            return seen
        if rejection := self._access.rejection(seen):
            return rejection
        if self._keyring is None:
            return with_client(seen, identity_without_key(seen))
        if seen["type"] == "websocket":
            return with_client(seen, identity_with_key(seen, None))
        record = await self._check_key(seen, self._keyring)
        if isinstance(record, Rejection):
            return record
        return with_client(seen, identity_with_key(seen, record))

    async def _check_key(self, scope: HTTPScope, keyring: Keyring) -> KeyRecord | Rejection | None:
        """The record of a request's key, None if it has none and needs none; or why it is rejected."""
        if key_in_url(scope):
            return IN_URL
        needed, key = needed_scope(scope["method"], scope["path"]), presented_key(scope)
        if key is None:
            return NO_KEY if needed else None
        client = scope.get("client")
        record = await keyring.check(key, client[0] if client else "")
        if isinstance(record, KeyRecord) and needed and not record.scope.includes(needed):
            return _NEEDS_ADMIN
        return record


def needed_scope(method: str, path: str) -> KeyScope | None:
    """The scope that a key needs for a request, on a server with keys; None if no key is needed."""
    reads = method in _READING_METHODS
    if reads and (path in _OPEN_PATHS or path.startswith(("/web/", "/health/"))):
        return None
    changes_config = path == "/api/config" and not reads
    return KeyScope.ADMIN if changes_config or path in _ADMIN_PATHS else KeyScope.TALK


async def _answer(rejection: Rejection, scope: WWWScope, send: ASGISendCallable) -> None:
    body = error_json(scope["path"], rejection.status, rejection.detail)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *rejection.headers,
    ]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": rejection.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": rejection.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # before an accept: 403
