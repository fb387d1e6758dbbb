"""A client whose session is in another process: messages both ways, and every kind of end."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from trio_stt.errors import ResumeError
from trio_stt.processes.membership import Membership
from trio_stt.processes.peers import ProcessPeers
from trio_stt.processes.shared_table import SharedTable
from trio_stt.protocol.commands import Resume
from trio_stt.server.peer_sessions import PeerSessions
from trio_stt.session.connection import CloseReason, Connection, ConnectionClosed
from trio_stt.session.host import Registry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")

SESSION = f"{1:06x}" + "a" * 26


class EchoSession:
    """Answers each message, and ends at `idle`."""

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.closed_cleanly: bool | None = None
        self.connection: Connection

    async def serve_connection(self, connection: Connection, _resume: Resume | None = None) -> CloseReason | None:
        self.connection = connection
        try:
            while (message := await connection.receive()) != "idle":
                await connection.send(f"{message!r} of {type(message).__name__}", "and one more")
        except ConnectionClosed:
            self.closed_cleanly = connection.closed_cleanly
            return None
        finally:
            self.ended.set()
        return CloseReason.IDLE


class OneSession:
    """A registry."""

    def __init__(self, session: EchoSession) -> None:
        self._session = session

    def find_own(self, resume: Resume) -> EchoSession:
        if resume.token != f"{SESSION}.secret":
            raise ResumeError("wrong")
        return self._session


class Client:
    """A client as its connection shows it."""

    def __init__(self) -> None:
        self.closed_cleanly = False
        self.aborted = trio.Event()
        self.outgoing, self._outgoing = trio.open_memory_channel[str | bytes](10)
        self._incoming, self.incoming = trio.open_memory_channel[str](10)

    async def receive(self) -> str | bytes:
        try:
            return await self._outgoing.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed from None

    async def send(self, *messages: str) -> None:
        for message in messages:
            await self._incoming.send(message)

    def abort(self) -> None:
        self.aborted.set()


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[EchoSession, PeerSessions]]:
    """The session of the first, and what the second knows."""
    supervisor = SharedTable.create(2, processes=2)
    found = []
    session = EchoSession()
    async with trio.open_nursery() as nursery:
        for row in (0, 1):
            supervisor.assign(row, row + 1)
            table = SharedTable(supervisor.descriptor, rows=2, row=row, processes=2)
            membership = Membership(
                instance=row + 1,
                first=not row,
                leader=not row,
                link=-1,
                table=supervisor.descriptor,
                rows=2,
                row=row,
                processes=2,
                folder=str(folder),
                listeners=(),
            )
            peers = ProcessPeers(membership, table)
            found.append(PeerSessions(peers, cast("Registry", OneSession(session))))
            await nursery.start(peers.run)
        yield session, found[1]
        nursery.cancel_scope.cancel()
    os.close(supervisor.descriptor)


@asynccontextmanager
async def resumed(sessions: PeerSessions) -> AsyncIterator[tuple[Client, list[CloseReason | None]]]:
    """A client that resumed, and how its connection ended."""
    client, ends = Client(), list[CloseReason | None]()
    remote = await sessions.find(Resume(f"{SESSION}.secret", 0))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                ends.append(await remote.serve_connection(client))

            nursery.start_soon(serve)  # noqa: ASYNC113 - its first message waits in a channel
            yield client, ends


async def test_messages_go_both_ways_and_the_session_says_why_it_ends(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (_, sessions):
        async with resumed(sessions) as (client, ends):
            await client.outgoing.send("text")
            await client.outgoing.send(b"\0\xff" * 100_000)
            assert await client.incoming.receive() == "'text' of str"
            assert await client.incoming.receive() == "and one more"
            assert (await client.incoming.receive()).endswith("of bytes")
            await client.outgoing.send("idle")
        assert ends == [CloseReason.IDLE]
        assert not client.aborted.is_set()
        assert not sessions.relayed
        await sessions.wait_none()


@pytest.mark.parametrize("cleanly", [True, False])
async def test_session_learns_whether_its_client_closed_cleanly(tmp_path: Path, *, cleanly: bool) -> None:
    async with two_processes(tmp_path) as (session, sessions):
        async with resumed(sessions) as (client, ends):
            client.closed_cleanly = cleanly
            await client.outgoing.aclose()
        await session.ended.wait()
        assert ends == [None]
        assert session.closed_cleanly is cleanly


async def test_client_of_a_process_that_is_replaced_may_resume_elsewhere(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (session, sessions):
        async with resumed(sessions) as (client, ends):
            await client.outgoing.send("text")
            await client.incoming.receive()
            sessions.abort_all()
            await session.ended.wait()
        assert ends == [None]
        assert client.aborted.is_set()
        assert session.closed_cleanly is False, "so it is kept"


async def test_client_is_reset_when_its_session_gives_it_up(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (session, sessions):
        async with resumed(sessions) as (client, ends):
            await client.outgoing.send("text")
            await client.incoming.receive()
            session.connection.abort()
        assert ends == [None]
        assert client.aborted.is_set()


@pytest.mark.parametrize(
    "session", [SESSION, f"{2:06x}" + "a" * 26, f"{99_999:06x}" + "a" * 26, "../1", "", "1" * 5000]
)
async def test_session_that_is_not_there_is_refused(tmp_path: Path, session: str) -> None:
    async with two_processes(tmp_path) as (_, sessions):
        with pytest.raises(ResumeError):
            await sessions.find(Resume(f"{session}.wrong", 0))
