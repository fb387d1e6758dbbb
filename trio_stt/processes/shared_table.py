"""The counts of all processes in memory that they share: a table with one row for each process.

The supervisor creates it and hands its descriptor to each process. A process writes only its own row, so a sum over the
rows needs no lock; a lock is needed only where a limit is checked and then used up. The kernel releases the lock of a
process that dies, and the supervisor clears its row.
"""

import errno
import fcntl
import mmap
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from struct import unpack

from trio_stt.errors import SettingError
from trio_stt.processes.counts import ClientCount, Count
from trio_stt.processes.membership import Membership

_CELL_BYTES = 4
_KEY_BYTES = 16
_INSTANCE = len(Count)
"""Cell of a row with the number of its process, after the figures; 0 in a free row."""
_HASHES = 4
_WIDTH = 4096
"""Cells of a client's figures, for each hash. A client is counted in one cell of each hash and read as the least of
them, which is too high only if all four collide: with 10,000 addresses by about 1, with 100 by nothing."""
_ROW_CELLS = 16 + len(ClientCount) * _HASHES * _WIDTH
_LOCK_TIMEOUT_S = 0.1
"""Seconds to wait for the lock. It is held for microseconds; only a process that was stopped meanwhile keeps it."""
_LOCK_RETRY_S = 0.0002
INSTANCE_DIGITS = 6
"""Hexadecimal digits of a process's number in the ids of its sessions."""
MAX_INSTANCE = 16**INSTANCE_DIGITS - 1


class SharedTable:
    """The table, as one process sees it; a `ProcessCounts` for the process of a row.

    Args:
        descriptor: Of the table's file.
        rows: Number of rows.
        row: This process's own; -1 for the supervisor, which has none.
        processes: Number of processes that the server should have.
    """

    def __init__(self, descriptor: int, *, rows: int, row: int, processes: int) -> None:
        self.descriptor = descriptor
        self.processes = processes
        self._row = row
        mapped = mmap.mmap(descriptor, _size_bytes(rows))
        self._key = mapped[:_KEY_BYTES]
        self._cells = memoryview(mapped)[_KEY_BYTES:].cast("I")
        self._starts = [index * _ROW_CELLS for index in range(rows)]
        self._own = self._starts[row] if row >= 0 else -1
        self._others = [start for start in self._starts if start != self._own]

    @classmethod
    def create(cls, rows: int, *, processes: int) -> "SharedTable":
        """A new table, for the supervisor; its descriptor can be inherited.

        Raises:
            SettingError: There is no memory for it.
        """
        assert sys.platform == "linux"  # noqa: S101 - the supervisor has checked it; other systems have no memfd
        descriptor = os.memfd_create("trio-stt-processes", 0)
        try:
            os.posix_fallocate(
                descriptor, 0, _size_bytes(rows)
            )  # now, because a missing page would end a process later
        except OSError as error:
            os.close(descriptor)
            raise SettingError(f"processes: no memory for the counts of {rows} processes: {error.strerror}") from None
        os.pwrite(descriptor, secrets.token_bytes(_KEY_BYTES), 0)
        return cls(descriptor, rows=rows, row=-1, processes=processes)

    @classmethod
    def of(cls, membership: Membership) -> "SharedTable":
        """The table as a process sees it."""
        return cls(membership.table, rows=membership.rows, row=membership.row, processes=membership.processes)

    @property
    def session_prefix(self) -> str:
        """Hexadecimal digits with which the ids of this process's sessions begin."""
        return f"{self._cells[self._own + _INSTANCE]:0{INSTANCE_DIGITS}x}"

    def instances(self) -> list[int]:
        """The numbers of all living processes, the own one included."""
        return [number for start in self._starts if (number := self._cells[start + _INSTANCE])]

    def assign(self, row: int, instance: int) -> None:
        """Give a free row to a process, before it starts. For the supervisor."""
        self._cells[self._starts[row] + _INSTANCE] = instance

    def clear(self, row: int) -> None:
        """Free the row of a process that is no more. For the supervisor."""
        start = self._starts[row]
        self._cells[start : start + _ROW_CELLS] = memoryview(bytes(_ROW_CELLS * _CELL_BYTES)).cast("I")

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """See `ProcessCounts.exclusive`."""
        locked = self._lock()
        try:
            yield locked
        finally:
            if locked:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        give_up_s = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EACCES, errno.EAGAIN}:
                    raise
                if time.monotonic() > give_up_s:
                    return False
                time.sleep(_LOCK_RETRY_S)
            else:
                return True

    def publish(self, count: Count, value: int) -> None:
        """See `ProcessCounts.publish`."""
        self._cells[self._own + count] = value

    def others(self, count: Count) -> int:
        """See `ProcessCounts.others`."""
        return sum(self._cells[start + count] for start in self._others)

    def add_client(self, count: ClientCount, client: str, change: int) -> None:
        """See `ProcessCounts.add_client`."""
        for cell in self._client_cells(count, client):
            self._cells[self._own + cell] += change

    def others_of_client(self, count: ClientCount, client: str) -> int:
        """See `ProcessCounts.others_of_client`."""
        cells = self._client_cells(count, client)
        return min(sum(self._cells[start + cell] for start in self._others) for cell in cells)

    def _client_cells(self, count: ClientCount, client: str) -> tuple[int, ...]:
        """The cells in a row that count a client. The key keeps clients from choosing addresses that collide."""
        first = 16 + count * _HASHES * _WIDTH
        return tuple(first + index * _WIDTH + cell for index, cell in enumerate(_hashes(client, self._key)))


@lru_cache(maxsize=4096)
def _hashes(client: str, key: bytes) -> tuple[int, ...]:
    digest = blake2b(client.encode(errors="replace"), digest_size=4 * _HASHES, key=key).digest()
    return tuple(number % _WIDTH for number in unpack(f"<{_HASHES}I", digest))


def _size_bytes(rows: int) -> int:
    return _KEY_BYTES + rows * _ROW_CELLS * _CELL_BYTES
