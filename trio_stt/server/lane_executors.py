"""Where the engines of the lanes run: makes each lane's executors from the settings."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import NamedTuple

from trio_stt.errors import SettingError
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_actor import DEFAULT_RESOURCES, engine_actors
from trio_stt.lanes.engine_fallback import LocalEngines
from trio_stt.lanes.engine_process import engine_processes
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.executor import EngineExecutor
from trio_stt.lanes.lane_state import LaneName
from trio_stt.lanes.ray_client import RayClient, missing_ray
from trio_stt.lanes.ray_link import RayLink
from trio_stt.lanes.remote_actor import RemoteActor
from trio_stt.settings import Settings


class Executors(NamedTuple):
    """Makes the executors of a lane, and says how they run otherwise than the settings ask; None if they do not."""

    new: Callable[[], EngineExecutor]
    notice: Callable[[], str | None] = lambda: None


class LaneExecutors:
    """Makes the executors of all lanes of one server, which share its connection to a Ray cluster.

    Args:
        settings: At the start.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def of(
        self, name: LaneName, config: EngineConfig, *, kind: str, local_limit: int, unwanted: Callable[[], bool]
    ) -> "Executors":
        """What makes executors for one lane.

        Args:
            name: The lane's name.
            config: Of its engines.
            kind: `thread`, `process` or `ray`.
            local_limit: Most engines in this process in place of those on a cluster.
            unwanted: Called during a download in this process; True ends it.

        Raises:
            SettingError: The kind is `ray`, and a package or the cluster's address is missing.
        """
        settings = self._settings
        load_limit_s = settings.engine_load_limit_s or math.inf
        if kind == "process":
            return Executors(
                engine_processes(
                    name,
                    config,
                    load_limit_s=load_limit_s,
                    log_level=settings.log_level,
                    log_format=settings.log_format,
                )
            )
        load = partial(model_resolver.load, config, unwanted=unwanted)
        threads = engine_threads(name, load, shared=config.num_workers > 1)
        if kind == "thread":
            return Executors(threads)
        link = self._link
        actors = engine_actors(
            name,
            config,
            link,
            resources=_resources(settings, name),
            start_limit_s=settings.lane_start_limit_s,
            load_limit_s=load_limit_s,
            log_level=settings.log_level,
            log_format=settings.log_format,
        )
        if settings.lane_fallback == "none":
            return Executors(actors, lambda: link.problem)
        engines = LocalEngines(name, new_remote=actors, new_local=threads, limit=local_limit)
        return Executors(engines, lambda: engines.notice or link.problem)

    @cached_property
    def _link(self) -> RayLink:
        if self._settings.ray_address is None:
            raise SettingError(
                "lane_executor ray needs the address of a cluster, such as --ray-address ray://HOST:10001"
            )
        if problem := missing_ray():
            raise SettingError(f"lane_executor ray: {problem}")
        return RayLink(RayClient(self._settings.ray_address, RemoteActor))


def cpus_of(settings: Settings, lane: LaneName) -> int:
    """CPUs that an engine of a lane asks a node of the Ray cluster for, rounded down; its calls use as many threads."""
    return max(1, int(_resources(settings, lane).get("num_cpus", 0.0)))


def _resources(settings: Settings, lane: LaneName) -> Mapping[str, float]:
    own = settings.realtime_lane_resources if lane == "realtime" else None
    return own or settings.lane_resources or DEFAULT_RESOURCES
