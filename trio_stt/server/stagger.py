"""One at a time, when many want the same at once: between two of them everybody else has a turn.

It owns the queue. It must not know what people do behind it.
"""

import trio


class Stagger:
    """Lets people through in the order in which they came, each in a pass of the event loop of its own."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait_turn(self) -> None:
        """Wait for one's turn."""
        async with self._lock:
            await trio.lowlevel.checkpoint()
