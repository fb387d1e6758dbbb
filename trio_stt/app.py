"""The ASGI app that a host imports: `hypercorn trio_stt.app:app`, with the asyncio or the Trio worker.

Settings come from the environment. Importing this module builds the server; `trio_stt.server.build` and
`trio_stt.api.web_app` build one with other settings.
"""

import logging
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import trio

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.api.web_app import build_app
from trio_stt.errors import TrioSttError
from trio_stt.hypercorn_adapter.host_bridge import HostBridge
from trio_stt.hypercorn_adapter.limited_websocket import WebSocketLimits
from trio_stt.hypercorn_adapter.replacements import HostHooks, install_replacements, install_websocket_class
from trio_stt.hypercorn_adapter.verification import verify_replacements
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.server.build import build_server, fetch_wake_words
from trio_stt.server.server_state import ServerState
from trio_stt.settings import load_settings

logger = logging.getLogger(__name__)

_WORDS_OF_COMMAND = 3
"""Words of a command line that may name the program: `hypercorn`, `python hypercorn` or `python -m hypercorn`."""


def _build() -> HostBridge:
    try:
        settings = load_settings()
        start_logging(settings.log_level, settings.log_format)
        fetch_wake_words(settings)
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
            app.nursery.start_soon(_log_failed_lanes, server_state)

        return HostBridge(app)
    except TrioSttError as error:
        print(f"trio-stt: {error}", file=sys.stderr, flush=True)  # noqa: T201 - no log line: logging may not be set up
        _fail_hypercorn()
        sys.exit(1)


def _fail_hypercorn() -> None:
    """End the command `hypercorn`, if it started this process, by a signal. On Linux only.

    It runs the app in child processes and forgets their statuses: by itself it would end with status 0, which a service
    manager takes for an orderly end.
    """
    parent = multiprocessing.parent_process()
    # A worker that outlives the command has another parent, which is none of its business.
    if parent is None or os.getppid() != parent.pid:
        return
    with suppress(OSError):
        words = Path(f"/proc/{parent.pid}/cmdline").read_bytes().split(b"\0")[:_WORDS_OF_COMMAND]
        if any(Path(os.fsdecode(word)).name == "hypercorn" for word in words):
            os.kill(parent.pid, signal.SIGUSR1)  # Hypercorn handles the signals that usually end a process


async def _drain_at(shutting_down: trio.Event, server_state: ServerState) -> None:
    await shutting_down.wait()
    await server_state.drain(server_state.settings.shutdown_grace_s)


async def _log_failed_lanes(server_state: ServerState) -> None:
    await server_state.lanes.wait_loaded()
    for lane, error in server_state.lanes.startup_errors.items():
        logger.error("%s lane: %s", lane, error)


app = _build()
