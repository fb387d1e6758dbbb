"""`EngineActor` and its link on a cluster in this process: what connects, what waits, what ends."""

import subprocess
import sys
import threading
from typing import Any

import pytest
import trio
import trio.testing

from tests.lanes.fakes import FakeCluster, FakeEngine, FakeStreamingEngine, batch_of, clip, final, limits
from trio_stt.errors import ClusterUnavailable, EngineUnavailable, SettingError
from trio_stt.lanes import engine_actor, ray_client
from trio_stt.lanes.engine_actor import EngineActor, engine_actors
from trio_stt.lanes.engines.base import EngineConfig, Request, StreamKey, Transcript
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.ray_client import RayClient
from trio_stt.lanes.ray_errors import refusal
from trio_stt.lanes.ray_link import RayLink
from trio_stt.lanes.remote_actor import RemoteActor
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings

CONFIG = EngineConfig(engine="fake")


def actor_on(cluster: FakeCluster, **options: Any) -> EngineActor:
    return EngineActor("main", CONFIG, RayLink(cluster), **options)


async def test_executors_share_one_connection() -> None:
    cluster = FakeCluster(FakeEngine)
    link = RayLink(cluster)
    assert link.problem == "there is no connection to the Ray cluster at ray://cluster:10001"
    executors = [EngineActor("main", CONFIG, link, resources={"num_gpus": 0.5}) for _ in range(2)]
    for executor in executors:
        await executor.start()
    assert cluster.connections == 1
    assert cluster.requested == [{"num_gpus": 0.5}] * 2
    assert link.problem is None
    for executor in executors:
        await executor.aclose()


async def test_cluster_that_does_not_answer_is_tried_once_for_all_workers() -> None:
    cluster = FakeCluster(FakeEngine)
    cluster.refusal = ClusterUnavailable("no Ray cluster answers")
    link = RayLink(cluster)
    for _ in range(2):
        executor = EngineActor("main", CONFIG, link)
        with pytest.raises(ClusterUnavailable, match="no Ray cluster answers"):
            await executor.start()
        await executor.aclose()
    assert cluster.connections == 1
    assert link.problem == "no Ray cluster answers"


async def test_actor_without_room_is_given_up_at_the_start_limit() -> None:
    cluster = FakeCluster(FakeEngine)
    cluster.has_room = False
    executor = actor_on(cluster, start_limit_s=0.01, resources={"num_gpus": 1.0})
    with pytest.raises(ClusterUnavailable) as caught:
        await executor.start()
    assert str(caught.value) == (
        "no node of the Ray cluster had room for an engine (num_gpus 1; see lane_resources) within 0.01 s"
        " (lane_start_limit_s)"
    )
    assert caught.value.may_pass
    await executor.aclose()
    assert not cluster.actors[0].alive


async def test_actor_that_never_answers_its_load_is_killed() -> None:
    ends = threading.Event()

    def load() -> FakeEngine:
        ends.wait()
        return FakeEngine()

    cluster = FakeCluster(load)
    executor = actor_on(cluster, load_limit_s=0.1)
    with pytest.raises(EngineUnavailable) as caught:
        await executor.start()
    assert type(caught.value) is EngineUnavailable, "the cluster answers: an engine in the server would not help"
    assert str(caught.value) == "the engine did not load within 0.1 s (engine_load_limit_s)"
    ends.set()  # a thread cannot be killed as an actor is
    await executor.aclose()
    assert not cluster.actors[0].alive


async def test_head_that_accepts_no_actor_in_time_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(FakeEngine)
    link = RayLink(cluster)
    first, second = (EngineActor("main", CONFIG, link) for _ in range(2))
    await first.start()
    monkeypatch.setattr(engine_actor, "_CREATE_LIMIT_S", 0.01)
    cluster.accepts.clear()
    with pytest.raises(ClusterUnavailable, match="did not answer within"):
        await second.start()
    cluster.accepts.set()
    await second.aclose()
    assert [actor.alive for actor in cluster.actors] == [True, False]
    await first.aclose()


async def test_lost_head_makes_the_engine_unavailable_and_the_next_one_connects_again() -> None:
    cluster = FakeCluster(FakeEngine)
    link = RayLink(cluster)
    executor = EngineActor("main", CONFIG, link)
    await executor.start()
    cluster.lose_head()
    with pytest.raises(ClusterUnavailable):
        await executor.transcribe(batch_of(1))
    await executor.aclose(discard=True)
    again = EngineActor("main", CONFIG, link)
    await again.start()
    assert [t.text for t in await again.transcribe(batch_of(2))] == ["2"]
    assert cluster.connections == 2
    await again.aclose()


async def test_actor_of_a_lost_connection_is_not_used_over_the_next_one() -> None:
    cluster = FakeCluster(FakeEngine)
    link = RayLink(cluster)
    executor = EngineActor("main", CONFIG, link)
    await executor.start()
    cluster.lose_head()
    other = EngineActor("main", CONFIG, link)
    await other.start()
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))
    for each in (executor, other):
        await each.aclose()


async def test_only_new_audio_travels_and_a_new_actor_gets_all_of_it() -> None:
    engines: list[FakeStreamingEngine] = []

    def load() -> FakeStreamingEngine:
        engines.append(FakeStreamingEngine())
        return engines[-1]

    cluster, utterance = FakeCluster(load), StreamKey()
    link = RayLink(cluster)
    first, second = (EngineActor("main", CONFIG, link) for _ in range(2))
    await first.start()
    for length in (500, 900):
        await first.transcribe([Request(samples=clip(length), utterance=utterance, ends=False)])
    sizes = [size for size in cluster.sizes if size > 4 * 400]
    assert [size // 400 for size in sizes] == [5, 4]  # 4 bytes a sample: 500 samples, then 400 new ones
    await first.aclose(discard=True)
    await second.start()
    await second.transcribe([Request(samples=clip(1_000), utterance=utterance, ends=True)])
    assert [engine.fed for engine in engines] == [[500, 400], [1_000]]
    await second.aclose()


async def test_lane_retries_a_final_whose_actor_died() -> None:
    def answer(_: object) -> object:
        if len(cluster.actors) == 1:
            cluster.actors[0].alive = False
            raise EngineUnavailable("the engine's actor is lost")
        return [Transcript(text="2")]

    cluster = FakeCluster(lambda: FakeEngine(answer))
    lane = Lane("main", new_executor=engine_actors("main", CONFIG, RayLink(cluster)), limits=limits())
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        assert (await lane.submit(final("a", 2)).wait()).transcript.text == "2"
        assert lane.statistics().engines.restarts == 1
        nursery.cancel_scope.cancel()


async def test_hanging_actor_does_not_count_as_a_hanging_thread() -> None:
    cluster, returned = FakeCluster(FakeEngine), trio.Event()
    executor = actor_on(cluster)
    await executor.start()
    cluster.has_room = False  # so that no call is answered
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.transcribe, batch_of(1))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    executor.abandon(returned.set)
    await returned.wait()
    assert not cluster.actors[0].alive


async def test_nothing_that_listens_is_reported_by_the_systems_error() -> None:
    with trio.socket.socket() as closed:
        await closed.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{closed.getsockname()[1]}"
        executor = EngineActor("main", CONFIG, RayLink(RayClient(address, RemoteActor)))
        with pytest.raises(ClusterUnavailable) as caught:
            await executor.start()
    assert str(caught.value) == (
        f"no Ray cluster answers at {address} (ray_address): Connection refused; `trio-stt cluster up` starts one on"
        " this machine"
    )
    assert caught.value.may_pass
    await executor.aclose()


def test_ray_that_is_missing_or_too_old_is_reported_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        raise ray_client.PackageNotFoundError(package)

    monkeypatch.setattr(ray_client, "version", absent)
    assert str(ray_client.missing_ray()).startswith("Ray is not installed; run `")
    monkeypatch.setattr(ray_client, "version", lambda _: "2.9.3")
    assert str(ray_client.missing_ray()).startswith("Ray 2.9.3 is too old, 2.59 is the oldest that works; run `")
    monkeypatch.setattr(ray_client, "version", lambda _: "2.60.0rc1")
    assert ray_client.missing_ray() is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lane_executor": "ray"}, "lane_executor ray needs the address of a cluster, such as --ray-address"),
        ({"lane_executor": "ray", "ray_address": "ray://a:1"}, "lane_executor ray: Ray is not installed"),
    ],
)
def test_server_without_address_or_ray_does_not_start(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        raise ray_client.PackageNotFoundError(package)

    monkeypatch.setattr(ray_client, "version", absent)
    with pytest.raises(SettingError, match=message):
        build_server(load_settings(given))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("ray client connection timeout"), "accepts connections but no call"),
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.12.1"),
            "same Ray and Python as this server: Version mismatch: The cluster was started with: Ray: 2.59.0",
        ),
        (RuntimeError("no\nidea"), "refused the connection: no"),
        (
            ConnectionAbortedError("Initialization failure from server:\nTraceback:\n  ...\nOSError: no certificate\n"),
            "refused the connection: OSError: no certificate",
        ),
        (
            ConnectionAbortedError(
                "Initialization failure from server:\nRuntimeError: Starting Ray client server failed."
            ),
            "could not start a process for this server; does it run with GRPC_ENABLE_FORK_SUPPORT=0",
        ),
    ],
)
def test_refused_connection_is_reported_in_one_line(error: Exception, message: str) -> None:
    shown = refusal("ray://a:1", error)
    assert message in shown
    assert "ray://a:1" in shown
    assert "\n" not in shown


def test_server_imports_ray_only_when_a_lane_connects() -> None:
    script = "import sys, trio_stt.server.build; print({'ray', 'grpc'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    assert done.stdout.strip() == "set()"
