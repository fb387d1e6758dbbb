"""The Wyoming port of a server in this process: what opens it, what it refuses, and what a start reports."""

import socket
from contextlib import closing

import pytest
import trio
from wyoming.event import Event

from tests.api.wyoming.test_framing import read, written
from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.server import free_port
from trio_stt.api.web_app import build_app
from trio_stt.errors import SettingError


async def answer(port: int, data: bytes) -> list[str]:
    """The types of the events that the server sends until it closes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        await stream.send_eof()
        found = b"".join([part async for part in stream])
    return [event.type for event in read(found)]


async def test_connections_of_an_address_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    server_state = composed(monkeypatch, FakeEngine(), wyoming_port=port, max_connections=2)
    async with serving(monkeypatch, server_state), trio.open_nursery() as nursery:
        await server_state.lanes.wait_loaded()
        ping, chunk = written(Event("ping")), written(Event("audio-chunk", {"rate": 8000, "width": 2, "channels": 1}))
        async with await trio.open_tcp_stream("127.0.0.1", port) as talking:
            await talking.send_all(chunk + ping)
            while b"pong" not in await talking.receive_some():
                pass
            assert await answer(port, ping) == ["error"]
        while server_state.registry.active_sessions:  # noqa: ASYNC110 - of other tasks
            await trio.sleep(0.01)
        assert await answer(port, ping) == ["pong"]
        nursery.cancel_scope.cancel()


def test_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        server_state = composed(monkeypatch, FakeEngine(), wyoming_port=port)
        with pytest.raises(SettingError, match=rf"cannot listen on 127.0.0.1:{port} \(wyoming_port\)"):
            build_app(server_state)


def test_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine(), wyoming_port=free_port(), wyoming_host="no.such.host.invalid")
    with pytest.raises(SettingError, match="wyoming_host"):
        build_app(server_state)


def test_missing_zeroconf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    server_state = composed(monkeypatch, FakeEngine(), wyoming_port=free_port(), wyoming_zeroconf=True)
    with pytest.raises(SettingError, match="the package zeroconf is missing"):
        build_app(server_state)
