"""ASGI middleware: gives each request for `/v1/listen` an id, also one that is refused before its route.

The answer has it in the header `dg-request-id`, and the reason of a refusal in `dg-error`.
"""

from typing import cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from trio_stt.protocol.deepgram_errors import LISTEN_PATH, ListenRequest, current_request

_MAX_ERROR_CHARACTERS = 500
_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class DeepgramRequestIds:
    """The middleware before an app."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan" or not scope["path"].endswith(LISTEN_PATH):
            await self._app(scope, receive, send)
            return
        request = ListenRequest()

        async def send_with_id(event: ASGISendEvent) -> None:
            if event["type"] in _ANSWERS:
                added = [(b"dg-request-id", request.id.encode())]
                if request.error:
                    printable = "".join(character for character in request.error if character.isprintable())
                    added.append((b"dg-error", printable[:_MAX_ERROR_CHARACTERS].encode("ascii", "replace")))
                headers = [*cast("dict[str, list[tuple[bytes, bytes]]]", event).get("headers", []), *added]
                event = cast(ASGISendEvent, {**event, "headers": headers})
            await send(event)

        token = current_request.set(request)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            current_request.reset(token)
