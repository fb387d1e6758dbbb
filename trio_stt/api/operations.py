"""The route of `/api/history`: the last hour of the server. See docs/protocol.md, HTTP routes."""

from quart import Blueprint, Response

from trio_stt.protocol.reports import encode_report
from trio_stt.server.all_processes import AllProcesses


def operations_routes(processes: AllProcesses) -> Blueprint:
    """The routes for operators of one server."""
    routes = Blueprint("operations", __name__)

    @routes.get("/api/history")
    async def last_hour() -> Response:
        return Response(encode_report(await processes.history()), mimetype="application/json")

    return routes
