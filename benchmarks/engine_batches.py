"""Gain of batches: seconds that an engine takes per second of audio, by the number of clips in a batch.

    uv run --group bench python -m benchmarks.engine_batches --engine transformers --model NAME --device cuda

The clips are parts of `--seconds` from a reading that is installed with trio-stt. Each size runs once to warm up and
then `--rounds` times; the fastest round counts. It prints wall time, and CPU time of the process.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.speech import SPEECH_16K
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One batch size: wall and CPU seconds of its fastest round."""

    clips: int
    wall_s: float
    cpu_s: float

    def cells(self, clip_s: float) -> tuple[float, float]:
        """Wall and CPU seconds per second of audio."""
        return self.wall_s / (self.clips * clip_s), self.cpu_s / (self.clips * clip_s)


def batch(clips: int, clip_s: float) -> list[Request]:
    """Clips of the same length that start at different positions of the reading."""
    reading = np.resize(SPEECH_16K.astype(np.float32) / np.float32(32768), 2 * SPEECH_16K.size)
    samples = min(round(clip_s * SAMPLE_RATE_HZ), SPEECH_16K.size)
    starts = [SPEECH_16K.size * n // clips for n in range(clips)]
    return [Request(samples=reading[start : start + samples]) for start in starts]


def measure(engine: Engine, *, clips: int, clip_s: float, rounds: int) -> Row:
    requests = batch(clips, clip_s)
    engine.transcribe(requests)
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        assert len(engine.transcribe(requests)) == clips
        times.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))
    return Row(clips=clips, wall_s=min(times)[0], cpu_s=min(cpu_s for _, cpu_s in times))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--model", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compute-type", default="default")
    parser.add_argument("--language", default="en")
    parser.add_argument("--beam-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of one inference")
    parser.add_argument("--options", default="{}", help="the engine's options, a JSON object")
    parser.add_argument("--batches", default="1,2,4,8,16,32", help="numbers of clips in a batch, separated by commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip, at most 10")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    config = EngineConfig(
        engine=given.engine,
        model=given.model,
        language=given.language or None,
        device=given.device,
        compute_type=given.compute_type,
        beam_size=given.beam_size,
        num_threads=given.threads,
        options=json.loads(given.options),
    )
    engine = registry.load(config)
    print(f"{engine.info.engine}, {engine.info.model}, {engine.info.device}", engine.info.notice or "", sep="\n")
    print("| clips at once | wall s per s of audio | CPU s per s of audio |\n| --- | --- | --- |")
    for clips in map(int, given.batches.split(",")):
        row = measure(engine, clips=clips, clip_s=given.seconds, rounds=given.rounds)
        wall, cpu = row.cells(given.seconds)
        print(f"| {clips} | {wall:.4f} | {cpu:.4f} |", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
