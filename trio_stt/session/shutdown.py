"""Why and when a session is over: told once, known to all its parts. It must not end anything of its own accord."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import trio


class Farewell(StrEnum):
    """Why the server ended a session or left a connection, in words for the client."""

    IDLE = "idle for too long"
    SHUTDOWN = "the server shuts down"
    RESUMED = "the session goes on over another connection"
    FAILED = "internal error"
    OVER = "the session is over"


class Ending:
    """The end of one session."""

    def __init__(self) -> None:
        self._is_over = False
        self._farewell = Farewell.OVER
        self._scopes: set[trio.CancelScope] = set()

    @property
    def is_over(self) -> bool:
        """Whether it came."""
        return self._is_over

    @property
    def farewell(self) -> Farewell:
        """Why."""
        return self._farewell

    def come(self, farewell: Farewell) -> None:
        """The session is over; the first reason counts."""
        if not self.is_over:
            self._farewell = farewell
            self._is_over = True
            for scope in self._scopes:
                scope.cancel()

    @contextmanager
    def ends(self) -> Iterator[None]:
        """What runs in this block is cancelled when the session is over."""
        with trio.CancelScope() as scope:
            if self.is_over:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.remove(scope)
