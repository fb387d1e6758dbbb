"""`trio-stt serve`, real in all but what a test asks for: an engine that fails, and a clock that jumps.

    python -m tests.support.faulty_server FOLDER [flags of trio-stt serve]

- Of a clip that is clipped, so loud that samples stand at their limit, the real engine is not asked: what happens is
  written in FOLDER/mood. Other clips are heard as ever, so a test decides whose clips fail.
- With the file FOLDER/clock, the wall clock jumps by years, back and forth, whenever somebody looks at it.
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
MOOD = FOLDER / "mood"
FULL_SCALE = 0.999
_YEAR_S = 365 * 86_400.0
_wall_time = time.time
_JUMPS = itertools.cycle([0.0, 10 * _YEAR_S, -3 * _YEAR_S, 1.5, -50 * _YEAR_S, 86_400.0])

if (FOLDER / "clock").exists():  # before anybody imports a reference to the real one
    time.time = lambda: _wall_time() + next(_JUMPS)

from trio_stt.cli import main  # noqa: E402 - as above
from trio_stt.errors import EngineUnavailable  # noqa: E402 - as above
from trio_stt.lanes.engines import registry  # noqa: E402 - as above
from trio_stt.lanes.engines.base import Engine, EngineConfig, EngineInfo, Request, Transcript  # noqa: E402 - as above

RUBBISH: dict[str, object] = {
    "nothing": None,
    "too-few": [],
    "too-many": [Transcript(text="one")] * 9,
    "no-text": [Transcript(text=7)],  # type: ignore[arg-type]  # rubbish on purpose
    "no-unicode": [Transcript(text="half \ud800 of a pair")],
    "flood": [Transcript(text="never ending " * 1_000_000)],
}


class MoodyEngine:
    """The real engine, unless it is shouted at."""

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
        mood = MOOD.read_text()
        match mood:
            case "raise":
                raise ZeroDivisionError("a bad day")
            case "exit":
                raise SystemExit(3)
            case "unfit":
                raise EngineUnavailable("the card fell off the bus")
            case "hang":
                while MOOD.read_text() == mood:
                    time.sleep(0.05)
                return [Transcript(text="too late")]
            case _:
                return RUBBISH[mood]  # type: ignore[return-value]  # rubbish on purpose


def _count_tasks(*_: object) -> None:
    waiting = FOLDER / "tasks.part"
    waiting.write_text(str(trio.lowlevel.current_statistics().tasks_living))
    waiting.rename(FOLDER / "tasks")


if __name__ == "__main__":
    load = registry.load

    def load_moody(config: EngineConfig) -> MoodyEngine:
        return MoodyEngine(load(config))

    registry.load = load_moody
    signal.signal(signal.SIGUSR1, _count_tasks)
    sys.exit(main(["serve", *sys.argv[2:]]))
