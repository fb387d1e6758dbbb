"""Verifies at start-up, by real handshakes over a loopback connection, that each replacement is in force.

`verify_replacements` serves a small app with the worker of the running event loop, opens WebSockets to it as a hostile
client would, and fails where Hypercorn or Quart behave as they do without the replacement.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any, cast

import trio
from hypercorn.asyncio import serve as serve_on_asyncio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_on_trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from quart import websocket
from quart_trio import QuartTrio

from trio_stt.api.websocket_transport import websocket_transport
from trio_stt.errors import HostError
from trio_stt.hypercorn_adapter import limited_websocket
from trio_stt.hypercorn_adapter.direct_websocket import MORE
from trio_stt.hypercorn_adapter.handshake_checks import (
    ABORTED_PATH,
    MESSAGE_BYTES,
    SLOW_PATH,
    is_aborted,
    is_closed_after_error,
    is_early_frame_refused,
    is_half_closed_answered,
    is_limited,
    is_limited_over_http2,
    is_unknown_version_rejected,
    is_unreadable_request_answered_over_http2,
    is_watched,
)
from trio_stt.hypercorn_adapter.host_bridge import HostBridge
from trio_stt.hypercorn_adapter.replacements import (
    ASYNCIO_CONNECTION,
    ASYNCIO_CONTEXT,
    CHECKED_WITH,
    H2_PROTOCOL,
    H2_STREAM,
    H11_PROTOCOL,
    H11_STREAM,
    TRIO_CONNECTION,
    TRIO_CONTEXT,
    HostHooks,
    install_websocket_class,
)
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits

logger = logging.getLogger(__name__)

_LIVENESS_S = 0.006
_SLOW_S = 0.005
"""Seconds, longer than the worker takes to see that a client sends nothing more."""
_TIMEOUT_S = 2.0
"""Seconds for one check that gets no answer; all others take some milliseconds."""
_NO_ADAPTER = 4000
"""Close code of the app if its scope has no transport."""
_SCOPE: Scope = {
    "type": "websocket",
    "asgi": {"spec_version": "2.3", "version": "3.0"},
    "http_version": "1.1",
    "scheme": "ws",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"127.0.0.1")],
    "client": None,
    "server": None,
    "subprotocols": [],
    "extensions": {},
    "state": cast("Any", {}),
}


async def verify_replacements() -> None:
    """Verify the replacements for the worker of the running event loop; call it before lanes load.

    Raises:
        HostError: A replacement is not in force.
    """
    before, probe = HostHooks.current, _Probe()
    limits_log = logging.getLogger(limited_websocket.__name__)
    limits_log.disabled = True  # of violations that are made here
    # No connection exists yet, and a worker that was created already keeps its own hooks.
    HostHooks.current = HostHooks(
        websocket_limits=lambda: probe.limits, on_shutdown=probe.note_shutdown, on_connection_error=probe.note_error
    )
    try:
        failed = [name for name, is_in_force in (await _findings(probe)).items() if not is_in_force]
    except OSError as error:  # of the listening socket; those of a check count as its failure
        logger.warning("the replacements in the web server could not be verified: no loopback address: %s", error)
        return
    finally:
        HostHooks.current = before
        limits_log.disabled = False
    if failed:
        installed = ", ".join(f"{name} {version(name)} (tested: {known})" for name, known in CHECKED_WITH.items())
        raise HostError(
            f"the web server does not use what trio-stt replaces in it: {', '.join(failed)}. Without that, limits and"
            f" time-outs would not hold. Install the versions that trio-stt was tested with: {installed}"
        )


async def _findings(probe: "_Probe") -> dict[str, bool]:
    """Whether each replacement is in force, by its name."""
    try:
        loop = asyncio.get_running_loop()  # Trio runs as a guest of asyncio
    except RuntimeError:
        serving, context = _serving_on_trio(probe.app), TRIO_CONTEXT
    else:
        serving, context = _serving_on_asyncio(probe.app, loop), ASYNCIO_CONTEXT
    found = {"quart_trio.QuartTrio.asgi_websocket_class": await _holds(_is_direct)}
    async with serving as port:
        found[str(H11_STREAM)] = await _holds(is_limited, port) and await _holds(is_aborted, port)
        found[str(H11_STREAM)] &= await _holds(is_early_frame_refused, port)
        found[str(H2_STREAM)] = await _holds(is_limited_over_http2, port)
        found[str(H11_PROTOCOL)] = await _holds(is_unknown_version_rejected, port)
        found[str(H2_PROTOCOL)] = await _holds(is_unreadable_request_answered_over_http2, port)
        probe.limits = WebSocketLimits(max_message_bytes=MESSAGE_BYTES, liveness_timeout_s=_LIVENESS_S)
        found[str(H11_STREAM)] &= await _holds(is_watched, port)
        connection = TRIO_CONNECTION if context is TRIO_CONTEXT else ASYNCIO_CONNECTION
        found[str(connection)] = await _holds(is_half_closed_answered, port)
        if context is TRIO_CONTEXT and found[str(H11_STREAM)]:
            # No timer can wait for less than nothing: it fails in each connection.
            probe.limits = WebSocketLimits(max_message_bytes=MESSAGE_BYTES, liveness_timeout_s=-1.0)
            found[str(connection)] &= await _holds(is_closed_after_error, port) and probe.errors > 0
    found[str(context)] = probe.was_notified
    return found


async def _holds(check: Callable[..., Awaitable[bool]], *args: Any) -> bool:
    with trio.move_on_after(_TIMEOUT_S):
        try:
            return await check(*args)
        except (OSError, trio.BrokenResourceError):
            return False
    return False


class _Probe:
    """A small app, and what the replacements reported."""

    def __init__(self) -> None:
        self.limits = WebSocketLimits(max_message_bytes=MESSAGE_BYTES, liveness_timeout_s=0.0)
        self.was_notified = False
        self.errors = 0

    def note_shutdown(self) -> None:
        self.was_notified = True

    def note_error(self, _error: BaseException) -> None:
        self.errors += 1

    async def app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Accept a WebSocket and take messages until it is closed; reject a request."""
        await receive()
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            if scope["path"] == SLOW_PATH:
                with trio.move_on_after(_SLOW_S):
                    await receive()
                    return  # a disconnect, after which Quart would answer nothing
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            transport = websocket_transport(cast("dict[str, object]", scope))
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            if transport is None or transport.reset is None:
                await send({"type": "websocket.close", "code": _NO_ADAPTER, "reason": None})
            elif scope["path"] == ABORTED_PATH:
                transport.abort()
            while (await receive())["type"] != "websocket.disconnect":
                pass


async def _is_direct() -> bool:
    """A handler takes the host's event itself, and several messages of it go out together."""
    app = QuartTrio(__name__)
    install_websocket_class(app)
    taken: list[ASGIReceiveEvent] = [
        {"type": "websocket.disconnect", "code": 1000},
        {"type": "websocket.receive", "bytes": None, "text": "message"},
        {"type": "websocket.connect"},
    ]
    sent: list[ASGISendEvent] = []

    @app.websocket("/")
    async def echo() -> None:
        await websocket.accept()
        await cast("Callable[..., Awaitable[None]]", websocket.send)(await websocket.receive(), "another")

    async def receive() -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        return taken.pop()

    async def send(event: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(event)

    await app.asgi_app(_SCOPE, receive, send)
    return [event.get(MORE) for event in sent if event["type"] == "websocket.send"] == [True, False]


@asynccontextmanager
async def _serving_on_trio(app: ASGIFramework) -> AsyncIterator[int]:
    stop = trio.Event()

    async def serve() -> None:
        try:
            await serve_on_trio(app, config, shutdown_trigger=stop.wait)
        except* Exception:  # noqa: BLE001 - a check that finds no server says so
            listener.close()

    with _listener() as (listener, config):
        async with trio.open_nursery() as nursery:
            # The socket already listens: connections wait in its backlog until the server accepts.
            nursery.start_soon(serve)  # noqa: ASYNC113
            yield listener.getsockname()[1]
            stop.set()


@asynccontextmanager
async def _serving_on_asyncio(app: ASGIFramework, loop: asyncio.AbstractEventLoop) -> AsyncIterator[int]:
    stop, ended = asyncio.Event(), trio.Event()
    with _listener() as (listener, config):
        serving = serve_on_asyncio(HostBridge(app), config, shutdown_trigger=stop.wait)
        server = asyncio.ensure_future(serving, loop=loop)
        server.add_done_callback(lambda _: ended.set())
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            with trio.CancelScope(shield=True):
                await ended.wait()
        server.result()


@contextmanager
def _listener() -> Iterator[tuple[socket.socket, Config]]:
    """A socket of the loopback interface, and the configuration of a server for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config()
        config.bind = [f"fd://{os.dup(listener.fileno())}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = _TIMEOUT_S
        yield listener, config
