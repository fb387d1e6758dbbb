"""The log of rejected requests, limited in rate. It does not decide what is rejected."""

import logging
from collections.abc import Callable

import trio

from trio_stt.access.host_and_origin import Rejection


class RejectionLog:
    """Logs rejections, at most one in `INTERVAL_S`, and counts the others, so that clients cannot flood the log."""

    INTERVAL_S = 10.0

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = trio.current_time) -> None:
        self._logger = logger
        self._clock = clock
        self._quiet_until_s = float("-inf")
        self._unlogged = 0

    def note(self, rejection: Rejection) -> None:
        """Log a rejection, or count it for the next line."""
        self.warn(f"rejected a request: the {rejection.cause} is not allowed")

    def warn(self, message: str) -> None:
        """Log a warning about a client, or count it for the next line."""
        now_s = self._clock()
        if now_s < self._quiet_until_s:
            self._unlogged += 1
            return
        others = f"; {self._unlogged} more since the last such line" if self._unlogged else ""
        self._logger.warning("%s%s", message, others)
        self._quiet_until_s, self._unlogged = now_s + self.INTERVAL_S, 0
