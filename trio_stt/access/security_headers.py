"""ASGI middleware: adds headers to every HTTP answer, by which browsers block foreign code, frames and guessed types.

It runs before everything that answers, including the access middleware. It must not reject requests or change answers.

Sources: W3C Content Security Policy 3 (`'self'` covers WebSockets of the same host, and an AudioWorklet's module is a
script), WHATWG Fetch (`nosniff`), W3C Referrer Policy, RFC 7034 (`X-Frame-Options`, for browsers without the former).
"""

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
NO_FRAMES = "'none'"
CONTENT_SECURITY_POLICY = _POLICY + NO_FRAMES


class SecurityHeaders:
    """The middleware before an app.

    Args:
        app: Answers requests.
        frame_ancestors: Pages that may show an answer in a frame, as sources of a Content-Security-Policy.
    """

    def __init__(self, app: ASGIFramework, frame_ancestors: str = NO_FRAMES) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", (_POLICY + frame_ancestors).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if frame_ancestors == NO_FRAMES:  # the old header has no list of origins
            self._headers.append((b"x-frame-options", b"DENY"))

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope; the rejection of a WebSocket handshake is an HTTP answer, too."""

        async def send_with_headers(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start" or event["type"] == "websocket.http.response.start":
                event["headers"] = [*event.get("headers", ()), *self._headers]
            await send(event)

        await self._app(scope, receive, send_with_headers)
