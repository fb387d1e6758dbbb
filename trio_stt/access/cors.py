"""ASGI middleware: CORS. Pages of `allowed_origins` may send requests and read all answers, rejections included.

It answers preflight requests itself, which carry no key. It rejects nothing: an origin that the setting does not name
gets no headers, so its browser withholds the answer, and `middleware` rejects its changes.

Source: WHATWG Fetch, CORS protocol. Cookies are not allowed, because keys travel in `Authorization`.
"""

import re

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope

from trio_stt.access.host_and_origin import Access, header_values

_METHODS = b"GET, HEAD, POST, PATCH"
_HEADERS = b"authorization, content-type"
"""Headers that the routes read, for a preflight request that names none."""
_MAX_AGE_S = b"600"
_READABLE = b"retry-after, www-authenticate, x-request-id"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")
_VARY = (b"vary", b"origin")


class Cors:
    """The middleware before an app.

    Args:
        app: Gets everything except preflight requests of allowed origins.
        access: Knows the allowed origins.
    """

    def __init__(self, app: ASGIFramework, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope."""
        if scope["type"] != "http" or not self._access.has_allowed_origins:
            await self._app(scope, receive, send)
            return
        origin = self._access.allowed_origin(scope)
        headers = [_VARY]
        if origin is not None:
            headers += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _READABLE)]
            if scope["method"] == "OPTIONS" and header_values(scope, b"access-control-request-method"):
                preflight = [*headers, *_preflight_headers(scope), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 204, "headers": preflight})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return

        async def send_with_headers(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event.get("headers", ()), *headers]
            await send(event)

        await self._app(scope, receive, send_with_headers)


def _preflight_headers(scope: HTTPScope) -> list[tuple[bytes, bytes]]:
    wanted = ", ".join(header_values(scope, b"access-control-request-headers"))
    allowed = wanted.encode("latin-1") if _HEADER_NAMES.fullmatch(wanted) else _HEADERS
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", _MAX_AGE_S),
    ]
    if header_values(scope, b"access-control-request-private-network"):  # sent by Chromium for a page of a public site
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers
