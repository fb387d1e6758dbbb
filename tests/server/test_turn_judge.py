"""The turn model off the event loop: one clip at a time, late sessions go without it, a broken file is given up."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from trio_stt.errors import EngineUnavailable
from trio_stt.server import turn_judge
from trio_stt.server.turn_judge import TurnJudge

CLIP = np.zeros(100, np.float32)


class HeldModel:
    """A model that judges when `release` is set."""

    def __init__(self, path: Path) -> None:
        self.loads.append(path)

    loads: list[Path] = []  # noqa: RUF012 - replaced by each test
    release = threading.Event()

    def probability(self, clip: NDArray[np.float32]) -> float:
        assert clip is CLIP
        assert self.release.wait(60)
        return 0.75


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> type[HeldModel]:
    monkeypatch.setattr(HeldModel, "loads", [])
    monkeypatch.setattr(HeldModel, "release", threading.Event())
    monkeypatch.setattr(turn_judge, "TurnModel", HeldModel)
    return HeldModel


async def test_without_a_model_nothing_is_known() -> None:
    assert await TurnJudge(None).probability(CLIP, patient=True) is None


async def test_model_is_loaded_once_and_off_the_loop(held: type[HeldModel]) -> None:
    judge = TurnJudge(Path("model"))
    held.release.set()
    assert [await judge.probability(CLIP, patient=True) for _ in range(3)] == [0.75] * 3
    assert held.loads == [Path("model")]


async def test_live_sessions_go_without_a_busy_model_and_files_wait(held: type[HeldModel]) -> None:
    judge, found = TurnJudge(Path("model")), list[tuple[bool, float | None]]()

    async def ask(*, patient: bool) -> None:
        found.append((patient, await judge.probability(CLIP, patient=patient)))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: ask(patient=True))
        await trio.testing.wait_all_tasks_blocked()
        await ask(patient=False)
        assert found == [(False, None)]
        held.release.set()
    assert found[1:] == [(True, 0.75)] * 3


async def test_broken_model_is_given_up_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(path: Path) -> None:
        raise EngineUnavailable(f"{path} does not run as Smart Turn: no")

    monkeypatch.setattr(turn_judge, "TurnModel", broken)
    judge = TurnJudge(Path("model"))
    with caplog.at_level(logging.ERROR):
        assert [await judge.probability(CLIP, patient=True) for _ in range(2)] == [None, None]
    (line,) = caplog.messages
    assert "text alone" in line
