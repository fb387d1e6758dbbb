"""Serialises tasks that all become ready at once, so that other tasks run between any two of them."""

import trio


class Stagger:
    """Lets waiting tasks through first come, first served, one per scheduler pass."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait_turn(self) -> None:
        """Wait for this task's turn."""
        async with self._lock:
            await trio.lowlevel.checkpoint()
