"""One loaded engine for several threads of a lane, where its `transcribe` may be called on all of them at once.

Counts the leases of the engine. It knows neither executors nor Trio: `load` and `close` run on the executors' threads.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Self

from trio_stt.lanes.engines.base import Engine, EngineInfo, Request, Transcript


class _Holder:
    """One engine, once it is loaded, and the number of leases that hold it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: Engine | None = None
        self.leases = 0


class SharedEngine:
    """An engine that the first lease loads and the last one closes; after that the next one loads it again.

    Args:
        load: Loads the engine.
    """

    def __init__(self, load: Callable[[], Engine]) -> None:
        self.load = load
        self.current = _Holder()

    def lease(self) -> "EngineLease":
        """A lease for one executor."""
        return EngineLease(self)


class EngineLease:
    """One executor's hold on a shared engine. Implements `Engine` once `load` has returned."""

    def __init__(self, shared: SharedEngine) -> None:
        self._shared = shared
        self._holder: _Holder | None = None
        self._engine: Engine | None = None

    def load(self) -> Self:
        """Get the engine. Blocks while it is loaded, also where another executor loads it."""
        holder = self._holder = self._shared.current
        with holder.lock:
            if holder.engine is None:
                holder.engine = self._shared.load()
            holder.leases += 1
            self._engine = holder.engine
        return self

    def discard(self) -> None:
        """Give the engine of this lease to no further lease, as it is defective. Others keep it. Never blocks.

        The next lease gets a holder of its own instead of an empty one, because a thread that hangs may have the lock.
        """
        if self._holder is self._shared.current:
            self._shared.current = _Holder()

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._loaded().info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe clips, see `Engine.transcribe`."""
        return self._loaded().transcribe(batch)

    def close(self) -> None:
        """End the lease; the last one closes the engine. Calling it again does nothing."""
        holder, engine, self._engine = self._holder, self._engine, None
        if holder is None or engine is None:
            return
        with holder.lock:
            holder.leases -= 1
            if not holder.leases:
                holder.engine = None
                engine.close()

    def _loaded(self) -> Engine:
        assert self._engine is not None  # noqa: S101 - for the type checker: `Engine` methods follow `load`
        return self._engine
