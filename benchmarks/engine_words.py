"""Word error rate and cost of engines on read English: wrong words, and seconds per second of audio.

    TRIO_STT_TEST_AUDIO=… uv run --group bench python -m benchmarks.engine_words
    TRIO_STT_TEST_AUDIO=… uv run --group bench python -m benchmarks.engine_words --engine whisper_cpp --model FILE

Without `--engine` it measures the engines whose models are in development packages. Sentences are the sound files of
TRIO_STT_TEST_AUDIO with their texts; the two readings are installed with trio-stt. Each clip is transcribed alone, as a
lane does on a CPU, with `--threads` threads; the fastest of `--rounds` rounds counts, for wall time and CPU time each.
Words are compared after Whisper's normaliser.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jiwer
import numpy as np
from numpy.typing import NDArray

from tests.engines.conftest import REAL_MODEL_NAMES, real_config
from tests.support.real import shared_sentences
from tests.support.speech import read_16k
from tests.support.wer import normalise
from trio_stt.cli.reference_speech import READINGS, sound_files
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, Request


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """A recording and its words."""

    samples: NDArray[np.float32]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One engine's result on some clips: wrong and total words, and seconds per second of audio."""

    wrong: int
    spoken: int
    wall: float
    cpu: float


def clips_of(files: Sequence[tuple[Path, str]]) -> list[Clip]:
    return [Clip(samples=read_16k(path), words=words) for path, words in files]


def measure(engine: Engine, clips: Sequence[Clip], *, rounds: int) -> Row:
    audio_s = sum(clip.samples.size for clip in clips) / SAMPLE_RATE_HZ
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        texts = [engine.transcribe([Request(samples=clip.samples)])[0].text for clip in clips]
        times.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))
    compared = jiwer.process_words([normalise(clip.words) for clip in clips], [normalise(text) for text in texts])
    return Row(
        wrong=compared.substitutions + compared.deletions + compared.insertions,
        spoken=compared.hits + compared.substitutions + compared.deletions,
        wall=min(wall_s for wall_s, _ in times) / audio_s,
        cpu=min(cpu_s for _, cpu_s in times) / audio_s,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", default="", help="one engine instead of those with a model in a package")
    parser.add_argument("--model", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compute-type", default="default")
    parser.add_argument("--options", default="{}", help="the engine's options, a JSON object")
    parser.add_argument("--beam-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of one inference")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    readings = [(Path(name), READINGS[Path(name).name]) for name in sound_files(())]
    sets = {"sentences": clips_of(shared_sentences()), "readings": clips_of(readings)}
    configs = (
        [EngineConfig(engine=given.engine, model=given.model)] if given.engine else map(real_config, REAL_MODEL_NAMES)
    )
    print("| engine | clips | WER | wrong of words | wall s per s of audio | CPU s per s of audio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for config in configs:
        engine = registry.load(
            replace(
                config,
                device=given.device,
                compute_type=given.compute_type,
                beam_size=given.beam_size,
                num_threads=given.threads,
                options=json.loads(given.options),
            )
        )
        for name, clips in sets.items():
            row = measure(engine, clips, rounds=given.rounds)
            print(
                f"| `{engine.info.engine}` | {name} | {row.wrong / row.spoken:.1%} | {row.wrong} of {row.spoken}"
                f" | {row.wall:.3f} | {row.cpu:.3f} |",
                flush=True,
            )
        engine.close()


if __name__ == "__main__":
    main()
