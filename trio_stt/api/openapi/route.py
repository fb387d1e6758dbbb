"""The route of `/openapi.json`. Routes of dialects that are switched off are not in it."""

from functools import cache

import trio
from quart import Blueprint, Quart, Response

from trio_stt.api.openapi.declarations import OPERATIONS
from trio_stt.api.openapi.document import openapi_json
from trio_stt.api.request_metrics import template

_ADDED_METHODS = {"HEAD", "OPTIONS"}


def openapi_routes(app: Quart, *, has_keys: bool) -> Blueprint:
    """The route of an app.

    Args:
        app: Has all its other routes when the first request is served.
        has_keys: Whether its clients need keys.
    """
    routes = Blueprint("openapi", __name__)

    @cache
    def content() -> bytes:
        served = served_methods(app)
        return openapi_json([each for each in OPERATIONS if (each.method, each.path) in served], has_keys=has_keys)

    @routes.get("/openapi.json")
    async def openapi() -> Response:
        # In a thread, because it takes 10 ms the first time, and live sessions would wait.
        return Response(await trio.to_thread.run_sync(content), mimetype="application/json")

    return routes


def served_methods(app: Quart) -> set[tuple[str, str]]:
    """Method and path of every HTTP route of an app, without the methods that Quart adds."""
    return {
        (method, template(rule.rule))
        for rule in app.url_map.iter_rules()
        if not rule.websocket
        for method in (rule.methods or set()) - _ADDED_METHODS
    }
