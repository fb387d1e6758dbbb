"""The shutdown signal of one session: triggered once, observed by all its parts."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from trio_stt.session.connection import CloseReason


class SessionShutdown:
    """Cancels every scope opened with `scope` when it is triggered."""

    def __init__(self) -> None:
        self._triggered = False
        self._close_reason = CloseReason.OVER
        self._scopes: set[trio.CancelScope] = set()

    @property
    def triggered(self) -> bool:
        """Whether the session is over."""
        return self._triggered

    @property
    def close_reason(self) -> CloseReason:
        """Why it is over; `OVER` before it is."""
        return self._close_reason

    def trigger(self, close_reason: CloseReason) -> None:
        """End the session; the first reason counts."""
        if not self._triggered:
            self._close_reason = close_reason
            self._triggered = True
            for scope in self._scopes:
                scope.cancel()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A block that is cancelled when the session ends; at once if it already has."""
        with trio.CancelScope() as scope:
            if self._triggered:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.remove(scope)
