"""HTTP routes: the page, `/health`, `/api/config`, `/api/metrics`. Contract: section 1.

They serve what the house reports; they must not compute it.
"""

from pathlib import Path

from quart import Blueprint, Response, jsonify, send_from_directory
from werkzeug.exceptions import HTTPException

from trio_stt.protocol.reports import Report, encode_report
from trio_stt.session.house import House


def page_folder() -> Path:
    """Where the page's files are: inside an installed package, or beside `src` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"


def http_routes(house: House) -> Blueprint:
    """The routes, bound to a house."""
    routes = Blueprint("http", __name__)
    folder = page_folder()

    @routes.get("/")
    async def page() -> Response:
        return await send_from_directory(folder, "index.html", cache_timeout=0)

    @routes.get("/web/<path:name>")
    async def page_file(name: str) -> Response:
        return await send_from_directory(folder, name, cache_timeout=0)

    @routes.get("/health")
    async def health() -> Response:
        return _json(house.health())

    @routes.get("/api/config")
    async def config() -> Response:
        return _json(house.config())

    @routes.get("/api/metrics")
    async def metrics() -> Response:
        return _json(house.metrics())

    @routes.app_errorhandler(HTTPException)
    async def failed(error: HTTPException) -> tuple[Response, int]:
        return jsonify(detail=error.description or error.name), error.code or 500

    return routes


def _json(report: Report) -> Response:
    return Response(encode_report(report), mimetype="application/json")
