"""A server with keys on real sockets, and helpers for requests and handshakes."""

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.keys import add_key
from tests.support.raw_socket import raw_client
from trio_stt.access.keys import KeyScope
from trio_stt.server.server_state import ServerState


@dataclass
class Rig:
    """A server, and the keys to it."""

    server_state: ServerState
    port: int
    file: Path
    talk: str
    admin: str

    @property
    def own(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def rig(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, keyed: bool = True, **settings: object
) -> AsyncIterator[Rig]:
    path = folder / "keys"
    talk, admin = add_key(path, KeyScope.TALK), add_key(path, KeyScope.ADMIN)
    server_state = composed(monkeypatch, FakeEngine(), **({"keys_file": str(path)} if keyed else {}), **settings)
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()  # until then it is not ready
        yield Rig(server_state, port, path, talk, admin)


async def ask(rig: Rig, route: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of `METHOD /path`."""
    method, _, path = route.partition(" ")
    fields = {"Host": f"127.0.0.1:{rig.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}

    def exchange() -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=30)
        try:
            connection.request(method, path, "{}" if method == "PATCH" else None, fields)
            with connection.getresponse() as answer:
                content, fields_read = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
                return answer.status, fields_read, _read(fields_read, content)
        finally:
            connection.close()

    return await trio.to_thread.run_sync(exchange)


def _read(headers: dict[str, str], content: bytes) -> Any:
    return json.loads(content) if content and headers["content-type"] == "application/json" else content


async def handshake_result(rig: Rig, **headers: str) -> str:
    """The result of a handshake: its status, the first event or the close code."""
    async with raw_client(rig.port) as client:
        await client.open(rig.port, headers={name.replace("_", "-"): value for name, value in headers.items()})
        status = client.answer.split()[1]
        if status != "101":
            return status
        while not client.events or client.events[0]["type"] == "error":
            if client.close_code or not await client.read_on():
                return str(client.close_code)
        first: str = client.events[0]["type"]
        return first
