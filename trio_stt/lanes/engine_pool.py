"""Where the workers of a lane get their engines: one loaded model for all where it may be shared, else one for each.

Owns who holds a shared model. It must not know hosts, jobs or trio: `load` and `close` run on the engines' threads.
"""

import threading
from collections.abc import Callable, Sequence

from trio_stt.lanes.engines.base import Engine, EngineInfo, Request, Transcript


class _Held:
    """One loaded model, once it is loaded, and how many hold it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: Engine | None = None
        self.holders = 0


class EnginePool:
    """What the workers of one lane load.

    Args:
        load: Makes an engine.
        shared: Whether its `transcribe` may be called on several threads at once.
    """

    def __init__(self, load: Callable[[], Engine], *, shared: bool = False) -> None:
        self.make = load
        self.shared = shared
        self.current = _Held()

    def lease(self) -> "EngineLease":
        """Where one worker gets its engines."""
        return EngineLease(self)


class EngineLease:
    """One worker's way to its engines. Made by `EnginePool.lease`."""

    def __init__(self, model: EnginePool) -> None:
        self._model = model
        self._held: _Held | None = None

    def load(self) -> Engine:
        """An engine, to be closed by who asked. Blocks; a model that another worker loads is waited for."""
        if not self._model.shared:
            return self._model.make()
        held = self._held = self._model.current
        with held.lock:
            if held.engine is None:
                held.engine = self._model.make()
            held.holders += 1
            return _Share(held, held.engine)

    def discard(self) -> None:
        """Share no more what this worker loaded last: it is not to be trusted. Others may go on with it. Never blocks.

        A thread that hangs may hold the lock of that model, so the next one gets a lock of its own.
        """
        if self._held is self._model.current:
            self._model.current = _Held()


class _Share:
    """An engine that others use, too: the last one to close it closes it. Implements `Engine`."""

    def __init__(self, held: _Held, engine: Engine) -> None:
        self._held: _Held | None = held
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        return self._engine.transcribe(batch)

    def close(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        with held.lock:
            held.holders -= 1
            if not held.holders:
                held.engine = None
                self._engine.close()
