"""What a process of a server with several learns from its supervisor when it starts, and the link between both.

The supervisor passes descriptors and a variable of the environment. On the link, each side sends single bytes.
"""

import os
from enum import StrEnum

import msgspec

_VARIABLE = "_TRIO_STT_PROCESS"
"""No setting: `TRIO_STT_` would make it one."""


class FromProcess(StrEnum):
    """What a process reports."""

    READY = "R"
    ALIVE = "."
    USELESS = "F"
    """Only a restart helps."""


class ToProcess(StrEnum):
    """What the supervisor asks a process for. The end of the link, with the supervisor, means `DRAIN`."""

    DRAIN = "D"
    HAND_OVER = "H"
    """Accept no more connections, because another process has the listening sockets, too; then as `DRAIN`."""
    END = "N"
    """End at once."""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """One process among several.

    Attributes:
        instance: Its number, from 1; never used twice while the supervisor runs.
        first: Whether it is the first process of all, which speaks for the others at the start.
        leader: Whether it has the first of the places, and so does what one process should do only.
        link: Descriptor of its socket to the supervisor.
        table: Descriptor of the shared counts.
        rows: Rows of that table.
        row: Its own.
        processes: Number of processes that the server should have.
        folder: Private folder of the sockets between the processes.
        listeners: Descriptors of its listening sockets.
        wyoming_listeners: Those for Wyoming.
    """

    instance: int
    first: bool
    leader: bool
    link: int
    table: int
    rows: int
    row: int
    processes: int
    folder: str
    listeners: tuple[int, ...]
    wyoming_listeners: tuple[int, ...] = ()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All descriptors that the process inherits."""
        return (self.link, self.table, *self.listeners, *self.wyoming_listeners)

    def environment(self) -> dict[str, str]:
        """The variable for the process."""
        return {_VARIABLE: msgspec.json.encode(self).decode()}


def is_member() -> bool:
    """Whether a supervisor started this process."""
    return _VARIABLE in os.environ


def take_membership() -> Membership | None:
    """The membership of this process, taken out of the environment of its children; None without a supervisor."""
    text = os.environ.pop(_VARIABLE, None)
    return msgspec.json.decode(text, type=Membership) if text else None


def socket_path(folder: str, instance: int) -> str:
    """The socket on which a process answers the others."""
    return f"{folder}/{instance}.socket"
