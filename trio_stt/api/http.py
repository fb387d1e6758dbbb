"""HTTP routes: the page, `/health` and its probes, `/api/config`, `/api/metrics`. See docs/protocol.md, HTTP routes.

The routes send reports of `AllProcesses`, with single sessions to administrators only. They must not compute reports.
"""

from pathlib import Path

import msgspec
import trio
from quart import Blueprint, Response, current_app, has_request_context, request, send_from_directory
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestedRangeNotSatisfiable,
    RequestEntityTooLarge,
    RequestTimeout,
)

from trio_stt.access.client_identity import client_identity
from trio_stt.protocol.config_reports import InvalidBody, InvalidPart, InvalidSettings
from trio_stt.protocol.http_errors import error_json
from trio_stt.protocol.json_text import DUPLICATE_KEY, has_duplicate_key
from trio_stt.protocol.reports import ProbeReport, Report, encode_report
from trio_stt.server.all_processes import AllProcesses
from trio_stt.server.probes import restart_reason, unready_reason
from trio_stt.server.public_reports import public_health, public_metrics
from trio_stt.server.server_state import ServerState

_MAX_BODY_BYTES = 65_536
"""Ten times the size of all settings."""
_BODY_TIMEOUT_S = 10.0
_Changes = dict[str, msgspec.Raw]
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def page_folder() -> Path:
    """The folder of the page's files: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "web"
    return installed if installed.is_dir() else package.parent / "web"


def http_routes(server_state: ServerState, processes: AllProcesses) -> Blueprint:
    """The routes of one server, for all of its processes."""
    routes = Blueprint("http", __name__)
    _add_page(routes, page_folder())
    _add_config(routes, server_state, processes)

    @routes.get("/health")
    async def health() -> Response:
        report = await processes.health()
        return _json(report if _is_admin() else public_health(report))

    @routes.get("/healthz")
    @routes.get("/livez")
    @routes.get("/health/live")
    async def live() -> Response:
        return _probe(restart_reason(server_state, shows_causes=_is_admin()))

    @routes.get("/readyz")
    @routes.get("/health/ready")
    async def ready() -> Response:
        return _probe(unready_reason(server_state, shows_causes=_is_admin()))

    @routes.get("/metrics")
    async def prometheus() -> Response:
        content, content_type = await processes.prometheus(request.headers.get("accept", ""))
        return Response(content, content_type=content_type)

    @routes.get("/api/metrics")
    async def metrics() -> Response:
        report = await processes.metrics()
        return _json(report if _is_admin() else public_metrics(report))

    @routes.app_errorhandler(HTTPException)
    async def report_error(error: HTTPException) -> tuple[Response, int, dict[str, str]]:
        status = error.code or 500
        # Such as the methods that a 405 must name.
        headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
        is_request = has_request_context()  # a handshake has none
        detail = _detail(error) if is_request else error.description or error.name
        body = error_json(request.path if is_request else "", status, detail)
        return Response(body, mimetype="application/json"), status, headers

    return routes


def _detail(error: HTTPException) -> str:
    """What is wrong with the current request, in one line."""
    if isinstance(error, MethodNotAllowed):
        return f"{request.method[:20]} is not allowed here; allowed: {', '.join(sorted(error.valid_methods or ()))}"
    if not isinstance(error, NotFound):
        return error.description or error.name
    detail = f"there is nothing at {request.path[:200]}"
    if any(rule.rule == f"/v1{request.path}" for rule in current_app.url_map.iter_rules()):
        return f"{detail}; the base URL of OpenAI's clients ends with /v1"
    return f"{detail}; /openapi.json lists the routes"


def _add_page(routes: Blueprint, folder: Path) -> None:
    @routes.get("/")
    async def page() -> Response:
        return await _send_file(folder, "index.html")

    @routes.get("/captions")
    async def captions() -> Response:
        return await _send_file(folder, "captions.html")

    @routes.get("/web/<path:name>")
    async def page_file(name: str) -> Response:
        try:
            return await _send_file(folder, name)
        except (OSError, ValueError):  # such as a name too long for the file system
            raise NotFound from None


async def _send_file(folder: Path, name: str) -> Response:
    try:
        response = await send_from_directory(folder, name, cache_timeout=0)
    except RequestedRangeNotSatisfiable as error:
        error.length = (folder / name).stat().st_size  # Quart leaves it out, and with it `Content-Range`
        raise
    served = response.content_range
    if served.length is not None and served.stop is not None and served.stop > served.length:
        # A range may end behind the file; quart-trio 0.12 would announce more bytes than it sends.
        response.content_range = ContentRange("bytes", served.start, served.length, served.length)
        response.content_length = served.length - (served.start or 0)
    return response


def _add_config(routes: Blueprint, server_state: ServerState, processes: AllProcesses) -> None:
    @routes.get("/api/config")
    async def config() -> Response:
        return _json(server_state.config())

    @routes.patch("/api/config")
    async def change_config() -> Response:
        if not _is_admin():
            raise Forbidden(
                "settings change only from the server's own machine, through localhost or 127.0.0.1, or where there"
                " are keys with one of the scope admin"
            )
        try:
            changes = _changes(await small_body())
        except _UNREADABLE as error:
            invalid = InvalidPart(type="json_invalid", loc=("body",), msg=str(error))
            return _json(InvalidBody(detail=(invalid,)), 422)
        if "settings" in changes:
            try:
                changes = _changes(bytes(changes["settings"]))
            except _UNREADABLE as error:
                return _json(InvalidSettings(error=f"settings must be a JSON object: {error}"), 400)
        report = await processes.change(changes)
        return _json(report, 400 if report.rejected else 200)


def _is_admin() -> bool:
    return client_identity(request.scope).may_administer


def _json(report: Report, status: int = 200) -> Response:
    return Response(encode_report(report), status, mimetype="application/json")


def _probe(reason: str | None) -> Response:
    return _json(ProbeReport(ok=reason is None, reason=reason), 503 if reason else 200)


def _changes(text: bytes) -> _Changes:
    changes = msgspec.json.decode(text, type=_Changes)
    if has_duplicate_key(text, changes):
        raise msgspec.DecodeError(DUPLICATE_KEY)
    return changes


async def small_body(max_bytes: int = _MAX_BODY_BYTES) -> bytes:
    """The body of the current request, limited in size and time."""
    body = bytearray()
    with trio.move_on_after(_BODY_TIMEOUT_S):
        async for part in request.body:
            body += part
            if len(body) > max_bytes:
                raise RequestEntityTooLarge(f"the body is larger than {max_bytes} bytes")
        return bytes(body)
    raise RequestTimeout(f"the body did not arrive within {_BODY_TIMEOUT_S:g} s")
