"""What systemd asks of a service of `Type=notify`: that it says when it is ready, that it lives, and when it ends.

It owns that protocol (sd_notify(3), sd_watchdog_enabled(3)): datagrams to a socket that the environment names. Without
one, nothing happens. It must not decide whether the server is well.
"""

import logging
import os
from collections.abc import Callable

import trio

logger = logging.getLogger(__name__)

_LIVES_PER_LIMIT = 2
"""How often systemd hears from us within its limit: half of it is what sd_watchdog_enabled(3) recommends."""


async def notify(state: str) -> None:
    """Tell systemd something, `READY=1` say. What cannot be delivered is logged and forgotten."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ stands for the zero byte of Linux's abstract namespace.
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as sock:
        try:
            await sock.connect(target)
            await sock.send(state.encode())
        except OSError as error:
            logger.warning("systemd was not told %r: %s", state, error)


async def keep_alive(is_well: Callable[[], bool]) -> None:
    """Tell systemd again and again that the server lives, if it asked for that, until cancelled.

    Args:
        is_well: Asked every time. While it says no, systemd hears nothing, and restarts the service at its limit.
    """
    limit_s = _watchdog_limit_s()
    while limit_s:
        if is_well():
            await notify("WATCHDOG=1")
        await trio.sleep(limit_s / _LIVES_PER_LIMIT)


def _watchdog_limit_s() -> float:
    """Seconds without a word after which systemd gives the service up; 0.0 where it never does."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(text) / 1e6
