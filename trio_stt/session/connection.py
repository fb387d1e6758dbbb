"""What a session needs from whatever carries its messages. It must not know sockets: the doors do."""

from typing import Protocol


class ConnectionClosed(Exception):  # noqa: N818 - it is how a conversation ends, not a fault
    """The other side is gone, or the connection was closed."""


class Connection(Protocol):
    """A conversation with one client."""

    @property
    def closed_cleanly(self) -> bool:
        """Whether the other side said goodbye and will not be back; asked when the connection is over."""

    async def receive(self) -> str | bytes:
        """The next message: text for commands, bytes for audio packets. Others have their turn first, always.

        Raises:
            ConnectionClosed: No more will come.
        """

    async def send(self, *messages: str) -> None:
        """Hand over messages, in order and together; returns when the carrier took them.

        Raises:
            ConnectionClosed: It cannot be delivered any more.
        """

    def abort(self) -> None:
        """Break off at once, without a word: the other side does not take what it is sent, and `send` hangs on it."""
