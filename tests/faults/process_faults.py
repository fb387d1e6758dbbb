"""Eight clients speak while child processes of engines die, stop or run out of memory, in each phase of their lives.

    python -m tests.faults.process_faults

It prints what each fault cost, as JSON lines. test_process_faults.py runs it.
"""

import resource
import signal
from functools import partial

import psutil
import trio

from tests.faults.ray_faults import SETTINGS, engines, measure, send, wait_serving
from tests.support.dictation import real_server_state
from trio_stt.server.server_state import ServerState

LOAD_LIMIT_S = 5.0


def kill_one() -> set[int]:
    """Kill one engine; returns the process ids of all."""
    found = list(engines())
    send(signal.SIGKILL, found[0])
    return {process.pid for process in found}


async def successor(known: set[int]) -> psutil.Process:
    """Wait for a child that is not known yet. It has just been started, and loads its engine."""
    with trio.fail_after(30):
        while True:
            for process in engines():
                if process.pid not in known:
                    return process
            await trio.sleep(0.01)


async def disturb_loads(number: signal.Signals, times: int) -> None:
    """Kill an engine, and send its successors a signal while they load."""
    known = kill_one()
    for _ in range(times):
        process = await successor(known)
        known.add(process.pid)
        send(number, process)


async def kill_at_the_first_job(server_state: ServerState) -> None:
    known = kill_one()
    process = await successor(known)
    await wait_serving(server_state, 2)
    send(signal.SIGKILL, process)


def exhaust_memory() -> None:
    """Let an engine have no more memory than it has: no larger buffer, and no further thread."""
    resource.prlimit(next(engines()).pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))


async def run() -> None:
    settings = {**SETTINGS, "lane_executor": "process", "engine_load_limit_s": LOAD_LIMIT_S}
    async with real_server_state(**settings) as server_state, trio.open_nursery() as nursery:
        start = nursery.start_soon
        faults = {
            "none": lambda: None,
            "killed": lambda: send(signal.SIGKILL, next(engines())),
            "all killed": lambda: send(signal.SIGKILL, *engines()),
            "killed in the load": partial(start, disturb_loads, signal.SIGKILL, 2),
            "killed at the first job": partial(start, kill_at_the_first_job, server_state),
            "stopped": lambda: send(signal.SIGSTOP, next(engines())),
            "all stopped": lambda: send(signal.SIGSTOP, *engines()),
            "stopped in the load": partial(start, disturb_loads, signal.SIGSTOP, 1),
            "out of memory": exhaust_memory,
        }
        for what, fault in faults.items():
            await wait_serving(server_state, 2)
            await measure(server_state, what, fault)
        await wait_serving(server_state, 2)
        send(signal.SIGKILL, *engines())
        await measure(server_state, "killed when idle", lambda: None)


if __name__ == "__main__":
    trio.run(run)
