"""Why and when a session is over: told once, known to all its parts. It must not end anything of its own accord."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import trio


class CloseReason(StrEnum):
    """Why the server ended a session or left a connection, in words for the client."""

    IDLE = "idle for too long"
    SHUTDOWN = "the server shuts down"
    RESUMED = "the session goes on over another connection"
    FAILED = "internal error"
    OVER = "the session is over"


class SessionShutdown:
    """The end of one session."""

    def __init__(self) -> None:
        self._is_over = False
        self._farewell = CloseReason.OVER
        self._scopes: set[trio.CancelScope] = set()

    @property
    def is_over(self) -> bool:
        """Whether it came."""
        return self._is_over

    @property
    def close_reason(self) -> CloseReason:
        """Why."""
        return self._farewell

    def trigger(self, close_reason: CloseReason) -> None:
        """The session is over; the first reason counts."""
        if not self.is_over:
            self._farewell = close_reason
            self._is_over = True
            for scope in self._scopes:
                scope.cancel()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What runs in this block is cancelled when the session is over."""
        with trio.CancelScope() as scope:
            if self.is_over:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.remove(scope)
