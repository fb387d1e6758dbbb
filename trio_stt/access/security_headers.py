"""ASGI middleware: adds headers to every HTTP answer by which browsers block foreign code, frames and guessed types.

It runs before all that answers, including the access middleware. It must not reject requests or change answers.

Sources: W3C Content Security Policy 3 (`'self'` covers WebSockets of the same host, and an AudioWorklet's module is a
script), WHATWG Fetch (`nosniff`), W3C Referrer Policy, RFC 7034 (`X-Frame-Options`, for browsers without the former).
"""

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class SecurityHeaders:
    """The middleware before an app."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope; the rejection of a WebSocket handshake is an HTTP answer, too."""

        async def send_with_headers(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start" or event["type"] == "websocket.http.response.start":
                event["headers"] = [*event.get("headers", ()), *_HEADERS]
            await send(event)

        await self._app(scope, receive, send_with_headers)
