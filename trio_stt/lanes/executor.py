"""The port between a worker of a lane and what runs its engine: `EngineThread`, `EngineProcess` or `EngineActor`.

An executor gets one batch at a time; queues, priorities and cancellation of jobs stay with the lane. Only plain data
crosses the port: a sequence of `Request` in, a list of `Transcript` or an `EngineError` out. Where the engine comes
from is the executor's own matter, given to its constructor: a thread gets a callable that loads the engine, a process
and an actor the `EngineConfig`, with which they load the engine there.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.engines.base import EngineInfo, Request, Transcript

ENGINE_NICENESS = 5
"""Added to the niceness of what runs an engine, so that the event loop runs first where cores are short."""


OnLost = Callable[[EngineUnavailable], None]
"""Takes the reason why an engine is lost."""


def ignore_loss(_: EngineUnavailable) -> None:
    """An `OnLost` for callers that learn it from their next call."""


class EngineExecutor(Protocol):
    """Runs one engine for one worker, which makes one call at a time.

    A worker starts it once and ends it once, with `aclose` or `abandon`, also when `start` failed or was cancelled. It
    makes another one for its next engine.
    """

    async def start(self, on_lost: OnLost = ignore_loss) -> EngineInfo:
        """Load the engine.

        Args:
            on_lost: Called in Trio's thread when the loaded engine is found lost, if that is found without a call: a
                process reports its end, a thread and an actor do not. It must not raise.

        Raises:
            EngineUnavailable: It could not be loaded. A `SettingError` as its cause says that trying again is useless.
        """

    async def transcribe(self, batch: Sequence[Request]) -> list[Transcript]:
        """Transcribe at least one clip, as `Engine.transcribe` does.

        A cancelled call returns at once. The engine may go on with it; the result is dropped, and the next call waits.

        Raises:
            TranscriptionFailed: The engine raised an error, or returned anything else than one transcript per clip.
            EngineUnavailable: No engine is loaded, or the engine reports that it cannot go on.
        """

    async def aclose(self, *, discard: bool = False) -> None:
        """Free the engine, within the executor's own time limit and also in a cancelled scope.

        Calling it again does nothing.

        Args:
            discard: The engine is defective. Executors that share it must not hand it out again.
        """

    def abandon(self, on_return: Callable[[], None]) -> None:
        """Give up a call that does not return, instead of `aclose`. The engine counts as defective.

        Args:
            on_return: Called once in Trio's thread when the engine and what it held are free after all: for a thread
                perhaps never, for a process that can be killed, soon. It must not raise.
        """


def load_timeout(limit_s: float) -> EngineUnavailable:
    """The error of an engine in another process that did not load within its limit; another attempt may succeed."""
    error = EngineUnavailable(f"the engine did not load within {limit_s:g} s (engine_load_limit_s)")
    error.__cause__ = TimeoutError("no answer to the load")
    return error
