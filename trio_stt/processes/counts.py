"""Counts that all processes of a server share, for limits that hold for all together.

`ProcessCounts` is the port: each process keeps its own figures, publishes them here, and adds those of the others where
a limit is checked. A single process pays one call that does nothing (`SINGLE_PROCESS`).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from typing import Protocol


class Count(IntEnum):
    """A figure of one process; the value is its place in the shared table."""

    CONNECTED_SESSIONS = 0
    SESSIONS = 1
    SPEAKERS = 2
    CONNECTIONS = 3
    WYOMING_CONNECTIONS = 4


class ClientCount(IntEnum):
    """A figure of one process for each client address; the value is its place in the shared table."""

    CONNECTIONS = 0
    WEBSOCKETS = 1
    WYOMING_CONNECTIONS = 2


class ProcessCounts(Protocol):
    """What limits need to know of the other processes."""

    @property
    def processes(self) -> int:
        """Number of processes that the server should have."""

    @property
    def session_prefix(self) -> str:
        """Hexadecimal digits with which the ids of this process's sessions begin; empty for a single process."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """A block in which no other process checks a limit; whether that could be had.

        Where it could not, because the process that has it stands still, the caller refuses what it was asked for.
        """

    def publish(self, count: Count, value: int) -> None:
        """Show a figure of this process to the others."""

    def others(self, count: Count) -> int:
        """The sum of a figure over the other processes."""

    def add_client(self, count: ClientCount, client: str, change: int) -> None:
        """Change the figure of a client in this process."""

    def others_of_client(self, count: ClientCount, client: str) -> int:
        """The sum of a client's figure over the other processes; never less than it is, and rarely more."""


class _SingleProcess:
    processes = 1
    session_prefix = ""

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """No block has to wait."""
        yield True

    def publish(self, count: Count, value: int) -> None:
        """Show nothing."""

    def others(self, count: Count) -> int:  # noqa: ARG002 - the signature of the port
        """Nothing."""
        return 0

    def add_client(self, count: ClientCount, client: str, change: int) -> None:
        """Show nothing."""

    def others_of_client(self, count: ClientCount, client: str) -> int:  # noqa: ARG002 - as above
        """Nothing."""
        return 0


SINGLE_PROCESS: ProcessCounts = _SingleProcess()
"""The counts of a server with one process."""
