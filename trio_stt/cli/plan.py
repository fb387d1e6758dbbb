"""`trio-stt plan`: how many servers like this machine a number of talkers needs.

It measures the engine for some seconds, and then simulates servers with more and more talkers until the limits of
`trio-stt bench --ramp` are exceeded.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import soundfile

from trio_stt.bench.figures import Figures
from trio_stt.bench.ramp import knee, next_clients, violated_limits
from trio_stt.bench.report import Result
from trio_stt.bench.speech_plan import Clip, Plan, plan_clients
from trio_stt.capacity.service_times import ServiceTimes, measure
from trio_stt.capacity.simulation import simulate
from trio_stt.cli.reference_speech import make_clips, sound_files
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import SettingError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines.base import EngineInfo
from trio_stt.runtime.cpus import usable_cores
from trio_stt.server.lane_plan import LanePlan, planned_lanes
from trio_stt.settings import Settings

_LOOP_MS_SILENT, _LOOP_MS_SPEAKING = 7.0, 13.5
"""Milliseconds of CPU that a session's second of audio costs beside the engine, as measured on one core of an AMD EPYC
(family 25) with `benchmarks.session_cost`, 50 clients."""

_MAX_LOOP_SHARE = 0.8
"""Part of one core that the event loop of a server may use: beyond it, events wait."""

_DURATION_S, _STAGGER_S, _PACKET_S = 30.0, 5.0, 0.1
_MOST_CLIENTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The options of the command; see `add_plan_arguments`."""

    clients: int
    share: float
    slack_ms: float
    bench: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What a server has: its cores, workers and engine, and the CPU seconds that a session's second of audio costs."""

    cores: int
    workers: int
    engine: EngineInfo
    service: ServiceTimes
    loop_s_per_audio_s: float

    def carries_loop_of(self, clients: int) -> bool:
        """Whether one event loop can serve them."""
        return clients * self.loop_s_per_audio_s <= _MAX_LOOP_SHARE

    def service_with(self, clients: int) -> Callable[[float], float]:
        """Service times while the event loop serves this many talkers on the same cores."""
        left = self.cores - clients * self.loop_s_per_audio_s
        slow_down = self.workers / max(min(left, self.workers), 0.05)
        return lambda audio_s: slow_down * self.service.of(audio_s)


def plan(settings: Settings, options: PlanOptions) -> int:
    """Measure, simulate and print; returns the exit status.

    Raises:
        SettingError: The settings have two engines, or the figures of a bench cannot be used.
        TrioSttError: The engine cannot be loaded.
    """
    lane, *others = planned_lanes(settings)
    if others:
        raise SettingError("plan: finals and partials need the same engine and model")
    readings = sound_files([])
    loop_s_per_audio_s = _bench_cost(options.bench) if options.bench else _usual_cost(options.share)
    machine = _measured(lane, readings[0], loop_s_per_audio_s)
    service, engine = machine.service, machine.engine
    print(
        f"measured: {engine.engine}, {engine.model} on {engine.device}: {1000 * service.call_s:.0f} ms for each clip"
        f" and {1000 * service.per_audio_s:.0f} ms for each second of it, {lane.config.num_workers} at a time"
    )
    with tempfile.TemporaryDirectory(prefix="trio-stt-plan-") as folder:
        clips = make_clips(readings, rate_hz=SAMPLE_RATE_HZ, folder=Path(folder))
        clips = [msgspec.structs.replace(clip, words=None) for clip in clips]  # the engine's words are simulated
        most, run = _search(settings, options, machine, clips)
        if not most:
            print("simulated: one talker exceeds the limits: choose a smaller model, or a GPU")
            return 1
        servers = math.ceil(options.clients / most)
        each = math.ceil(options.clients / servers)
        _show(machine, options, most=most, servers=servers, each=each, figures=run(each))
    return 0


def _measured(lane: LanePlan, reading: str, loop_s_per_audio_s: float) -> _Machine:
    engine = model_resolver.load(lane.config)
    speech, _rate_hz = soundfile.read(reading, dtype="float32")
    service = measure(engine, speech, at_once=lane.config.num_workers)
    info = engine.info
    engine.close()
    return _Machine(
        cores=usable_cores(),
        workers=lane.workers,
        engine=info,
        service=service,
        loop_s_per_audio_s=loop_s_per_audio_s,
    )


def _search(
    settings: Settings, options: PlanOptions, machine: _Machine, clips: Sequence[Clip]
) -> tuple[int, Callable[[int], Figures]]:
    """The most talkers that one server carries, and what simulates a number of them."""
    simulated_settings = settings.model_copy(
        update={"max_sessions": _MOST_CLIENTS, "max_active_speakers": _MOST_CLIENTS, "record": None}
    )

    @cache
    def run(clients: int) -> Figures:
        return simulate(
            simulated_settings,
            _plan(clips, clients, options.share),
            engine=machine.engine,
            service=machine.service_with(clients),
            workers=machine.workers,
        )

    kept: dict[int, bool] = {}
    clients: int | None = 1
    while clients is not None:
        kept[clients] = machine.carries_loop_of(clients) and not violated_limits(
            run(clients), alone=None, slack_ms=options.slack_ms
        )
        clients = next_clients(kept, most=min(options.clients, _MOST_CLIENTS))
    return knee(kept), run


def _show(machine: _Machine, options: PlanOptions, *, most: int, servers: int, each: int, figures: Figures) -> None:
    print(f"simulated: a server like this, {machine.cores} cores and {machine.workers} workers, carries {most} talkers")
    print(f"{options.clients} talkers who speak {options.share:.0%} of the time need {servers}, {each} talkers each:")
    print(
        f"  finals {figures.final.p50_ms:.0f} / {figures.final.p95_ms:.0f} ms after the last word (p50 / p95), first"
        f" partials {figures.first_partial.p50_ms:.0f} / {figures.first_partial.p95_ms:.0f} ms, a partial every"
        f" {figures.partial_interval.p50_ms / 1000:.1f} s"
    )
    print(f"  settings: TRIO_STT_MAX_SESSIONS={each} TRIO_STT_MAX_ACTIVE_SPEAKERS={each}")
    if options.bench is None:
        print("  the cost of sessions is an estimate; `trio-stt bench --json FILE` there, and --bench FILE, measure it")


def _plan(clips: Sequence[Clip], number: int, share: float) -> Plan:
    return Plan(
        url="",
        rate_hz=SAMPLE_RATE_HZ,
        packet_s=_PACKET_S,
        begin_s=0.0,
        duration_s=_DURATION_S,
        clips=tuple(clips),
        clients=plan_clients(number, talking=[share], stagger_s=_STAGGER_S, clips=len(clips)),
    )


def _usual_cost(share: float) -> float:
    return (_LOOP_MS_SILENT + share * (_LOOP_MS_SPEAKING - _LOOP_MS_SILENT)) / 1000


def _bench_cost(path: Path) -> float:
    """Seconds of CPU beside the engine for each second of audio, from the run with the most clients.

    Raises:
        SettingError: The file holds no such figures.
    """
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingError(f"--bench: {path} has no figures of `trio-stt bench --json`: {error}") from None
    servers = [run.figures.server for run in result.runs if run.figures.server is not None]
    if not servers:
        raise SettingError(f"--bench: {path} has no figures of the server's process: run it with --pid")
    return servers[-1].cpu_s_per_audio_s * (1.0 - servers[-1].off_loop_share)
