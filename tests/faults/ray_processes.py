"""`serve --processes 2 --lane-executor ray` on a cluster of two nodes with TLS, whose processes and engines die.

    unshare -n -p --fork --mount-proc --kill-child python -m tests.faults.ray_processes FOLDER

test_ray_processes.py runs it. Each node has an address and a certificate of its own, and room for one engine. The
second node joins by the command that the first one prints.
"""

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import psutil
import trio
import trustme

from tests.faults.fixtures import RATE_HZ, sentence
from tests.faults.measured import report
from tests.faults.ray_cluster import cluster_process, open_network
from tests.faults.ray_faults import engines, send
from tests.processes.test_deaths_of_servers import pid_of, talking_clients
from tests.processes.test_several_servers import fetch, process_of
from tests.support.client import SocketClient
from tests.support.server import RunningServer, running_server

HEAD, NODE = "10.0.0.1", "10.0.0.2"


def certificate(folder: Path, authority: trustme.CA, address: str) -> Mapping[str, str]:
    """Issue a certificate for one node; returns the variables with which Ray uses it."""
    issued = authority.issue_cert(address, "127.0.0.1")
    files = {name: folder / f"{address}.{name}" for name in ("crt", "key", "ca")}
    issued.cert_chain_pems[0].write_to_path(str(files["crt"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(files["crt"]),
        "RAY_TLS_SERVER_KEY": str(files["key"]),
        "RAY_TLS_CA_CERT": str(files["ca"]),
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
    }


def join_arguments(printed: str) -> Sequence[str]:
    """The arguments of `trio-stt cluster` for another machine, as the head prints them."""
    found = re.search(r"&& trio-stt cluster (join \S+)", printed)
    assert found, printed
    return found[1].split()


async def wait_serving(server: RunningServer, engines: int) -> None:
    """Wait until all processes together have this number of engines, all of them on the cluster."""
    with trio.fail_after(120):
        while True:
            try:
                workers = (await fetch(server, "/health"))["scheduler"]["workers"]["main"]
                if workers["serving"] == engines and not workers.get("notice"):
                    return
            except httpx2.TransportError:  # of a process that was killed
                pass
            await trio.sleep(0.2)


async def speak(what: str, clients: Sequence[SocketClient]) -> None:
    """All clients speak a sentence in real time; report their words."""
    before = [client.text for client in clients]

    async def talk(client: SocketClient) -> None:
        begun = len(client.events)
        await client.stream(sentence(), RATE_HZ, speed=1.0)
        await client.command("stop")
        with trio.fail_after(60):
            while "status idle" not in client.event_names[begun:] or client._unfinished():
                await client._news.wait()

    async with trio.open_nursery() as nursery:
        for client in clients:
            await client.command("start")
            nursery.start_soon(talk, client)
    report(what, texts=[client.text.removeprefix(old).strip() for client, old in zip(clients, before, strict=True)])


async def run(folder: Path) -> None:
    authority = trustme.CA()
    head, node = (certificate(folder, authority, address) for address in (HEAD, NODE))
    lanes = ("--lane-executor", "ray", "--ray-address", f"ray://{HEAD}:10001", "--lane-workers", "1")
    command = ["-m", "trio_stt", "serve", "--port", "{port}", "--processes", "2", "--use-main-model-for-realtime"]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            cluster_process(folder, "head", "up", "--host", HEAD, "--num-cpus", "1", env=head)
        )
        join = join_arguments((folder / "head.log").read_text())
        await stack.enter_async_context(
            cluster_process(folder, "node", *join, "--host", NODE, "--num-cpus", "1", env=node)
        )
        server = await stack.enter_async_context(running_server([*command, *lanes], head, ready_within_s=120.0))
        with trio.fail_after(120):
            await server.wait_for_output("with 2 processes")
        await wait_serving(server, 2)
        nodes = set(re.findall(r"the engine runs on the node (\S+) of", server.output))
        report("cluster", nodes=sorted(nodes), engines=len(list(engines())))
        clients = await talking_clients(stack, server, 4)
        await speak("none", clients)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, "engine killed", clients)
            await trio.sleep(2.0)
            send(signal.SIGKILL, next(engines()))
        await wait_serving(server, 2)
        victim = process_of(clients[0])
        others = [client for client in clients if process_of(client) != victim]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, "process killed", others)
            await trio.sleep(2.0)
            send(signal.SIGKILL, psutil.Process(pid_of(server, victim)))
        await wait_serving(server, 2)  # so the engine of the killed process left its place on the node
        await speak("successor serves", others)
        async with AsyncExitStack() as late:
            await speak("clients of both", await talking_clients(late, server, 2))
        status = await server.stop()
        with trio.fail_after(30):
            while list(engines()):  # noqa: ASYNC110 - of other processes
                await trio.sleep(0.1)
        report("stopped", status=status, output=server.output)


if __name__ == "__main__":
    open_network(HEAD, NODE)
    trio.run(run, Path(sys.argv[1]))
