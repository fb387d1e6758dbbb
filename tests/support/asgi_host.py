"""A scripted ASGI host on a bare asyncio loop, for apps behind the ASGI bridge."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from trio_stt.hypercorn_adapter.host_bridge import HostBridge

SCOPE = cast("Scope", {"type": "websocket"})
LIFESPAN = cast("Scope", {"type": "lifespan"})
UNUSED = cast("Any", object())
"""A host's `receive` or `send` that the app must not call: a call of it fails."""
App = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


def event(text: str) -> ASGISendEvent:
    return {"type": "websocket.send", "bytes": None, "text": text}


def run_host(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` on an asyncio loop, and check that no error is unhandled and no task left."""
    unhandled: list[dict[str, Any]] = []

    async def host() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with asyncio.timeout(30):
            await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(host())
    assert unhandled == [], unhandled


async def call(app: App, receive: ASGIReceiveCallable = UNUSED, send: ASGISendCallable = UNUSED) -> None:
    await HostBridge(app)(SCOPE, receive, send)


async def sleeper(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
    await trio.sleep_forever()
