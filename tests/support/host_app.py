"""A small Quart-Trio app behind the ASGI bridge, which prints what happens to it.

Test modules start it under real Hypercorn workers as `tests.support.host_app:app`.
"""

import os

import sniffio
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from quart import websocket
from quart_trio import QuartTrio

from trio_stt.hypercorn_adapter.host_bridge import HostBridge
from trio_stt.hypercorn_adapter.replacements import TRIO_CONNECTION, HostHooks
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits

quart = QuartTrio(__name__)


async def below_quart(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Break one path where Quart cannot catch it."""
    await trio.lowlevel.checkpoint()
    if scope["type"] == "http" and scope["path"] == "/below":
        raise LookupError("raised below Quart")
    await quart(scope, receive, send)


HostHooks.current = HostHooks(websocket_limits=lambda: WebSocketLimits(max_message_bytes=2**20, liveness_timeout_s=0))
TRIO_CONNECTION.install()
app = HostBridge(below_quart)


def say(what: str) -> None:
    print(f"<{what}>", flush=True)  # noqa: T201 - the test reads it


@quart.before_serving
async def start() -> None:
    await trio.lowlevel.checkpoint()
    if "FAIL_STARTUP" in os.environ:
        raise RuntimeError("no model")
    say(f"startup on {sniffio.current_async_library()}")


@quart.after_serving
async def end() -> None:
    await trio.sleep(0.01)
    say("shutdown")


@quart.route("/")
async def index() -> str:
    await trio.sleep(0.001)
    return "Trio was here"


@quart.route("/error")
async def error() -> str:
    await trio.lowlevel.checkpoint()
    raise ValueError("this route is broken")


@quart.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())


@quart.websocket("/watch")
async def watch() -> None:
    """Print how this handler ends."""
    await websocket.send("watching")
    say("watching")
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        say("handler cancelled")
        raise


@quart.websocket("/refuse")
async def refuse() -> None:
    await websocket.accept()
    await websocket.send("full")
    await websocket.close(1013, "server full")


@quart.websocket("/broken")
async def broken() -> None:
    await websocket.accept()
    raise ValueError("this socket is broken")
