"""The check for leaks finds each kind of leak."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.engines import leaks
from tests.engines.conftest import batch_of
from tests.engines.leaks import check_nothing_is_left
from tests.lanes.fakes import FakeEngine
from trio_stt.lanes.engines.base import Request, Transcript

MODEL_BYTES = 4 * 2**20


class LoadedModel(FakeEngine):
    """A fake engine that holds some memory, which `keep` can leak."""

    def __init__(self, keep: Callable[[object], object]) -> None:
        super().__init__()
        self._keep = keep
        self._weights = np.ones(MODEL_BYTES, np.uint8)

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        self._keep(self)
        return super().transcribe(batch)


def check(keep: Callable[[LoadedModel], object]) -> None:
    check_nothing_is_left(lambda: LoadedModel(keep), batch_of(np.zeros(1_600, np.float32)), rounds=3)


def test_engine_that_keeps_nothing_passes() -> None:
    check(lambda _: None)


def test_kept_engine_is_found() -> None:
    with pytest.raises(AssertionError, match="kept by"):
        check([].append)


def test_kept_model_is_found() -> None:
    kept: list[object] = []
    with pytest.raises(AssertionError, match="bytes"):
        check(lambda engine: kept.append(engine._weights))


def test_kept_thread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "THREADS_END_WITHIN_S", 0.1)
    release = threading.Event()
    with pytest.raises(AssertionError, match="threads"):
        check(lambda _: threading.Thread(target=release.wait, daemon=True).start())
    release.set()
