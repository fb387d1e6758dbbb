"""The app for an ASGI host: `hypercorn trio_stt.app:app`, with the asyncio or the Trio worker.

Settings come from the environment. Importing this module builds the server; `trio_stt.server.build` and
`trio_stt.api.web_app` build one with other settings.
"""

import sys

import trio

from trio_stt.api.web_app import build_app
from trio_stt.errors import TrioSttError
from trio_stt.hypercorn_adapter.host_bridge import HostBridge, isolate_connection_errors
from trio_stt.hypercorn_adapter.limited_websocket import WebSocketLimits, install_websocket_limits
from trio_stt.hypercorn_adapter.shutdown_hook import on_worker_shutdown
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server
from trio_stt.server.server_state import ServerState
from trio_stt.settings.configuration import load


def _build() -> HostBridge:
    try:
        settings = load()
        start_logging(settings.log_level, settings.log_format)
        isolate_connection_errors()
        server_state = build_server(settings)
        install_websocket_limits(lambda: WebSocketLimits.of(server_state.settings))
        app, told_to_end = build_app(server_state), trio.Event()
        on_worker_shutdown(told_to_end.set)

        @app.before_serving
        async def watch() -> None:
            app.nursery.start_soon(_drain_at, told_to_end, server_state)

        return HostBridge(app)
    except TrioSttError as error:
        sys.exit(f"trio-stt: {error}")


async def _drain_at(told_to_end: trio.Event, server_state: ServerState) -> None:
    await told_to_end.wait()
    await server_state.drain(server_state.settings.shutdown_grace_s)


app = _build()
