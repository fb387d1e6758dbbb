"""The web app on real sockets in this process, with a fake engine: tests may look at both sides."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.trio import serve as serve_app

from trio_stt.doors.wire import WireLimits, guard_wire
from trio_stt.serving import build_app
from trio_stt.session.house import House


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, house: House, config: Config | None = None) -> AsyncIterator[int]:
    """The port of 127.0.0.1 where a house is served until the block ends, as `trio-stt serve` would."""
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)  # of this process, for good
    for protocol in (h11, h2):
        monkeypatch.setattr(protocol, "WSStream", protocol.WSStream)  # type: ignore[attr-defined]  # put back after it
    guard_wire(lambda: WireLimits.of(house.settings))
    config, stop = config or Config(), trio.Event()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve_app, build_app(house), config, shutdown_trigger=stop.wait))
        try:
            yield int(address.rpartition(":")[2])
        finally:
            stop.set()
