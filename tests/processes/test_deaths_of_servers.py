"""Real servers of two processes whose processes are killed, stopped or replaced while clients talk."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import psutil
import pytest
import trio

from tests.processes.test_several_servers import (
    SERVE,
    client_of_another,
    fetch,
    process_of,
    prometheus,
    resume,
    until_all_ready,
    until_answered,
)
from tests.support.client import SocketClient, connected, load_pcm
from tests.support.real import moonshine_asset
from tests.support.server import RunningServer, running_server

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux"),
]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def pids(server: RunningServer) -> set[int]:
    """The processes under the supervisor."""
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def pid_of(server: RunningServer, instance: int) -> int:
    """The process with this number: its line in the log has no pid, its socket's owner has."""
    for child in psutil.Process(server.process.pid).children():
        for connection in child.net_connections("unix"):
            if connection.laddr.endswith(f"/{instance}.socket"):
                return child.pid
    raise AssertionError(f"no process {instance}")


async def talking_clients(stack: AsyncExitStack, server: RunningServer, number: int) -> list[SocketClient]:
    """Clients in both processes."""
    clients = [await stack.enter_async_context(connected(server))]
    await clients[0].until("ready")
    clients.append(await stack.enter_async_context(client_of_another(server, process_of(clients[0]))))
    while len(clients) < number:
        clients.append(await stack.enter_async_context(connected(server)))
        await clients[-1].until("ready")
    for client in clients:
        await client.command("start")
    return clients


async def stream_and_stop(clients: Sequence[SocketClient]) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))

    async def talk(client: SocketClient) -> None:
        await client.stream(samples, rate_hz, speed=8)
        await client.command("stop")
        await client.until_all_final()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(talk, client)


async def until_both_serve(server: RunningServer) -> None:
    with trio.fail_after(60):
        while (await fetch(server, "/health"))["scheduler"]["workers"]["main"]["serving"] != 2:  # noqa: ASYNC110 - of others
            await trio.sleep(0.1)


async def test_killed_process_costs_the_others_nothing_and_has_a_successor() -> None:
    async with running_server(SERVE) as server, AsyncExitStack() as stack:
        await until_all_ready(server)
        clients = await talking_clients(stack, server, 4)
        await stream_and_stop(clients)
        finals = (await prometheus(server))['trio_stt_finals_total{dialect="realtimestt"}']
        assert finals >= 4
        victim = process_of(clients[0])
        before = pids(server)
        os.kill(pid_of(server, victim), signal.SIGKILL)
        others = [client for client in clients if process_of(client) != victim]
        for client in others:
            await client.command("start")
        await stream_and_stop(others)
        with trio.fail_after(30):
            for client in clients:
                if client not in others:
                    await client.until_closed()
        await server.wait_for_output("process=3")
        await until_both_serve(server)
        assert len(pids(server) - before) == 1
        for _ in range(4):
            assert (await prometheus(server))['trio_stt_finals_total{dialect="realtimestt"}'] >= finals, "never falls"
        assert (await fetch(server, "/health"))["activeSessions"] == len(others)
        async with connected(server) as late, client_of_another(server, 0) as other:
            await late.until("ready")
            await resume(other, clients[0].of("hello")[0]["resumeToken"], 0)
            assert "no such session" in (await other.until("error"))["message"]


async def test_stopped_process_delays_reports_only_and_is_replaced() -> None:
    async with running_server(SERVE) as server, AsyncExitStack() as stack:
        await until_all_ready(server)
        clients = await talking_clients(stack, server, 2)
        instance = process_of(clients[0])
        other = await stack.enter_async_context(client_of_another(server, instance))
        os.kill(pid_of(server, instance), signal.SIGSTOP)
        await stream_and_stop(clients[1:])
        with trio.fail_after(10):
            await resume(other, clients[0].of("hello")[0]["resumeToken"], 0)
            await other.until("error")
        await clients[0].until_closed()
        await server.wait_for_output("process=3")
        await other.command("ping")
        await other.until("pong")


async def test_replacement_refuses_no_connection() -> None:
    async with running_server([*SERVE, "--shutdown-grace-s", "2"]) as server:
        await until_all_ready(server)
        before, answers, closed, done = pids(server), Counter[int](), Counter[int | None](), trio.Event()

        async def request_again_and_again() -> None:
            while not done.is_set():
                async with httpx2.AsyncClient(timeout=30) as http:
                    answers[(await http.get(f"http://127.0.0.1:{server.port}/livez")).status_code] += 1

        async def connect_again_and_again() -> None:
            while not done.is_set():
                async with connected(server) as client:
                    await until_answered(client)
                    closed[client.close_code] += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(request_again_and_again)
            nursery.start_soon(connect_again_and_again)
            server.process.send_signal(signal.SIGUSR2)
            with trio.fail_after(90):
                await server.wait_for_output("all processes were replaced")
            done.set()
        assert set(answers) == {200}
        assert closed[None] > 20
        assert set(closed) <= {None, 1001, 1012}, "a session that has just begun ends with its process"
        assert sum(closed.values()) - closed[None] <= 2
        assert not before & pids(server)
        async with connected(server) as client:
            await client.until("ready")
            assert process_of(client) in {3, 4}


async def test_resumed_client_of_another_process_survives_the_replacement_of_its_own() -> None:
    """Its connection is lost and resumed once more, and its session goes on where it was."""
    async with running_server(SERVE) as server, AsyncExitStack() as stack:
        await until_all_ready(server)
        owner = await stack.enter_async_context(connected(server))
        hello = await owner.until("hello")
        await owner.until("ready")
        other = await stack.enter_async_context(client_of_another(server, process_of(owner)))
        owner.socket._stream.socket.close()
        await resume(other, hello["resumeToken"], owner.events[-1]["seq"])
        await other.until("resumed")
        os.kill(pid_of(server, process_of(other)), signal.SIGKILL)
        await other.until_closed()
        async with connected(server) as again:
            await again.until("ready")
            await resume(again, hello["resumeToken"], other.events[-1]["seq"])
            resumed = await again.until("resumed")
            assert resumed["sessionId"] == hello["sessionId"]
            await again.command("ping")
            await again.until("pong")


async def test_second_sigterm_ends_a_server_that_drains_and_leaves_nothing(tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    async with running_server([*SERVE, "--shutdown-grace-s", "600"], env) as server, AsyncExitStack() as stack:
        await until_all_ready(server)
        assert len(files_in(tmp_path)) == 1
        clients = await talking_clients(stack, server, 2)
        samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
        for client in clients:
            await client.stream(samples, rate_hz)
        before = pids(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await server.process.wait() == 0
        assert not any(psutil.pid_exists(pid) for pid in before)
        assert files_in(tmp_path) == []
        assert "Traceback" not in server.output


async def test_processes_end_with_a_supervisor_that_was_killed() -> None:
    async with running_server(SERVE) as server:
        await until_all_ready(server)
        before = pids(server)
        server.process.send_signal(signal.SIGKILL)
        with trio.fail_after(30):
            while any(psutil.pid_exists(pid) for pid in before):  # noqa: ASYNC110 - another process sets no event
                await trio.sleep(0.1)
