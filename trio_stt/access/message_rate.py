"""How fast a client may talk: messages counted as they come, before anybody reads them.

It owns the pace. It must not know what a message says, nor sockets.

Audio that comes faster is taken later: nothing said is lost, and who sends a file is slowed by the socket itself.
Commands have no use in such numbers: who sends more of them than the limit is turned away.
"""

import trio

from trio_stt.access.host_and_origin import Rejection
from trio_stt.settings import Settings
from trio_stt.token_bucket import TokenBucket

_WINDOW_S = 5.0


class MessageRateLimiter:
    """The messages of one client.

    Args:
        settings: `max_commands_per_second` and `max_packets_per_second` count.
    """

    def __init__(self, settings: Settings) -> None:
        self._commands = TokenBucket(settings.max_commands_per_second, _WINDOW_S)
        self._packets = TokenBucket(settings.max_packets_per_second, _WINDOW_S)
        self._most = settings.max_commands_per_second

    async def admit(self, message: str | bytes) -> Rejection | None:
        """Let a message in when it is its turn; or why its sender is turned away."""
        now_s = trio.current_time()
        if isinstance(message, bytes):
            if wait_s := self._packets.acquire(1, now_s):
                await trio.sleep(wait_s)
            return None
        if self._commands.acquire(1, now_s):
            return Rejection(
                status=400,
                cause="rate of commands",
                detail=f"too many commands: max_commands_per_second is {self._most}, over {_WINDOW_S:g} s",
            )
        return None
