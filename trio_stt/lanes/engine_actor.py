"""An executor that runs its engine in an actor of a Ray cluster, on whichever node has room.

Owns the actor. The connection is `ray_link`'s, and what runs in the actor is in `remote_actor` and `remote_engine`.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from trio_stt.errors import ClusterUnavailable, EngineError, EngineUnavailable
from trio_stt.lanes.engine_messages import (
    HEADER,
    Answer,
    ClipSender,
    Load,
    Transcribe,
    decode_answer,
    encode,
    engine_info,
    transcripts,
)
from trio_stt.lanes.engines.base import EngineConfig, EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor, OnLost, ignore_loss, load_timeout
from trio_stt.lanes.ray_client import ActorHandle
from trio_stt.lanes.ray_link import Cluster, RayLink

logger = logging.getLogger(__name__)

DEFAULT_RESOURCES: Mapping[str, float] = {"num_cpus": 1.0}
"""What an engine asks of a node unless the settings say otherwise."""

_CREATE_LIMIT_S = 10.0
"""Seconds that a connected cluster may take to accept an actor. A frozen head would hold the call for more than a
minute, which is how long Ray Client takes to notice."""

_KILL_LIMIT_S = 5.0
"""Seconds that a kill may take before the actor counts as gone all the same: nothing of it is in this server."""


def engine_actors(
    name: str,
    config: EngineConfig,
    link: RayLink,
    *,
    resources: Mapping[str, float] = DEFAULT_RESOURCES,
    start_limit_s: float = math.inf,
    load_limit_s: float = math.inf,
    log_level: str = "INFO",
    log_format: str = "console",
) -> Callable[[], EngineExecutor]:
    """Make executors for the workers of one lane, see `EngineActor`."""
    return lambda: EngineActor(
        name,
        config,
        link,
        resources=resources,
        start_limit_s=start_limit_s,
        load_limit_s=load_limit_s,
        log_level=log_level,
        log_format=log_format,
    )


class EngineActor:
    """Runs an engine in an actor. Implements `EngineExecutor`.

    The actor is never restarted, and no call repeated: the lane decides about that. A cancelled `start` or `transcribe`
    returns at once; the actor finishes the call, and its result is dropped.

    Args:
        name: The lane's name, for messages.
        config: Of the engine.
        link: The connection to the cluster.
        resources: What the actor asks of its node, by name.
        start_limit_s: Seconds that the actor may wait for room on a node.
        load_limit_s: Seconds that it may take then to load the engine, with a download of the model.
        log_level: Of the actor's log lines.
        log_format: Of these lines.
        shutdown_timeout_s: Seconds for which `aclose` waits for the running call and the engine's own close before it
            kills the actor. An actor that still loads is killed at once.
    """

    def __init__(
        self,
        name: str,
        config: EngineConfig,
        link: RayLink,
        *,
        resources: Mapping[str, float] = DEFAULT_RESOURCES,
        start_limit_s: float = math.inf,
        load_limit_s: float = math.inf,
        log_level: str = "INFO",
        log_format: str = "console",
        shutdown_timeout_s: float = 10.0,
    ) -> None:
        self._name = name
        self._config = config
        self._link = link
        self._resources = resources
        self._start_limit_s = start_limit_s
        self._load_limit_s = load_limit_s
        self._logging = log_level, log_format
        self._shutdown_timeout_s = shutdown_timeout_s
        self._handle: ActorHandle | None = None  # belongs to the link's thread
        self._sender = ClipSender(streaming=False)  # as above; until `start` knows better
        self._started = self._loaded = self._closing = False

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:  # noqa: ARG002 - a call finds it
        """Create the actor and load the engine in it.

        Raises:
            ClusterUnavailable: The cluster does not answer, or has no room for the actor.
            EngineUnavailable: The engine could not be loaded, or not within the limit.
            RuntimeError: The executor was started or closed before.
        """
        if self._started or self._closing:
            raise RuntimeError("an engine's actor starts once")
        self._started = True
        with trio.move_on_after(math.inf if self._link.problem else _CREATE_LIMIT_S) as wait:
            await self._link.call(self._create, connect=True)
        if wait.cancelled_caught:
            raise ClusterUnavailable(
                f"the head of the Ray cluster (ray_address) did not answer within {_CREATE_LIMIT_S:g} s"
            ) from TimeoutError("no answer")
        with trio.move_on_after(self._start_limit_s) as wait:
            host = await self._call("host", tuple)
        if wait.cancelled_caught:
            requested = ", ".join(f"{name} {amount:g}" for name, amount in self._resources.items())
            raise ClusterUnavailable(
                f"no node of the Ray cluster had room for an engine ({requested}; see lane_resources) within"
                f" {self._start_limit_s:g} s (lane_start_limit_s)"
            ) from TimeoutError("the actor is pending")
        with trio.move_on_after(self._load_limit_s):
            info = engine_info(await self._answer(lambda: Load(self._config)))
            logger.info("%s lane: the engine runs on the node %s of the Ray cluster", self._name, host)
            self._loaded, self._sender = True, ClipSender(streaming=info.streaming)
            return info
        raise load_timeout(self._load_limit_s)

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip in the actor, see `EngineExecutor.transcribe`."""
        if not self._loaded or self._closing:
            raise EngineUnavailable(f"the {self._name} lane has no engine")
        return transcripts(await self._answer(lambda: self._sender.message(batch)), len(batch))

    async def aclose(self, *, discard: bool = False) -> None:
        """Close the engine and end the actor, shielded from cancellation, up to the time limit.

        Calling it again does nothing. The actor of a defective engine is killed at once.
        """
        if self._closing:
            return
        self._closing = True
        if self._loaded and not discard:
            with trio.move_on_after(self._shutdown_timeout_s, shield=True) as wait:
                try:
                    await self._call("close", tuple)
                except EngineError as error:
                    logger.debug("%s lane: the engine's actor did not close its engine: %s", self._name, error)
            if wait.cancelled_caught:
                logger.warning(
                    "%s lane: the engine did not close within %g s; its actor is killed",
                    self._name,
                    self._shutdown_timeout_s,
                )
        if self._started:
            await self._kill()

    def abandon(self, on_return: Callable[[], None]) -> None:
        """Kill the actor, which hangs in a call; see `EngineExecutor.abandon`."""
        self._closing = True
        logger.warning("%s lane: the engine hangs; its actor is killed", self._name)

        async def kill() -> None:
            await self._kill()
            on_return()

        trio.lowlevel.spawn_system_task(kill, name=f"end of an actor of the {self._name} lane")

    async def _kill(self) -> None:
        """End the actor. It ends with its connection, too, so a lost one is enough."""
        with trio.move_on_after(_KILL_LIMIT_S, shield=True) as wait, contextlib.suppress(EngineError):
            await self._link.call(self._kill_on_thread)
        if wait.cancelled_caught:
            self._link.post(self._kill_on_thread)  # for when the thread comes to it

    def _kill_on_thread(self, cluster: Cluster) -> None:
        # Also after a `start` that was cancelled while it created the actor: calls run in order.
        if self._handle is not None:
            cluster.kill(self._handle)

    def _create(self, cluster: Cluster) -> None:
        self._handle = cluster.create(self._resources, *self._logging)

    async def _answer(self, message: Callable[[], Load | Transcribe]) -> Answer:
        """What the engine answers.

        Raises:
            EngineError: There is no answer.
        """
        # On the link's thread, so that a call that was cancelled before its turn leaves the sender as it was.
        content = await self._call("answer", lambda: (encode(message()),))
        return decode_answer(content[HEADER.size :])

    async def _call(self, method: str, arguments: Callable[[], tuple[bytes, ...]]) -> Any:
        """Call a method of `RemoteActor`, and wait for its result. When cancelled, leave the call to the actor."""
        token, returned, results = trio.lowlevel.current_trio_token(), trio.Event(), list[Any]()

        def on_done(result: Any) -> None:
            results.append(result)
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(returned.set)

        def send(cluster: Cluster) -> None:
            assert self._handle is not None  # noqa: S101 - for the type checker: calls follow `_create`
            cluster.call(self._handle, method, arguments(), on_done)

        await self._link.call(send)
        await returned.wait()
        if isinstance(results[0], EngineError):
            raise results[0]
        return results[0]
