"""The guard before all routes: who may not reach the server gets an HTTP answer, and no session begins.

It owns refusing and logging it. It must not decide who may pass: `access` does. It stands before the web framework,
which fails on some host names before any of its own hooks.
"""

import logging

import msgspec
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope, WWWScope

from trio_stt.doors.access import Access, Refusal

logger = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


class Guard:
    """An ASGI app before another one."""

    def __init__(self, app: ASGIFramework, access: Access) -> None:
        self._app = app
        self._access = access
        self._quiet_until_s = float("-inf")
        self._unsaid = 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope, or refuse it."""
        if scope["type"] == "lifespan" or (refusal := self._access.refusal(scope)) is None:
            await self._app(scope, receive, send)
        else:
            self._log(refusal)
            await _answer(refusal, scope, send)

    def _log(self, refusal: Refusal) -> None:
        """Log a refusal, or count it for the next line: nobody can flood the log."""
        now_s = trio.current_time()
        if now_s < self._quiet_until_s:
            self._unsaid += 1
            return
        others = f"; {self._unsaid} more refused since the last such line" if self._unsaid else ""
        logger.warning("refused a request: the %s is not allowed%s", refusal.cause, others)
        self._quiet_until_s, self._unsaid = now_s + _LOG_EVERY_S, 0


async def _answer(refusal: Refusal, scope: WWWScope, send: ASGISendCallable) -> None:
    body = msgspec.json.encode({"detail": refusal.detail})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # before an accept: 403
