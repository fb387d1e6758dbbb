"""`trio-stt serve` with an engine that fails, or a wall clock that jumps, when a test requests it.

    python -m tests.support.faulty_server FOLDER [flags of trio-stt serve]

- A clip with samples at full scale causes the fault named in FOLDER/fault and does not reach the real engine.
  Other clips are transcribed, so that the test decides whose clips fail.
- With the file FOLDER/clock, the wall clock jumps by years, back and forth, whenever it is read.
- SIGUSR1 writes the number of Trio's tasks to FOLDER/tasks.
"""

import itertools
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trio

FOLDER = Path(sys.argv[1])
FAULT_FILE = FOLDER / "fault"
FULL_SCALE = 0.999
_YEAR_S = 365 * 86_400.0
_wall_time = time.time
_JUMPS = itertools.cycle([0.0, 10 * _YEAR_S, -3 * _YEAR_S, 1.5, -50 * _YEAR_S, 86_400.0])

if (FOLDER / "clock").exists():  # before any module imports a reference to the real one
    time.time = lambda: _wall_time() + next(_JUMPS)

from trio_stt.cli import main  # noqa: E402 - as above
from trio_stt.errors import EngineUnavailable  # noqa: E402 - as above
from trio_stt.lanes.engines import registry  # noqa: E402 - as above
from trio_stt.lanes.engines.base import Engine, EngineConfig, EngineInfo, Request, Transcript  # noqa: E402 - as above

INVALID_RESULTS: dict[str, object] = {
    "nothing": None,
    "too-few": [],
    "too-many": [Transcript(text="one")] * 9,
    "no-text": [Transcript(text=7)],  # type: ignore[arg-type]  # invalid on purpose
    "no-unicode": [Transcript(text="half \ud800 of a pair")],
    "flood": [Transcript(text="never ending " * 1_000_000)],
}


class FaultyEngine:
    """The real engine, except for clips at full scale."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        if any(np.abs(request.samples).max(initial=0.0) >= FULL_SCALE for request in batch):
            return self._misbehave()
        return self._engine.transcribe(batch)

    def close(self) -> None:
        self._engine.close()

    def _misbehave(self) -> list[Transcript]:
        fault = FAULT_FILE.read_text()
        match fault:
            case "raise":
                raise ZeroDivisionError("a bad day")
            case "exit":
                raise SystemExit(3)
            case "unfit":
                raise EngineUnavailable("the card fell off the bus")
            case "hang":
                while FAULT_FILE.read_text() == fault:
                    time.sleep(0.05)
                return [Transcript(text="too late")]
            case _:
                return INVALID_RESULTS[fault]  # type: ignore[return-value]  # invalid on purpose


def _count_tasks(*_: object) -> None:
    waiting = FOLDER / "tasks.part"
    waiting.write_text(str(trio.lowlevel.current_statistics().tasks_living))
    waiting.rename(FOLDER / "tasks")


if __name__ == "__main__":
    load = registry.load

    def load_faulty(config: EngineConfig) -> FaultyEngine:
        return FaultyEngine(load(config))

    registry.load = load_faulty
    signal.signal(signal.SIGUSR1, _count_tasks)
    sys.exit(main(["serve", *sys.argv[2:]]))
