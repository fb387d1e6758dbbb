"""Engines in the server while the cluster does not answer, and the way back; on virtual time where nothing is real."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.lanes.fakes import FakeEngine, VirtualExecutor, batch_of, final, limits, virtual_time
from trio_stt.errors import ClusterUnavailable, EngineUnavailable
from trio_stt.lanes.engine_fallback import LocalEngines
from trio_stt.lanes.engines.base import EngineInfo, Transcript
from trio_stt.lanes.lane import Lane


class Remote(VirtualExecutor):
    """An executor of a cluster that may be away."""

    def __init__(self, cluster: "Cluster") -> None:
        super().__init__(lambda: FakeEngine(cluster.answer))
        self._cluster = cluster
        self.closed = False
        cluster.executors.append(self)

    async def start(self, on_lost: object = None) -> EngineInfo:  # noqa: ARG002 - never called
        await trio.lowlevel.checkpoint()
        if self._cluster.problem is not None:
            raise self._cluster.problem
        return await super().start()

    async def aclose(self, *, discard: bool = False) -> None:
        self.closed = True
        await super().aclose(discard=discard)


class Cluster:
    def __init__(self, problem: EngineUnavailable | None = None) -> None:
        self.problem = problem
        self.executors: list[Remote] = []

    def answer(self, _: object) -> object:
        if self.problem is not None:
            raise self.problem
        return [Transcript(text="remote")]


NO_CLUSTER = ClusterUnavailable("no Ray cluster answers at ray://head:10001")


def engines(cluster: Cluster, *, limit: int = 4, new_local: Callable[[], Any] | None = None) -> LocalEngines:
    local = new_local or (lambda: VirtualExecutor(lambda: FakeEngine(lambda _: [Transcript(text="local")])))
    return LocalEngines("main", new_remote=lambda: Remote(cluster), new_local=local, limit=limit)


@virtual_time
async def test_engine_runs_on_the_cluster_while_it_answers() -> None:
    made = engines(Cluster())
    executor = made()
    await executor.start()
    assert [t.text for t in await executor.transcribe(batch_of(1))] == ["remote"]
    assert made.notice is None
    await executor.aclose()


@virtual_time
async def test_engine_runs_in_the_server_without_the_cluster_and_returns_to_it() -> None:
    cluster = Cluster(NO_CLUSTER)
    made = engines(cluster)
    executor = made()
    await executor.start()
    assert [t.text for t in await executor.transcribe(batch_of(1))] == ["local"]
    assert made.notice == f"{NO_CLUSTER}; engines in the server instead (lane_fallback): 1"
    await trio.sleep(5.0)
    cluster.problem = None
    assert [t.text for t in await executor.transcribe(batch_of(1))] == ["local"]
    await trio.sleep(30.0)
    assert [t.text for t in await executor.transcribe(batch_of(1))] == ["remote"]
    assert made.notice is None
    await executor.aclose()
    assert all(remote.closed for remote in cluster.executors)


@virtual_time
async def test_engine_that_waits_on_the_cluster_is_closed_with_the_executor() -> None:
    cluster = Cluster(NO_CLUSTER)
    executor = engines(cluster)()
    await executor.start()
    cluster.problem = None
    await trio.sleep(10.0)
    await executor.aclose()
    assert all(remote.closed for remote in cluster.executors)


@virtual_time
async def test_closed_executor_does_not_return_to_the_cluster() -> None:
    cluster = Cluster(NO_CLUSTER)
    made = engines(cluster)
    executor = made()
    await executor.start()
    await executor.aclose()
    tried = len(cluster.executors)
    await trio.sleep(1_000.0)
    assert len(cluster.executors) == tried
    assert made.notice is None


@virtual_time
async def test_abandoned_executor_does_not_return_to_the_cluster() -> None:
    cluster, returned = Cluster(NO_CLUSTER), trio.Event()
    executor = engines(cluster)()
    await executor.start()
    cluster.problem = None
    await trio.sleep(10.0)
    executor.abandon(returned.set)
    await returned.wait()
    await trio.sleep(1_000.0)
    assert all(remote.closed for remote in cluster.executors)


@virtual_time
async def test_server_has_no_more_engines_than_its_limit() -> None:
    made = engines(Cluster(NO_CLUSTER), limit=1)
    first, second = made(), made()
    await first.start()
    with pytest.raises(ClusterUnavailable):
        await second.start()
    await second.aclose()
    await first.aclose()


@virtual_time
async def test_engine_that_fails_to_load_on_the_cluster_does_not_move_to_the_server() -> None:
    executor = engines(Cluster(EngineUnavailable("the model is missing")))()
    with pytest.raises(EngineUnavailable, match="the model is missing"):
        await executor.start()
    await executor.aclose()


@virtual_time
async def test_lane_loses_no_final_with_its_cluster_and_shows_where_engines_run() -> None:
    cluster = Cluster()
    made = engines(cluster)
    lane = Lane("main", new_executor=made, limits=limits(), notice=lambda: made.notice)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        assert (await lane.submit(final("a")).wait()).transcript.text == "remote"
        cluster.problem = NO_CLUSTER
        assert (await lane.submit(final("a")).wait()).transcript.text == "local"
        assert str(NO_CLUSTER) in str(lane.statistics().engines.notice)
        cluster.problem = None
        await trio.sleep(60.0)
        assert (await lane.submit(final("a")).wait()).transcript.text == "remote"
        assert lane.statistics().engines.notice is None
        nursery.cancel_scope.cancel()
