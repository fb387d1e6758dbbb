"""Eight clients speak while engines and parts of a Ray cluster die; prints what each fault cost, as JSON lines.

    unshare -n -p --fork --mount-proc --kill-child python -m tests.faults.ray_faults FOLDER
    python -m tests.faults.ray_faults            # the executor `process` instead of a cluster

test_ray.py runs the first.

In a network namespace nothing of Ray can be reached from outside, and with its first process all others end. The
cluster has two nodes, both on this machine, each with room for one of the two engines of the server.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import trio

from tests.faults.fixtures import RATE_HZ, sentence
from tests.faults.measured import report
from tests.faults.ray_cluster import cluster_process, open_network
from tests.support.dictation import Dictation, dictate, real_server_state, texts
from trio_stt.protocol.events import Event, Final
from trio_stt.server.server_state import ServerState

HEAD, NODE = "127.0.0.2", "127.0.0.3"
CLIENTS = 8
JOB_DEADLINE_S = 5.0
SETTINGS = {"lane_workers": 2, "job_deadline_s": JOB_DEADLINE_S, "use_main_model_for_realtime": True}
FAULT_AFTER_S = 4.0
"""Seconds of speech before the fault: finals are being made, and more follow."""


@dataclass
class LiveDictation(Dictation):
    """A client that speaks in real time, and notes how long after its speech each final came."""

    speed: float = 1.0
    late_s: list[float] = field(default_factory=list)

    def _note(self, event: Event) -> None:
        super()._note(event)
        if isinstance(event, Final):
            assert self._begun_s is not None
            self.late_s.append(trio.current_time() - self._begun_s - self.finals[-1].end_sample / RATE_HZ)


def raylet(address: str) -> psutil.Process:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words and words[0].endswith("/raylet") and f"--node_ip_address={address}" in words:
                return process
    message = f"no raylet has {address}"
    raise LookupError(message)


def node_processes(address: str) -> list[psutil.Process]:
    found = raylet(address)
    return [found, *found.children(recursive=True)]


def head_processes(pid: int) -> list[psutil.Process]:
    """The command that runs the head, and all of Ray that has its address, apart from the other node."""
    found = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if f"--node_ip_address={HEAD}" in words or f"--node-ip-address={HEAD}" in words or "util.client" in words:
                found.append(process)
    return found


def engines() -> Iterator[psutil.Process]:
    """The processes that run an engine: actors, or children of this process."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            ours = "trio_stt.lanes.engine_child" in words and process.ppid() == os.getpid()
            if ours or words.startswith("ray::RemoteActor"):
                yield process


def send(to: signal.Signals, *processes: psutil.Process) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(to)


async def speak(server_state: ServerState, fault: Callable[[], None]) -> list[LiveDictation]:
    """All clients speak; the fault happens meanwhile."""
    speech = np.concatenate([sentence()] * 3)
    dictations = [LiveDictation(speech) for _ in range(CLIENTS)]
    async with trio.open_nursery() as nursery:
        for dictation in dictations:
            nursery.start_soon(dictate, server_state, dictation)
        await trio.sleep(FAULT_AFTER_S)
        fault()
    return dictations


async def measure(server_state: ServerState, what: str, fault: Callable[[], None]) -> None:
    before = server_state.lanes.statistics().lanes[0]
    dictations = await speak(server_state, fault)
    lane = server_state.lanes.statistics().lanes[0]
    report(
        what,
        texts=[texts(dictation.finals) for dictation in dictations],
        late_s=round(max(late_s for dictation in dictations for late_s in dictation.late_s), 2),
        restarts=lane.engines.restarts - before.engines.restarts,
        failed=lane.work.failed_jobs - before.work.failed_jobs,
        notice=lane.engines.notice,
    )


async def wait_serving(server_state: ServerState, workers: int, *, limit_s: float = 120.0) -> None:
    """Wait until all engines are there, and on the cluster."""
    with trio.fail_after(limit_s):
        while True:
            engines = server_state.lanes.statistics().lanes[0].engines
            if engines.serving == workers and engines.notice is None:
                return
            await trio.sleep(0.2)


async def measure_processes() -> None:
    async with real_server_state(lane_executor="process", **SETTINGS) as server_state:
        await measure_engines(server_state)


async def measure_engines(server_state: ServerState) -> None:
    await wait_serving(server_state, 2)
    await measure(server_state, "none", lambda: None)
    await measure(server_state, "engine killed", lambda: send(signal.SIGKILL, next(engines())))
    await wait_serving(server_state, 2)
    await measure(server_state, "engine hangs", lambda: send(signal.SIGSTOP, next(engines())))
    await wait_serving(server_state, 2)


async def measure_cluster(folder: Path) -> None:
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(folder / "token")
    ray = {"lane_executor": "ray", "ray_address": f"ray://{HEAD}:10001", "lane_fallback": "thread"}
    up = ("up", "--host", HEAD, "--num-cpus")
    join = ("join", f"{HEAD}:6379", "--host", NODE, "--num-cpus", "1")
    async with cluster_process(folder, "head", *up, "1") as head, real_server_state(**ray, **SETTINGS) as server_state:
        async with cluster_process(folder, "node", *join):
            await measure_engines(server_state)
            await measure(server_state, "raylet killed", lambda: send(signal.SIGKILL, raylet(NODE)))
        async with cluster_process(folder, "node-again", *join):
            await wait_serving(server_state, 2)
            frozen = node_processes(NODE)
            await measure(server_state, "node frozen", partial(send, signal.SIGSTOP, *frozen))
            send(signal.SIGKILL, *frozen)
        await measure(server_state, "head killed", partial(send, signal.SIGKILL, *head_processes(head.pid)))
        async with cluster_process(folder, "head-again", *up, "2"):
            await returned_to_the_cluster(server_state)


async def returned_to_the_cluster(server_state: ServerState) -> None:
    """Wait until an engine is on the new head: each returns with its next job."""
    with trio.fail_after(180):
        while server_state.lanes.statistics().lanes[0].engines.notice is not None:
            await dictate(server_state, Dictation(sentence()))
            await trio.sleep(1.0)
    await measure(server_state, "head is back", lambda: None)


if __name__ == "__main__":
    if sys.argv[1:]:
        open_network()
        trio.run(measure_cluster, Path(sys.argv[1]))
    else:
        trio.run(measure_processes)
