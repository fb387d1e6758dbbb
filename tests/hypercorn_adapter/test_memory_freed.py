"""Connections and sessions are freed without the garbage collector when they end."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import TCPServer

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.raw_socket import CLOSE, TEXT, RawClient, frame, raw_client
from trio_stt.session.session import Session


def held() -> list[str]:
    """Connections and sessions that are still in memory."""
    # Not `isinstance`: some packages have objects that warn when their class is looked up.
    kinds = (type(each) for each in gc.get_objects())
    return [kind.__name__ for kind in kinds if issubclass(kind, Session | WSStream | TCPServer)]


@asynccontextmanager
async def uncollected(monkeypatch: pytest.MonkeyPatch, **settings: object) -> AsyncIterator[int]:
    """The port of a server that runs without garbage collector; at the end no connection or session may be left."""
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine(), **settings)) as port:
        gc.collect()
        assert held() == []
        gc.disable()
        try:
            yield port
            with trio.fail_after(30):
                while left := held():  # noqa: ASYNC110 - no event tells
                    await trio.sleep(0.1)
            assert not left
        finally:
            gc.enable()


async def greeted(client: RawClient, port: int) -> str:
    await client.open(port)
    await client.until("ready")
    await client.send(frame(TEXT, b'{"type": "start"}'))
    await client.until("status")
    return str(client.events[0]["resumeToken"])


async def test_after_a_close_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    async with uncollected(monkeypatch) as port, raw_client(port) as client:
        await greeted(client, port)
        await client.send(frame(CLOSE, b"\x03\xe8"))
        await client.read_to_the_end()


async def test_after_a_lost_connection_without_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    async with uncollected(monkeypatch, resume_grace_s=0.1) as port, raw_client(port) as client:
        await greeted(client, port)


async def test_after_a_resume_over_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with uncollected(monkeypatch) as port, raw_client(port) as first, raw_client(port) as second:
        token = await greeted(first, port)
        await second.open(port)
        await second.send(frame(TEXT, f'{{"type": "resume", "token": "{token}", "seq": 1}}'.encode()))
        await second.until("resumed")
        await first.read_to_the_end()
        await second.send(frame(CLOSE, b"\x03\xe8"))
        await second.read_to_the_end()
