"""An executor for a lane on a cluster that may run its engine in the server while the cluster gives none.

Owns the choice between the two and the way back. Both are executors that are given to it.
"""

import logging
import math
from collections.abc import Callable, Sequence

import trio

from trio_stt.errors import ClusterUnavailable, EngineUnavailable
from trio_stt.lanes.engines.base import EngineInfo, Request, Transcript
from trio_stt.lanes.executor import EngineExecutor, OnLost, ignore_loss

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 2.0
_MAX_PAUSE_S = 30.0
"""Seconds between two attempts to return to the cluster; doubled from the first one on."""


class LocalEngines:
    """Makes the executors of one lane, and counts those whose engine runs in the server.

    Args:
        name: The lane's name, for messages.
        new_remote: Makes an executor on the cluster.
        new_local: Makes one in the server.
        limit: Most engines in the server: it has fewer cores than the cluster.
    """

    def __init__(
        self,
        name: str,
        *,
        new_remote: Callable[[], EngineExecutor],
        new_local: Callable[[], EngineExecutor],
        limit: float = math.inf,
    ) -> None:
        self.name = name
        self.new_remote = new_remote
        self.new_local = new_local
        self.limit = limit
        self.reasons: dict[FallbackExecutor, str] = {}

    def __call__(self) -> EngineExecutor:
        """Make an executor."""
        return FallbackExecutor(self)

    @property
    def notice(self) -> str | None:
        """That engines run in the server, and why, in one line; None if none does."""
        if not self.reasons:
            return None
        reason = next(reversed(self.reasons.values()))
        return f"{reason}; engines in the server instead (lane_fallback): {len(self.reasons)}"


class FallbackExecutor:
    """Runs an engine on the cluster, or in the server while the cluster does not answer. Implements `EngineExecutor`.

    While the engine runs in the server, another one is tried on the cluster at growing pauses. When it is loaded, it
    gets the next call. An engine that is lost on the cluster is the worker's matter, as any other.
    """

    def __init__(self, engines: LocalEngines) -> None:
        self._engines = engines
        self._current: EngineExecutor = engines.new_remote()
        self._next: EngineExecutor | None = None
        self._return_scope = trio.CancelScope()

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:  # noqa: ARG002 - neither executor reports it
        """Load the engine on the cluster, or else in the server.

        Raises:
            EngineUnavailable: It could not be loaded; for lack of the cluster only if the server has its limit of
                engines.
        """
        try:
            return await self._current.start()
        except ClusterUnavailable as error:
            await self._current.aclose()
            engines = self._engines
            if len(engines.reasons) >= engines.limit:
                raise
            logger.warning("%s lane: %s; the engine runs in the server (lane_fallback)", engines.name, error)
            engines.reasons[self] = str(error)
            self._current = engines.new_local()
        info = await self._current.start()
        trio.lowlevel.spawn_system_task(self._return, name=f"return of the {self._engines.name} lane to its cluster")
        return info

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip, see `EngineExecutor.transcribe`."""
        if self._next is not None:
            local, self._current, self._next = self._current, self._next, None
            self._engines.reasons.pop(self, None)
            logger.info("%s lane: the engine runs on the cluster again", self._engines.name)
            # Not here: it waits for a call that was cancelled, while this one can go on.
            trio.lowlevel.spawn_system_task(local.aclose, name="end of an engine in the server")
        return await self._current.transcribe(batch)

    async def aclose(self, *, discard: bool = False) -> None:
        """Free the engine, see `EngineExecutor.aclose`."""
        self._forget()
        await self._current.aclose(discard=discard)
        if self._next is not None:
            await self._next.aclose()

    def abandon(self, on_return: Callable[[], None]) -> None:
        """Give up a call that does not return, see `EngineExecutor.abandon`."""
        self._forget()
        if self._next is not None:
            trio.lowlevel.spawn_system_task(self._next.aclose, name="end of an unused engine on the cluster")
        self._current.abandon(on_return)

    def _forget(self) -> None:
        self._engines.reasons.pop(self, None)
        self._return_scope.cancel()

    async def _return(self) -> None:
        """Load an engine on the cluster, as a system task, which must not raise."""
        pause_s = _FIRST_PAUSE_S
        with self._return_scope:
            while self._next is None:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)
                remote = self._engines.new_remote()
                loaded = False
                try:
                    await remote.start()
                    loaded = True
                except EngineUnavailable as error:
                    if not self._return_scope.cancel_called:
                        self._engines.reasons[self] = str(error)
                except Exception:
                    logger.exception("%s lane: the return to the cluster failed", self._engines.name)
                finally:
                    if loaded:
                        self._next = remote
                    else:
                        # An executor's aclose is shielded and has a deadline of its own.
                        await remote.aclose()  # noqa: ASYNC102
