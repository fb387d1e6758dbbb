"""The ASGI app that a host imports: `hypercorn trio_stt.app:app`, with the asyncio or the Trio worker.

Settings come from the environment. Importing this module builds the server; `trio_stt.server.build` and
`trio_stt.api.web_app` build one with other settings.
"""

import sys

import trio

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.api.web_app import build_app
from trio_stt.errors import TrioSttError
from trio_stt.hypercorn_adapter.host_bridge import HostBridge
from trio_stt.hypercorn_adapter.limited_websocket import WebSocketLimits
from trio_stt.hypercorn_adapter.replacements import HostHooks, install_replacements, install_websocket_class
from trio_stt.hypercorn_adapter.verification import verify_replacements
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server
from trio_stt.server.server_state import ServerState
from trio_stt.settings import load_settings


def _build() -> HostBridge:
    try:
        settings = load_settings()
        start_logging(settings.log_level, settings.log_format)
        server_state, shutting_down = build_server(settings), trio.Event()
        install_replacements(
            HostHooks(
                websocket_limits=lambda: WebSocketLimits.of(server_state.settings),
                on_shutdown=shutting_down.set,
                connection_limits=ConnectionLimits(lambda: server_state.settings),
            )
        )
        app = build_app(server_state, before_start=verify_replacements)
        install_websocket_class(app)

        @app.before_serving
        async def watch() -> None:
            app.nursery.start_soon(_drain_at, shutting_down, server_state)

        return HostBridge(app)
    except TrioSttError as error:
        sys.exit(f"trio-stt: {error}")


async def _drain_at(shutting_down: trio.Event, server_state: ServerState) -> None:
    await shutting_down.wait()
    await server_state.drain(server_state.settings.shutdown_grace_s)


app = _build()
