"""One connection of this process to a Ray cluster, on a thread of its own, shared by all executors on the cluster.

Ray's calls block, and what Ray starts ends with the thread that started it. So one thread makes all of them and lives
as long as the process. It connects when an executor first needs the cluster, and again after the connection was lost.
"""

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import trio

from trio_stt.errors import ClusterUnavailable, EngineUnavailable
from trio_stt.lanes.ray_client import ActorHandle
from trio_stt.lanes.thread_call import ThreadCall

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPT_SHARED_S = 1.0
"""Seconds for which a failed connection speaks for all executors: several workers lose their engines together."""


class Cluster(Protocol):
    """A connection to a cluster, as `RayClient` has it; there stands what each method raises."""

    address: str

    def is_connected(self) -> bool:
        """Whether there is a connection."""

    def connect(self) -> str:
        """Connect, and describe the cluster in one line."""

    def create(self, resources: Mapping[str, float], log_level: str, log_format: str) -> ActorHandle:
        """Create an actor."""

    def call(
        self, handle: ActorHandle, method: str, arguments: tuple[bytes, ...], on_done: Callable[[Any], None]
    ) -> None:
        """Send a call to an actor; `on_done` gets its result or an EngineError."""

    def kill(self, handle: ActorHandle) -> None:
        """End an actor."""


class RayLink:
    """Runs calls to a cluster on its thread, one at a time.

    Args:
        cluster: Belongs to the thread, apart from `is_connected`.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._calls: SimpleQueue[tuple[trio.lowlevel.TrioToken, ThreadCall[Any]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: EngineUnavailable | None = None
        self._failed_s = 0.0

    @property
    def problem(self) -> str | None:
        """Why there is no connection, in one line; None while there is one."""
        if self._cluster.is_connected():
            return None
        return str(self._failure or f"there is no connection to the Ray cluster at {self._cluster.address}")

    async def call(self, work: Callable[[Cluster], T], *, connect: bool = False) -> T:
        """Call `work` with the cluster on the thread. When cancelled before its turn, it is not called.

        Args:
            work: Raises nothing but EngineError.
            connect: Connect first if there is no connection.

        Raises:
            ClusterUnavailable: There is no connection.
            EngineError: `work` raised it.
        """
        call = ThreadCall(partial(self._work, work, connect=connect))
        self._put(call)
        return await call.wait()

    def post(self, work: Callable[[Cluster], None]) -> None:
        """Call `work` without waiting for it, after the calls before it and only if there is a connection."""
        self._put(ThreadCall(partial(self._work, work, connect=False)))

    def _put(self, call: ThreadCall[Any]) -> None:
        if self._thread is None:
            # With the context, log lines of the thread name the process, where a server has several.
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._main,), name="trio-stt-ray", daemon=True)
            self._thread.start()
        self._calls.put((trio.lowlevel.current_trio_token(), call))

    def _main(self) -> None:
        while True:
            token, call = self._calls.get()
            call.run()
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(call.returned)
            del token, call  # it may hold clips, which would stay in memory until the next call

    def _work(self, work: Callable[[Cluster], T], *, connect: bool) -> T:
        if not self._cluster.is_connected():
            if not connect:
                raise ClusterUnavailable(self.problem or "") from ConnectionError("no connection")
            self._connect()
        return work(self._cluster)

    def _connect(self) -> None:
        if self._failure is not None and time.monotonic() < self._failed_s + _ATTEMPT_SHARED_S:
            raise self._failure
        try:
            description = self._cluster.connect()
        except EngineUnavailable as error:
            self._failure, self._failed_s = error, time.monotonic()
            raise
        self._failure = None
        logger.info("connected to the Ray cluster at %s: %s", self._cluster.address, description)
