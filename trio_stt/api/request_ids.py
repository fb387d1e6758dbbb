"""ASGI middleware: gives each HTTP request an id, also one that is refused before its route.

The answer has it in the header `x-request-id`, and log lines about a failure name it. Answers and handshakes of
Deepgram's `/v1/listen` also have it in `dg-request-id`, and the reason of a refusal in `dg-error`.
"""

from typing import cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from trio_stt.protocol.deepgram_errors import LISTEN_PATH, IdentifiedRequest, current_request

_MAX_ERROR_CHARACTERS = 500
_HTTP_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})
_ANSWERS = _HTTP_ANSWERS | {"websocket.accept"}


class RequestIds:
    """The middleware before an app."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = IdentifiedRequest()
        is_listen = scope["path"].endswith(LISTEN_PATH)
        answers = _ANSWERS if is_listen else _HTTP_ANSWERS

        async def send_with_id(event: ASGISendEvent) -> None:
            if event["type"] in answers:
                added = [(b"x-request-id", request.id.encode())]
                if is_listen:
                    added += _deepgram_headers(request)
                headers = [*cast("dict[str, list[tuple[bytes, bytes]]]", event).get("headers", []), *added]
                event = cast(ASGISendEvent, {**event, "headers": headers})
            await send(event)

        token = current_request.set(request)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            current_request.reset(token)


def _deepgram_headers(request: IdentifiedRequest) -> list[tuple[bytes, bytes]]:
    headers = [(b"dg-request-id", request.id.encode())]
    if request.error:
        printable = "".join(character for character in request.error if character.isprintable())
        headers.append((b"dg-error", printable[:_MAX_ERROR_CHARACTERS].encode("ascii", "replace")))
    return headers
