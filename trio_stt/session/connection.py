"""The connection of a session to its client: the interface of the transport, its status, and reasons for closing it.

The api package implements `Connection`; sessions know no sockets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import trio

from trio_stt.protocol.commands import Command, Flush, Start
from trio_stt.protocol.packets import AudioPacket
from trio_stt.settings import Settings


@dataclass(frozen=True, slots=True)
class Discard:
    """Discards the running utterance and the audio before it; unlike after `clear`, ended ones keep their finals.

    A `clear` event answers it. Only dialects send it.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """Settings of speech detection from here on; a running utterance keeps those that it began with.

    Only dialects send it.
    """

    settings: Settings


MARKED = "marked"
"""The timeline entry that answers a `Mark`. It has no segment."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Published as a timeline entry when everything received before it is processed, if not transcribed.

    Only dialects send it.
    """


Message = str | bytes | Command | Start | Flush | Discard | Detection | Mark | AudioPacket
"""What a client sends: the text of a command, the bytes of a packet, or either of them parsed already."""


class ConnectionClosed(Exception):  # noqa: N818 - the usual end of a connection, not a fault
    """The client is gone, or the connection was closed."""


class CloseReason(StrEnum):
    """Why the server ended a session or closed a connection, as sent to the client."""

    IDLE = "idle for too long"
    SHUTDOWN = "the server shuts down"
    RESUMED = "the session goes on over another connection"
    FAILED = "internal error"
    EVICTED = "another session took the place of this disconnected one"
    OVER = "the session is over"


class Connection(Protocol):
    """Carries messages between a session and one client."""

    @property
    def closed_cleanly(self) -> bool:
        """Whether the client closed for good and will not resume; valid once the connection is over."""

    async def receive(self) -> Message:
        """The next message. Always a checkpoint.

        Raises:
            ConnectionClosed: No more messages will come.
        """

    async def send(self, *messages: str) -> None:
        """Send messages, in order and together; returns when the transport has taken them.

        Raises:
            ConnectionClosed: They cannot be delivered any more.
        """

    def abort(self) -> None:
        """Reset the transport without a close frame, which a client that does not read would not get."""


class ConnectionStatus:
    """Whether a session's client is connected, and since when; a new session's client is.

    Args:
        on_change: Called after every change with whether the client is connected.
    """

    def __init__(self, on_change: Callable[[bool], object]) -> None:
        self._on_change = on_change
        self._since_s = trio.current_time()
        self._connected = True
        self._changed = trio.Event()

    @property
    def disconnected_since_s(self) -> float | None:
        """When the client was disconnected, on trio's clock; None while it is connected."""
        return None if self._connected else self._since_s

    def change(self, *, connected: bool) -> None:
        """Record a connect or disconnect. Repeating the current state restarts its timer."""
        self._connected = connected
        self._since_s = trio.current_time()
        self._changed.set()
        self._changed = trio.Event()
        self._on_change(connected)

    def was_connected_since(self, time_s: float) -> bool:
        """Whether one connection has lasted since before `time_s`, on trio's clock."""
        return self._connected and self._since_s <= time_s

    async def wait_disconnected_for(self, seconds: float) -> None:
        """Wait until the client has been disconnected for this long without interruption."""
        while True:
            with trio.move_on_after(float("inf") if self._connected else seconds):
                await self._changed.wait()
                continue
            return
