"""The keys that a running server accepts, and the throttling of wrong ones.

It owns which keys are valid now. It must not know requests or sockets: `credentials` finds the key in one, `middleware`
and `websocket_admission` answer.

- A file that changed is read again, at most once a second, so a revoked key stops working. One without a key that was
  valid may be half written: it counts when it has not changed for a moment.
- Every attempt but one with a key that was right before counts against its address; those over the limit are refused
  without a look at the key. Keys that were right before still pass from there.
"""

import logging
import time
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

import trio

from trio_stt.access.addresses import LoginThrottle
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keys import KeyRecord, key_id_of, parse_entries, read_lines, sha256
from trio_stt.errors import SettingError
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

_RELOAD_INTERVAL_S = 1.0
_UNFINISHED_S = 0.2
"""Seconds without a change after which a file that lacks a valid key is believed: an editor may be writing it, and the
sessions of that key would be closed for it."""
WRONG_KEY = Rejection(
    status=401,
    cause="key",
    detail="the key is wrong or was revoked",
    headers=((b"www-authenticate", b'Bearer error="invalid_token"'),),
)
REVOKED = Rejection(status=401, cause="key", detail="the key was revoked")


class Keyring:
    """The keys of a server.

    Args:
        settings: `keys` and `keys_file` count.
        failures_per_minute: Returns how many wrong keys an address may try now.

    Raises:
        SettingError: An entry is invalid, or the file cannot be read.
    """

    def __init__(self, settings: Settings, failures_per_minute: Callable[[], int]) -> None:
        self._path = Path(settings.keys_file).expanduser() if settings.keys_file else None
        self._failures_per_minute = failures_per_minute
        self._configured, faults = parse_entries(settings.keys.split(","))
        if faults:
            raise SettingError(f"keys: entry {faults[0]} is not one that `trio-stt keys create` printed")
        self._records = dict(self._configured)
        self._signature: _Signature | None = None
        self._doubted: _Signature | None = None  # of the file when it last seemed to be unfinished
        self._reload_at_s = float("-inf")
        if self._path is not None:
            self._signature = _signature(self._path)
            records, faults = parse_entries(read_lines(self._path))
            if faults:
                raise SettingError(f"keys_file: line {faults[0]} of {self._path} is not an entry of a key")
            self._records |= records
        self._verified: dict[KeyRecord, bytes] = {}  # SHA-256 of keys that were right before
        self._throttle = LoginThrottle()
        self._scrypt = trio.CapacityLimiter(1)

    @property
    def is_needed(self) -> bool:
        """Whether clients need a key at all."""
        return self._path is not None or bool(self._configured)

    def is_still_authorized(self, record: KeyRecord) -> bool:
        """Whether a key that was right still is."""
        self._reload_if_changed()
        return self._records.get(record.id) == record

    async def check(self, key: str, address: str) -> KeyRecord | Rejection:
        """The record of a key, or why it is rejected; waits only for keys hashed with scrypt, once each."""
        self._reload_if_changed()
        record, digest = self._records.get(key_id_of(key) or ""), sha256(key)
        if record is not None and compare_digest(self._verified.get(record, b""), digest):
            return record
        per_minute = self._failures_per_minute()
        if wait_s := self._throttle.attempt(address, trio.current_time(), per_minute=per_minute):
            return _too_many(per_minute, wait_s)
        if record is None:
            return WRONG_KEY
        if record.salt is None:
            is_right = record.matches(key)
        else:  # 50 ms that the event loop must not wait for
            is_right = await trio.to_thread.run_sync(record.matches, key, limiter=self._scrypt)
        if not is_right or self._records.get(record.id) != record:
            return WRONG_KEY
        self._throttle.forgive(address)
        self._verified[record] = digest
        return record

    def _reload_if_changed(self) -> None:
        """Read the file again if it changed."""
        now_s = trio.current_time()
        if self._path is None or now_s < self._reload_at_s:
            return
        self._reload_at_s = now_s + _RELOAD_INTERVAL_S
        signature = _signature(self._path)
        if signature == self._signature:
            return
        problem = ""
        try:
            records, faults = parse_entries(read_lines(self._path))
        except SettingError as error:
            records, faults = {}, []
            problem = f"no key of the file is valid any more: {error}"
        if faults:
            problem = f"keys_file: line {faults[0]} of {self._path} is not an entry of a key"
        accepted = self._configured | records
        is_whole = not problem and self._records.items() <= accepted.items()
        now_signature = _signature(self._path)  # it may have changed while it was read
        if not (is_whole or signature == self._doubted or signature.is_old()) or now_signature != signature:
            self._doubted, self._reload_at_s = now_signature, now_s + _UNFINISHED_S
            return
        self._signature = signature
        if problem:
            logger.error("%s", problem)
        self._records = accepted
        valid = set(self._records.values())
        self._verified = {record: digest for record, digest in self._verified.items() if record in valid}
        logger.info("read the keys again: %d are valid", len(self._records))


def _too_many(per_minute: int, wait_s: float) -> Rejection:
    return Rejection(
        status=429,
        cause="number of failed logins",
        detail=f"too many wrong keys from this address: max_failed_logins_per_address is {per_minute} a minute",
        headers=((b"retry-after", b"%d" % (wait_s + 1)),),
    )


class _Signature(NamedTuple):
    """Values that change with a file."""

    inode: int
    size: int
    changed_at_ns: int
    mode: int

    def is_old(self) -> bool:
        """Whether the file exists and has not changed for a moment; never if it comes from the future."""
        return bool(self.inode) and time.time() - self.changed_at_ns / 1e9 >= _UNFINISHED_S


def _signature(path: Path) -> _Signature:
    """Signature of a file; all zeros if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return _Signature(0, 0, 0, 0)
    return _Signature(found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
