"""Limits on open connections, in total and per address; makes room by closing connections that wait for a request.

It owns the counts. It must not know sockets: the hosting layer reports each connection, and closes those named here.

A connection waits for a request from its start to the end of the first request's head, TLS handshake included, and
again between requests. So many connections that only wait (slowloris) do not keep other clients out, even when they use
up all descriptors that the process may open.
"""

import logging
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Protocol

from trio_stt.access.addresses import client_of
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.proxies import Proxies
from trio_stt.access.rejection_log import RejectionLog
from trio_stt.processes.counts import SINGLE_PROCESS, ClientCount, Count, ProcessCounts
from trio_stt.settings import Settings

_RESERVED_DESCRIPTORS = 64
"""Descriptors kept free for models, logs, the page's files and the event loop: a server without sessions has about 30
open."""
_DESCRIPTORS_PER_RECORDED_SESSION = 3
"""Descriptors of a recorded session: its socket, its audio and its events."""
_MAX_DESCRIPTORS = 65_536
"""Largest requested limit on descriptors: a larger one slows down programs that close every possible descriptor."""
_MIN_CONNECTIONS = 16
_HTTP_CONNECTIONS_PER_ADDRESS = 64
"""Connections of an address beyond its WebSockets: a browser opens six, and an undeclared proxy has many users."""


class Connection(Protocol):
    """An open connection, as `ConnectionLimits` sees it."""

    def close_waiting(self) -> None:
        """Close at once. The connection has no request, so nothing is lost."""


class ConnectionLimits:
    """Counts open connections and admits new ones.

    Args:
        settings: Returns the settings in force; `max_connections` and `max_connections_per_address` are read.
        counts: What the other processes of the server have: the limits hold for all together, but for the automatic
            one, which is about the descriptors of one process. Each makes room by closing its own connections only.
        count: Under which the connections are published.
        client_count: Under which those of an address are published.

    Raises:
        SettingError: `trusted_proxies` is invalid.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        counts: ProcessCounts = SINGLE_PROCESS,
        *,
        count: Count = Count.CONNECTIONS,
        client_count: ClientCount = ClientCount.CONNECTIONS,
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._count, self._client_count = count, client_count
        self._proxies = Proxies(settings())
        self._automatic = automatic_limit(raise_descriptor_limit(), records=settings().record is not None)
        self._client: dict[Connection, str] = {}  # of every open connection
        self._open: Counter[str] = Counter()  # by client
        self._waiting: defaultdict[str, dict[Connection, None]] = defaultdict(dict)  # by client, longest first
        self._log = RejectionLog(logging.getLogger(__name__), time.monotonic)  # there is no Trio under an asyncio host

    def admit(self, connection: Connection, address: str | None) -> Rejection | None:
        """Count a new connection, which waits for a request; or return why it must be refused.

        Args:
            connection: The connection.
            address: The client's address; None on a Unix socket.
        """
        of_setting = self._settings().max_connections
        limit = of_setting or self._automatic * self._counts.processes
        # The connections of a trusted proxy belong to many clients, which the addresses in its headers limit.
        is_shared = address is None or self._proxies.trusts(address)
        client = "" if is_shared else client_of(address or "")
        per_client = math.inf if is_shared else self._per_client(limit)
        with self._counts.exclusive() as exclusive:
            others = 0 if is_shared else self._counts.others_of_client(self._client_count, client)
            if self._open[client] + others >= per_client and not self._close_longest_waiting(client):
                return self._reject(f"connections from an address (max_connections_per_address; at most {per_client})")
            is_full = len(self._client) + self._counts.others(self._count) >= limit or not exclusive
            has_no_files = not of_setting and len(self._client) >= self._automatic
            if (is_full or has_no_files) and not self._close_longest_waiting(self._most_waiting()):
                return self._reject(f"connections (max_connections; at most {limit})")
            self._client[connection] = client
            self._open[client] += 1
            self._waiting[client][connection] = None
            self._publish(client, 1)
        return None

    def _publish(self, client: str, change: int) -> None:
        self._counts.publish(self._count, len(self._client))
        if client:
            self._counts.add_client(self._client_count, client, change)

    def note(self, connection: Connection, *, is_waiting: bool) -> None:
        """Record whether a connection waits for a request or has one."""
        client = self._client.get(connection)
        if client is None:
            return
        waiting = self._waiting[client]
        waiting.pop(connection, None)
        if is_waiting:
            waiting[connection] = None
        elif not waiting:
            del self._waiting[client]

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection that was closed; does nothing for one that is not counted."""
        self.note(connection, is_waiting=False)
        client = self._client.pop(connection, None)
        if client is not None:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
            self._publish(client, -1)

    def _per_client(self, limit: int) -> int:
        of_setting = self._settings().max_connections_per_address + _HTTP_CONNECTIONS_PER_ADDRESS
        return min(of_setting, max(limit // 2, 1))  # one address never keeps all others out

    def _most_waiting(self) -> str:
        """The client with the most waiting connections: a slow attack from one address affects only that address."""
        return max(self._waiting, key=lambda client: len(self._waiting[client]), default="")

    def _close_longest_waiting(self, client: str) -> bool:
        """Close the connection of a client that has waited longest; returns whether there was one."""
        connection = next(iter(self._waiting.get(client, ())), None)
        if connection is None:
            return False
        self.remove(connection)
        connection.close_waiting()
        return True

    def _reject(self, cause: str) -> Rejection:
        rejection = Rejection(status=503, cause=f"number of {cause}", detail=f"too many {cause}")
        self._log.note(rejection)
        return rejection


def automatic_limit(descriptors: int, *, records: bool) -> int:
    """Number of connections for which the descriptors of a process are enough."""
    free = max(descriptors - _RESERVED_DESCRIPTORS, _MIN_CONNECTIONS)
    return max(free // _DESCRIPTORS_PER_RECORDED_SESSION, _MIN_CONNECTIONS) if records else free


def raise_descriptor_limit() -> int:
    """Raise this process's limit on open files as far as allowed, up to `_MAX_DESCRIPTORS`; returns the limit."""
    if sys.platform == "win32":
        return _MAX_DESCRIPTORS
    import resource  # noqa: PLC0415 - Windows has none

    soft, hard = (
        _MAX_DESCRIPTORS if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    wanted = min(hard, _MAX_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(soft, wanted)
