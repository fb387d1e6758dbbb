"""Every name of Hypercorn that trio-stt replaces, in one list, and the one class of Quart.

Call `install_replacements` before Hypercorn serves. Names are replaced where Hypercorn looks them up; a version that
looks elsewhere would silently lose message limits or the liveness check, so `verification` tests each at start-up.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

from hypercorn import protocol
from hypercorn.asyncio import run as asyncio_worker
from hypercorn.asyncio.worker_context import WorkerContext as AsyncioWorkerContext
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.trio import run as trio_worker
from hypercorn.trio.worker_context import WorkerContext as TrioWorkerContext
from quart_trio import QuartTrio

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.hypercorn_adapter.asyncio_connection import AsyncioConnection
from trio_stt.hypercorn_adapter.direct_websocket import DirectWebsocket
from trio_stt.hypercorn_adapter.http1 import CheckedH11Protocol
from trio_stt.hypercorn_adapter.http2 import CheckedH2Protocol
from trio_stt.hypercorn_adapter.limited_websocket import LimitedWSStream
from trio_stt.hypercorn_adapter.trio_connection import TrioConnection
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits

logger = logging.getLogger(__name__)

CHECKED_WITH = {"hypercorn": "0.18.0", "quart": "0.22.0", "quart-trio": "0.12.0", "wsproto": "1.3.2"}
"""The versions that the replacements were written for and tested with."""


TLS_HANDSHAKE_S = 10
"""Seconds for the TLS handshake of a connection, unless the host's configuration says otherwise; Hypercorn's are 60."""
_LOG_INTERVAL_S = 10.0
_SHOWN_CHARACTERS = 200


class _ConnectionErrorLog:
    """Logs errors that ended a connection, one short line in `_LOG_INTERVAL_S`: any client can cause them.

    At level debug, each has its traceback.
    """

    def __init__(self) -> None:
        self._quiet_until_s = float("-inf")

    def __call__(self, error: BaseException) -> None:
        logger.debug("a connection failed", exc_info=error)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if time.monotonic() >= self._quiet_until_s:
            self._quiet_until_s = time.monotonic() + _LOG_INTERVAL_S
            text = ascii(str(error))[:_SHOWN_CHARACTERS]
            logger.error("a connection failed: %s: %s (log_level DEBUG shows each)", type(error).__name__, text)


class _CapacityErrorLog(logging.Filter):
    """Replaces the lines of Trio and asyncio with a traceback, while a process may open no more files.

    They come for each attempt to accept a connection, which both repeat for as long as it fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until_s = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Log one short line in `_LOG_INTERVAL_S` instead of such a record; let others pass."""
        if not record.getMessage().startswith(("accept returned", "socket.accept() out of system resource")):
            return True
        if time.monotonic() >= self._quiet_until_s:
            self._quiet_until_s = time.monotonic() + _LOG_INTERVAL_S
            logger.error("a connection waits: the process has as many files open as it may (ulimit -n, LimitNOFILE)")
        return False


_CAPACITY_ERROR_LOG = _CapacityErrorLog()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHooks:
    """What the replacements ask of the server.

    Attributes:
        websocket_limits: Returns the limits in force.
        on_shutdown: Called on the loop of a worker that is told to end, before it closes anything. Hypercorn then stops
            listening, leaves its sockets `graceful_timeout` to end by themselves (3 s by default) and breaks off the
            rest; its apps hear of the end only after that.
        on_connection_error: Called with an error that ended one connection.
        connection_limits: Counts the connections; None sets no limit.
    """

    websocket_limits: Callable[[], WebSocketLimits]
    on_shutdown: Callable[[], None] = lambda: None
    on_connection_error: Callable[[BaseException], None] = field(default_factory=_ConnectionErrorLog)
    connection_limits: ConnectionLimits | None = None

    current: ClassVar["HostHooks"]
    """Read where a stream or a worker is created; never replaced for those that exist."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One name of Hypercorn, looked up there for each connection or at the start of a worker."""

    module: ModuleType
    name: str
    new: Callable[..., Any]

    def __str__(self) -> str:
        """The full name."""
        return f"{self.module.__name__}.{self.name}"

    def install(self) -> None:
        """Put the new object in place."""
        setattr(self.module, self.name, self.new)


def _limited_stream(*args: Any) -> LimitedWSStream:
    return LimitedWSStream(HostHooks.current.websocket_limits, *args)


def _trio_connection(*args: Any) -> TrioConnection:
    return TrioConnection(HostHooks.current.connection_limits, HostHooks.current.on_connection_error, *args)


def _asyncio_connection(*args: Any) -> AsyncioConnection:
    return AsyncioConnection(HostHooks.current.connection_limits, HostHooks.current.on_connection_error, *args)


def _worker_context(make: Callable[..., Any], *args: Any) -> Any:
    """A worker's context that calls `on_shutdown` when the worker is told to end."""
    context, on_shutdown = make(*args), HostHooks.current.on_shutdown
    terminate = context.terminated.set

    async def notify_and_terminate() -> None:
        on_shutdown()
        await terminate()

    context.terminated.set = notify_and_terminate
    return context


H11_STREAM = Replacement(h11, "WSStream", _limited_stream)
H2_STREAM = Replacement(h2, "WSStream", _limited_stream)
H11_PROTOCOL = Replacement(protocol, "H11Protocol", CheckedH11Protocol)
H2_PROTOCOL = Replacement(protocol, "H2Protocol", CheckedH2Protocol)
TRIO_CONNECTION = Replacement(trio_worker, "TCPServer", _trio_connection)
TRIO_CONTEXT = Replacement(trio_worker, "WorkerContext", partial(_worker_context, TrioWorkerContext))
ASYNCIO_CONNECTION = Replacement(asyncio_worker, "TCPServer", _asyncio_connection)
ASYNCIO_CONTEXT = Replacement(asyncio_worker, "WorkerContext", partial(_worker_context, AsyncioWorkerContext))
REPLACEMENTS = (
    *(H11_STREAM, H2_STREAM, H11_PROTOCOL, H2_PROTOCOL),
    *(TRIO_CONNECTION, TRIO_CONTEXT, ASYNCIO_CONNECTION, ASYNCIO_CONTEXT),
)


def install_replacements(hooks: HostHooks) -> None:
    """Replace the names, for all workers of this process; a second call only changes the hooks."""
    HostHooks.current = hooks
    Config.ssl_handshake_timeout = TLS_HANDSHAKE_S
    for name in ("trio.serve_listeners", "asyncio"):
        logging.getLogger(name).addFilter(_CAPACITY_ERROR_LOG)
    for replacement in REPLACEMENTS:
        replacement.install()


def install_websocket_class(app: QuartTrio) -> None:
    """Let an app serve its WebSockets directly."""
    app.asgi_websocket_class = DirectWebsocket
