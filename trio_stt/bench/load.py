"""One run: a plan shared by worker processes, while the server's process is measured.

It owns the worker processes. It must not compute figures.
"""

import sys
import time
from collections.abc import Sequence

import msgspec
import trio

from trio_stt.bench.client_record import RunResult, WorkerResult
from trio_stt.bench.process import ProcessUse, process_use
from trio_stt.bench.speech_plan import ClientPlan, Clip, Plan
from trio_stt.errors import TrioSttError
from trio_stt.runtime.cpus import usable_cores

_CLIENTS_PER_PROCESS = 128
"""One process with 100 clients sends as punctually as two with 50 and costs less: a wake-up serves several packets."""
_START_UP_S = 3.0
"""Time for the worker processes to start and read their clips."""


async def observe(
    *,
    url: str,
    pid: int | None,
    rate_hz: int,
    packet_s: float,
    duration_s: float,
    clips: Sequence[Clip],
    clients: Sequence[ClientPlan],
    api_key: str = "",
    ping_every_s: float = 1.0,
) -> RunResult:
    """Carry out a run.

    Raises:
        TrioSttError: A worker process failed.
    """
    count = max(1, min(usable_cores(), -(-len(clients) // _CLIENTS_PER_PROCESS)))
    steady_from_s = max(client.delay_s for client in clients) + 1.0
    plan = Plan(
        url=url,
        rate_hz=rate_hz,
        packet_s=packet_s,
        begin_s=time.monotonic() + _START_UP_S,
        duration_s=steady_from_s + duration_s,
        clips=tuple(clips),
        clients=tuple(clients),
        api_key=api_key,
        ping_every_s=ping_every_s,
    )
    results: list[WorkerResult] = []
    uses: list[ProcessUse] = []

    async def run_share(share: tuple[ClientPlan, ...]) -> None:
        results.append(await _run_worker(msgspec.structs.replace(plan, clients=share)))

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(run_share, plan.clients[number::count])
        if pid is not None:
            for moment_s in (steady_from_s, plan.duration_s):
                await trio.sleep(max(0.0, plan.begin_s + moment_s - time.monotonic()))
                uses.append(process_use(pid))
    return RunResult(
        plan=plan,
        steady_from_s=steady_from_s,
        records=sorted((record for one in results for record in one.records), key=lambda record: record.number),
        clients_cpu_s=sum(one.cpu_s for one in results),
        before=uses[0] if uses else None,
        after=uses[1] if uses else None,
    )


async def _run_worker(plan: Plan) -> WorkerResult:
    completed = await trio.run_process(
        [sys.executable, "-m", "trio_stt.bench.worker"],
        stdin=msgspec.json.encode(plan),
        capture_stdout=True,
        check=False,
    )
    if completed.returncode:
        raise TrioSttError(f"a process of simulated clients ended with status {completed.returncode}")
    return msgspec.json.decode(completed.stdout, type=WorkerResult)
