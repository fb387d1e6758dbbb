"""Notifies systemd of a service of `Type=notify`: that it is ready, alive, and stopping.

The protocol is sd_notify(3) and sd_watchdog_enabled(3): datagrams to the socket that `NOTIFY_SOCKET` names. Without
one, nothing happens.
"""

import logging
import os
from collections.abc import Callable

import trio

logger = logging.getLogger(__name__)

_PINGS_PER_LIMIT = 2
"""Watchdog notifications within systemd's limit, as sd_watchdog_enabled(3) recommends."""


async def notify(state: str) -> None:
    """Send a notification such as `READY=1`; one that cannot be delivered is logged and dropped."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ means the zero byte of Linux's abstract namespace.
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as sock:
        try:
            await sock.connect(target)
            await sock.send(state.encode())
        except OSError as error:
            logger.warning("sd_notify(%r) failed: %s", state, error)


async def keep_alive(is_healthy: Callable[[], bool]) -> None:
    """Send watchdog notifications until cancelled, if the unit sets `WatchdogSec`.

    Args:
        is_healthy: Called before each. While it returns False, none is sent, and systemd restarts the service.
    """
    limit_s = _watchdog_limit_s()
    while limit_s:
        if is_healthy():
            await notify("WATCHDOG=1")
        await trio.sleep(limit_s / _PINGS_PER_LIMIT)


def _watchdog_limit_s() -> float:
    """Seconds without a notification after which systemd restarts the service; 0.0 for never."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(text) / 1e6
