"""One call on its way from Trio to a thread of this process and back. The thread and its queue belong to the caller."""

from collections.abc import Callable
from typing import Generic, TypeVar

import outcome
import trio

T = TypeVar("T")


class ThreadCall(Generic[T]):
    """One call on its way to the thread and back."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._outcome: outcome.Maybe[T]
        self._returned = trio.Event()
        self._cancelled = False

    def run(self) -> None:
        """Make the call, on the thread, unless it was cancelled. Never raises."""
        # No lock is needed: if the cancellation comes just too late, the call runs and its result is dropped.
        if not self._cancelled:
            self._outcome = outcome.capture(self._work)

    def returned(self) -> None:
        """Wake the waiting task, on Trio's side. Never raises."""
        self._returned.set()  # on Trio's side only, so that `_outcome` is complete before anything reads it

    async def wait(self) -> T:
        """Wait for the result. When cancelled, leave the call to the thread."""
        try:
            await self._returned.wait()
        finally:
            self._cancelled = True  # after a result it means nothing: the thread is done with this call
        return self._outcome.unwrap()
