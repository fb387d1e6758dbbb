"""`trio-stt bench`: measures how many clients a server carries, how late their words are, and at what cost.

It owns the order of the measurement and the output. Clients, figures and the search are in `trio_stt.bench`.
"""

import os
import platform
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trio_stt.bench.figures import Figures, figures
from trio_stt.bench.load import observe
from trio_stt.bench.ramp import knee, next_clients, violated_limits
from trio_stt.bench.report import Result, Run, as_json, as_table
from trio_stt.bench.server import own_server
from trio_stt.bench.speech_plan import Clip, plan_clients
from trio_stt.bench.svg import line_chart
from trio_stt.cli.bench_options import BenchOptions
from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.cli.reference_speech import make_clips, sound_files
from trio_stt.errors import SettingError, TrioSttError


def bench(options: BenchOptions) -> int:
    """Measure, write the results, and return the exit status.

    Raises:
        SettingError: The options exclude each other.
        AudioFileError: A sound file cannot be read.
        TrioSttError: The measurement failed.
    """
    if options.pid is not None and options.url is None:
        raise SettingError("--pid: needs the --url of the running server")
    with tempfile.TemporaryDirectory(prefix="trio-stt-bench-") as folder:
        clips = make_clips(sound_files(options.files), rate_hz=options.rate_hz, folder=Path(folder))
        with unwrap_errors(TrioSttError):
            result = trio.run(_measure_unless_ended, options, clips)
    print(as_table(result.runs), end="")
    if result.knee is not None:
        print(f"knee: {result.knee} clients")
    if options.json:
        options.json.write_text(as_json(result), encoding="utf-8")
    if options.plot:
        options.plot.write_text(_chart(result.runs), encoding="utf-8")
    return 0


async def _measure_unless_ended(options: BenchOptions, clips: Sequence[Clip]) -> Result:
    """Measure. On SIGTERM, the server and the clients are stopped first, as after Ctrl-C."""
    result: Result | None = None

    async def end(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            scope.cancel()

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end, signals, nursery.cancel_scope)
            result = await _measure(options, clips)
            nursery.cancel_scope.cancel()
    if result is None:
        raise KeyboardInterrupt
    return result


async def _measure(options: BenchOptions, clips: Sequence[Clip]) -> Result:
    runs: dict[int, Run] = {}
    async with _server(options) as (url, pid):
        clients: int | None = options.clients if options.ramp is None else 1
        while clients is not None:
            run_figures = figures(
                await observe(
                    url=url,
                    pid=pid,
                    rate_hz=options.rate_hz,
                    packet_s=options.packet_ms / 1000,
                    duration_s=options.duration_s,
                    clips=clips,
                    clients=plan_clients(
                        clients, talking=options.talking, stagger_s=options.stagger_s, clips=len(clips)
                    ),
                    api_key=options.api_key,
                )
            )
            if not run_figures.connected:
                raise TrioSttError(f"no client could connect: {'; '.join(run_figures.failures)}")
            runs[clients] = _assess(run_figures, runs, slack_ms=options.slack_ms)
            if options.ramp is None:
                break
            summary = "; ".join(runs[clients].violations) or "within the limits"
            print(f"{clients} clients: p95 of finals {run_figures.final.p95_ms:.0f} ms: {summary}", file=sys.stderr)
            clients = next_clients({number: not run.violations for number, run in runs.items()}, most=options.ramp)
    return Result(
        command=shlex.join(["trio-stt", *sys.argv[1:]]),
        machine=_machine(),
        server=options.url or shlex.join(["trio-stt", "serve", *options.serve]),
        talking=options.talking,
        packet_ms=options.packet_ms,
        rate_hz=options.rate_hz,
        duration_s=options.duration_s,
        knee=knee({number: not run.violations for number, run in runs.items()}) if options.ramp else None,
        runs=[runs[number] for number in sorted(runs)],
    )


@asynccontextmanager
async def _server(options: BenchOptions) -> AsyncIterator[tuple[str, int | None]]:
    if options.url is not None:
        yield options.url, options.pid
        return
    async with own_server(options.serve) as server:
        yield server.url, server.pid


def _assess(run_figures: Figures, runs: dict[int, Run], *, slack_ms: float) -> Run:
    alone = runs[min(runs)].figures if runs else None
    return Run(
        clients=run_figures.clients,
        figures=run_figures,
        violations=violated_limits(run_figures, alone=alone, slack_ms=slack_ms),
    )


def _machine() -> str:
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _chart(runs: Sequence[Run]) -> str:
    measured = [run for run in runs if run.figures.final.count]
    return line_chart(
        {
            "last word to final, p95": [(run.clients, run.figures.final.p95_ms) for run in measured],
            "last word to final, p50": [(run.clients, run.figures.final.p50_ms) for run in measured],
            "between partials, p95": [(run.clients, run.figures.partial_interval.p95_ms) for run in measured],
            "silence setting of the server": [(run.clients, run.figures.silence_ms) for run in measured],
        },
        title="How late the words are",
        x_label="clients",
        y_label="ms",
    )
