"""Any ASGI app on a real socket of this process, under a Hypercorn whose sockets are guarded as ours are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

from trio_stt.doors.wire import WireLimits, guard_wire

LIMITS = WireLimits(max_message_bytes=2**20, liveness_timeout_s=0.0)


@asynccontextmanager
async def hosted(monkeypatch: pytest.MonkeyPatch, app: ASGIFramework) -> AsyncIterator[int]:
    """The port of 127.0.0.1 where an app is served until the block ends."""
    for protocol in (h11, h2):
        monkeypatch.setattr(protocol, "WSStream", protocol.WSStream)  # type: ignore[attr-defined]  # put back after it
    guard_wire(lambda: LIMITS)
    config = Config()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve, app, config))
        yield int(address.rpartition(":")[2])
        nursery.cancel_scope.cancel()
