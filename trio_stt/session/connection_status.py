"""Whether a session's client is there, and since when. It must not decide what follows from that."""

from collections.abc import Callable

import trio


class ConnectionStatus:
    """Begins with the client there: a session is made for one that is.

    Args:
        tell: Is told of every change, and whether the client is there now.
    """

    def __init__(self, tell: Callable[[bool], object]) -> None:
        self._tell = tell
        self._since_s = trio.current_time()
        self._here = True
        self._changed = trio.Event()

    @property
    def disconnected_since_s(self) -> float | None:
        """When the client was cut off, on trio's clock; None while it is there."""
        return None if self._here else self._since_s

    def change(self, *, connected: bool) -> None:
        """The client came, or was cut off; either counts anew when it is so already."""
        self._here = connected
        self._since_s = trio.current_time()
        self._changed.set()
        self._changed = trio.Event()
        self._tell(connected)

    def was_connected_since(self, time_s: float) -> bool:
        """Whether the client has been there since before this time, on trio's clock, over one connection."""
        return self._here and self._since_s <= time_s

    async def wait_disconnected_for(self, seconds: float) -> None:
        """Wait until the client has been away for this long."""
        while True:
            with trio.move_on_after(float("inf") if self._here else seconds):
                await self._changed.wait()
                continue
            return
