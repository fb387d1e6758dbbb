"""One run: a plan spread over processes of talkers, and the server's process looked at meanwhile.

It owns those processes. It must not judge what comes back.
"""

import os
import sys
import time
from collections.abc import Sequence

import msgspec
import trio

from trio_stt.bench.client_record import RunResult, WorkerResult
from trio_stt.bench.process import ProcessUse, process_use
from trio_stt.bench.speech_plan import Clip, Plan, Talker
from trio_stt.errors import TrioSttError

_TALKERS_PER_PROCESS = 128
"""One with a hundred is no later than two with fifty and costs less: a wake-up serves several packets."""
_START_UP_S = 3.0
"""For the processes to begin and read their clips."""


async def observe(
    *,
    url: str,
    pid: int | None,
    rate_hz: int,
    packet_s: float,
    duration_s: float,
    clips: Sequence[Clip],
    talkers: Sequence[Talker],
    api_key: str = "",
    ping_every_s: float = 1.0,
) -> RunResult:
    """Carry out a run.

    Raises:
        TrioSttError: A process of talkers failed.
    """
    count = max(1, min(os.cpu_count() or 1, -(-len(talkers) // _TALKERS_PER_PROCESS)))
    steady_from_s = max(talker.delay_s for talker in talkers) + 1.0
    plan = Plan(
        url=url,
        rate_hz=rate_hz,
        packet_s=packet_s,
        begin_s=time.monotonic() + _START_UP_S,
        duration_s=steady_from_s + duration_s,
        clips=tuple(clips),
        talkers=tuple(talkers),
        api_key=api_key,
        ping_every_s=ping_every_s,
    )
    told: list[WorkerResult] = []
    uses: list[ProcessUse] = []

    async def employ(share: tuple[Talker, ...]) -> None:
        told.append(await _run_worker(msgspec.structs.replace(plan, talkers=share)))

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(employ, plan.talkers[number::count])
        if pid is not None:
            for moment_s in (steady_from_s, plan.duration_s):
                await trio.sleep(max(0.0, plan.begin_s + moment_s - time.monotonic()))
                uses.append(process_use(pid))
    return RunResult(
        plan=plan,
        steady_from_s=steady_from_s,
        records=sorted((record for one in told for record in one.records), key=lambda record: record.number),
        talkers_cpu_s=sum(one.cpu_s for one in told),
        before=uses[0] if uses else None,
        after=uses[1] if uses else None,
    )


async def _run_worker(plan: Plan) -> WorkerResult:
    ended = await trio.run_process(
        [sys.executable, "-m", "trio_stt.bench.worker"],
        stdin=msgspec.json.encode(plan),
        capture_stdout=True,
        check=False,
    )
    if ended.returncode:
        raise TrioSttError(f"a process of talkers ended with status {ended.returncode}")
    return msgspec.json.decode(ended.stdout, type=WorkerResult)
