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
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import trio

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.api.web_app import build_app
from trio_stt.errors import SettingError, TrioSttError
from trio_stt.hypercorn_adapter.host_bridge import HostBridge
from trio_stt.hypercorn_adapter.replacements import HostHooks, install_replacements, install_websocket_class
from trio_stt.hypercorn_adapter.verification import verify_replacements
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits
from trio_stt.lanes.job import JobKind
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
        if settings.processes > 1:
            raise SettingError(
                "processes: only `trio-stt serve` starts several; give the host its own number of workers"
            )
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
            app.nursery.start_soon(_end_if_useless, server_state)

        return HostBridge(app)
    except TrioSttError as error:
        print(f"trio-stt: {error}", file=sys.stderr, flush=True)  # noqa: T201 - no log line: logging may not be set up
        _fail_hypercorn()
        sys.exit(1)


def _fail_hypercorn() -> None:
    """End the command `hypercorn`, if this process is it or its child, by a signal. On Linux only.

    It runs the app in child processes and forgets their statuses: by itself it would end with status 0, which a service
    manager takes for an orderly end.
    """
    parent = multiprocessing.parent_process()
    pid = os.getpid() if parent is None else parent.pid
    # A worker that outlives the command has another parent, which is none of its business.
    if pid is None or pid not in (os.getpid(), os.getppid()):
        return
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:_WORDS_OF_COMMAND]
        if any(Path(os.fsdecode(word)).name == "hypercorn" for word in words):
            _end_other_workers()
            os.kill(pid, signal.SIGUSR1)  # Hypercorn handles the signals that usually end a process


def _end_other_workers() -> None:
    """End the other children of `hypercorn`, which would outlive it, and release the semaphores that it shares with us.

    Python would warn, in several lines, that the command has left them behind.
    """
    with suppress(AttributeError, KeyError):  # the names are private; they are those of CPython 3.11 to 3.14
        shutdown: Any = multiprocessing.current_process()._kwargs["shutdown_event"]  # type: ignore[attr-defined]  # noqa: SLF001
        shutdown.set()
        shared = shutdown._cond  # noqa: SLF001
        semaphores = shared._lock, shared._sleeping_count, shared._woken_count, shared._wait_semaphore, shutdown._flag  # noqa: SLF001
        for semaphore in semaphores:
            resource_tracker.unregister(semaphore._semlock.name, "semaphore")  # noqa: SLF001


async def _drain_at(shutting_down: trio.Event, server_state: ServerState) -> None:
    await shutting_down.wait()
    await server_state.registry.drain(server_state.settings.shutdown_grace_s)


async def _end_if_useless(server_state: ServerState) -> None:
    """Log the lanes that could not load, and end the process if finals have none."""
    lanes = server_state.lanes
    await lanes.wait_loaded()
    for lane, error in lanes.startup_errors.items():
        logger.error("%s lane: %s", lane, error)
    if lanes.ready and lanes.lane_for(JobKind.FINAL).load_error is not None:
        await server_state.registry.drain(server_state.settings.shutdown_grace_s)
        _fail_hypercorn()
        signal.raise_signal(signal.SIGTERM)


app = _build()
