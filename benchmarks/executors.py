"""Cost of an executor: milliseconds that a clip takes beyond the engine's own work, for each kind, in turns.

    uv run --group bench python -m benchmarks.executors [--rounds 50] [--ray-address ray://127.0.0.1:10001]

The engine is Moonshine tiny. A call through each executor alternates with one through the others, and with a call
without any executor. Clips are parts of a reading that is installed with trio-stt.
"""

import argparse
import time
from collections import defaultdict
from functools import partial

import numpy as np
import trio

from benchmarks.speech import SPEECH_16K
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_actor import engine_actors
from trio_stt.lanes.engine_process import engine_processes
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines.base import EngineConfig, Request
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.ray_client import RayClient
from trio_stt.lanes.ray_link import RayLink
from trio_stt.lanes.remote_actor import RemoteActor

CLIP_LENGTHS_S = (1.0, 4.0, 8.0)
CONFIG = EngineConfig(engine="sherpa_onnx_moonshine", model="moonshine-tiny-en", offline=True)


async def measure(rounds: int, ray_address: str | None) -> dict[tuple[str, float], list[float]]:
    """Seconds of each call, by executor and length of the clip; `none` is the engine alone."""
    engine = model_resolver.load(CONFIG)
    executors: dict[str, EngineExecutor] = {
        "thread": engine_threads("main", partial(model_resolver.load, CONFIG))(),
        "process": engine_processes("main", CONFIG, load_limit_s=60, log_level="WARNING", log_format="console")(),
    }
    if ray_address is not None:
        executors["ray"] = engine_actors("main", CONFIG, RayLink(RayClient(ray_address, RemoteActor)))()
    reading = np.resize(SPEECH_16K.astype(np.float32) / np.float32(32768), 2 * SPEECH_16K.size)
    took_s: defaultdict[tuple[str, float], list[float]] = defaultdict(list)
    for executor in executors.values():
        await executor.start()
    for round_number in range(rounds + 1):
        for length_s in CLIP_LENGTHS_S:
            start = round_number * SAMPLE_RATE_HZ % SPEECH_16K.size
            batch = [Request(samples=reading[start : start + round(length_s * SAMPLE_RATE_HZ)])]
            begun_s = time.perf_counter()
            engine.transcribe(batch)
            took_s["none", length_s].append(time.perf_counter() - begun_s)
            for name, executor in executors.items():
                begun_s = time.perf_counter()
                await executor.transcribe(batch)
                took_s[name, length_s].append(time.perf_counter() - begun_s)
    for executor in executors.values():
        await executor.aclose()
    engine.close()
    return {key: times[1:] for key, times in took_s.items()}  # the first call of each warms it up


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument(
        "--ray-address", help="a cluster, such as one of `trio-stt cluster up`; without, Ray is left out"
    )
    parsed = parser.parse_args()
    took_s = trio.run(measure, parsed.rounds, parsed.ray_address)
    print("executor  clip s  call ms p50  beyond the engine, ms: p50   p95")
    for (name, length_s), times in sorted(took_s.items()):
        beyond_ms = 1000 * (np.array(times) - took_s["none", length_s])
        print(
            f"{name:8}  {length_s:6g}  {1000 * np.median(times):11.1f}"
            f"  {np.median(beyond_ms):27.1f} {np.percentile(beyond_ms, 95):5.1f}"
        )


if __name__ == "__main__":
    main()
