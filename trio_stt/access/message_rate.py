"""Rate limits of one client's messages.

It must not know sockets, nor more of a message than whether it is audio. Audio above the limit is delayed: nothing is
lost, and a client that sends a file is slowed down by its socket. Commands above the limit have no use: they are
rejected.
"""

import trio

from trio_stt.access.host_and_origin import Rejection
from trio_stt.settings import Settings
from trio_stt.token_bucket import TokenBucket

_WINDOW_S = 5.0


class MessageRateLimiter:
    """The limits of one client.

    Args:
        settings: `max_commands_per_second` and `max_packets_per_second` count.
    """

    def __init__(self, settings: Settings) -> None:
        self._commands = TokenBucket(settings.max_commands_per_second, _WINDOW_S)
        self._packets = TokenBucket(settings.max_packets_per_second, _WINDOW_S)
        self._max_commands = settings.max_commands_per_second

    async def admit(self, *, is_audio: bool) -> Rejection | None:
        """Wait until a message is within its limit, or return why the client is rejected."""
        now_s = trio.current_time()
        if is_audio:
            if wait_s := self._packets.acquire(1, now_s):
                await trio.sleep(wait_s)
            return None
        if self._commands.acquire(1, now_s):
            return Rejection(
                status=400,
                cause="rate of commands",
                detail=f"too many commands: max_commands_per_second is {self._max_commands}, over {_WINDOW_S:g} s",
            )
        return None
