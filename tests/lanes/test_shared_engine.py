"""An engine shared by several threads: its load, its close, and its discard when it is defective."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lanes.fakes import FakeEngine, batch_of, engine_loader
from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.shared_engine import SharedEngine


def test_shared_engine_is_loaded_once_and_closed_by_the_last_lease() -> None:
    engines: list[FakeEngine] = []
    shared = SharedEngine(engine_loader(engines))
    with ThreadPoolExecutor(4) as threads:
        leases = list(threads.map(lambda _: shared.lease().load(), range(4)))
    assert len(engines) == 1
    assert [lease.transcribe(batch_of(3))[0].text for lease in leases] == ["3"] * 4
    assert {lease.info for lease in leases} == {engines[0].info}
    for lease in leases:
        assert engines[0].closed == 0
        lease.close()
        lease.close()
    assert engines[0].closed == 1
    shared.lease().load()
    assert len(engines) == 2


def test_discarded_engine_goes_to_no_further_lease_and_its_holders_keep_it() -> None:
    engines: list[FakeEngine] = []
    shared = SharedEngine(engine_loader(engines))
    first, second = (shared.lease().load() for _ in range(2))
    first.discard()
    third = shared.lease().load()
    second.discard()  # it had the old engine; the new one is not defective
    fourth = shared.lease().load()
    assert len(engines) == 2
    for lease in (first, second):
        lease.close()
    assert [engine.closed for engine in engines] == [1, 0]
    for lease in (third, fourth):
        lease.close()
    assert [engine.closed for engine in engines] == [1, 1]


def test_discarded_load_that_hangs_blocks_no_further_lease() -> None:
    begun, release = threading.Event(), threading.Event()
    engines: list[FakeEngine] = []

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        if len(engines) == 1:
            begun.set()
            assert release.wait(30)
            raise EngineUnavailable("too late")
        return engines[-1]

    shared = SharedEngine(load)
    stuck, other = shared.lease(), shared.lease()
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(stuck.load)
        assert begun.wait(30)
        stuck.discard()
        assert other.load().info == engines[1].info
        release.set()
        with pytest.raises(EngineUnavailable, match="too late"):
            hanging.result(30)
    stuck.close()  # it has no engine
    assert [engine.closed for engine in engines] == [0, 0]
