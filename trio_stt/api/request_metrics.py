"""ASGI middleware: counts every HTTP request by its route, method and status, also those that are rejected.

It runs before everything that answers. WebSockets are counted as sessions.
"""

import re
from functools import cached_property
from time import perf_counter

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from quart import Quart

from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.request_form import normal_form
from trio_stt.server.http_traffic import HttpTraffic
from trio_stt.server.traffic import OTHER

_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
"""A variable of a route in Quart, such as `<path:model_id>`."""


class RequestMetrics:
    """The middleware before an app.

    Args:
        app: Answers requests.
        routes: Has all its routes when the first request comes.
        traffic: Gets the figures.
    """

    def __init__(self, app: ASGIFramework, routes: Quart, traffic: HttpTraffic) -> None:
        self._app = app
        self._routes = routes
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def send_and_note(event: ASGISendEvent) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        began_s = perf_counter()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            # Not Quart's own match of the URL: a rejected request has none.
            route = self._fixed.get(scope["path"]) or self._route(scope)
            self._traffic.add(route, scope["method"], status, perf_counter() - began_s)

    def _route(self, scope: HTTPScope) -> str:
        """The template of a route whose path is not written like the template."""
        normal = normal_form(scope)
        if isinstance(normal, Rejection):
            return OTHER
        path = normal["path"]
        if path in self._fixed:
            return self._fixed[path]
        return next((route for before, route in self._open if path.startswith(before) and path != before), OTHER)

    @cached_property
    def _fixed(self) -> dict[str, str]:
        """The routes without a variable, by their path."""
        return {route: route for route in http_templates(self._routes) if "{" not in route}

    @cached_property
    def _open(self) -> list[tuple[str, str]]:
        """The routes that end with a variable: the path before it, and the template."""
        return [(route.partition("{")[0], route) for route in http_templates(self._routes) if "{" in route]


def template(rule: str) -> str:
    """A rule of Quart as OpenAPI writes it: `/v1/models/{model_id}`."""
    return _VARIABLE.sub(r"{\1}", rule)


def http_templates(app: Quart) -> list[str]:
    """The templates of all HTTP routes of an app."""
    return sorted({template(rule.rule) for rule in app.url_map.iter_rules() if not rule.websocket})
