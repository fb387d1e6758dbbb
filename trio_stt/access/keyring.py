"""The keys that a running server knows: who presents one is let in, and wrong ones cost the guesser, not the server.

It owns which keys hold now and what a check may cost. It must not know requests or sockets: `credentials` finds the key
in one, `middleware` and `entrance` answer.

- A file that changed is read again, at most once a second, so a revoked key opens nothing more.
- scrypt runs in a thread, one at a time, and only for a key whose id is known. A key that was right once is afterwards
  known by a keyed hash, in memory only.
- Every other attempt counts against its address; more than the limit are refused unseen. Keys that were right before
  still pass from there.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path

import trio

from trio_stt.access.addresses import LoginThrottle
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keys import KeyRecord, key_id_of, parse_entries, read_lines
from trio_stt.errors import SettingError
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MAX_WAITING_CHECKS = 32
"""Of 50 ms each."""
WRONG_KEY = Rejection(
    status=401,
    cause="key",
    detail="the key is wrong or was revoked",
    headers=((b"www-authenticate", b'Bearer error="invalid_token"'),),
)
_BUSY = Rejection(
    status=503,
    cause="key",
    detail=f"more than {_MAX_WAITING_CHECKS} keys wait to be checked; try again in some seconds",
    headers=((b"retry-after", b"5"),),
)


class Keyring:
    """The keys of a server.

    Args:
        settings: `keys` and `keys_file` count.
        failures_per_minute: How many wrong keys an address may try, as of now.

    Raises:
        SettingError: An entry is none, or the file cannot be read.
    """

    def __init__(self, settings: Settings, failures_per_minute: Callable[[], int]) -> None:
        self._path = Path(settings.keys_file).expanduser() if settings.keys_file else None
        self._failures_per_minute = failures_per_minute
        self._given, faults = parse_entries(settings.keys.split(","))
        if faults:
            raise SettingError(f"keys: entry {faults[0]} is not one that `trio-stt keys create` printed")
        self._records = dict(self._given)
        self._seen: tuple[int, ...] | None = None
        self._look_again_s = float("-inf")
        if self._path is not None:
            self._seen = _signature(self._path)
            records, faults = parse_entries(read_lines(self._path))
            if faults:
                raise SettingError(f"keys_file: line {faults[0]} of {self._path} is not an entry of a key")
            self._records |= records
        self._verified: dict[str, tuple[KeyRecord, bytes]] = {}
        self._mac_key = secrets.token_bytes(32)
        self._failures = LoginThrottle()
        self._checks = trio.CapacityLimiter(1)
        self._waiting = 0

    @property
    def is_needed(self) -> bool:
        """Whether anybody is asked for a key at all."""
        return self._path is not None or bool(self._given)

    def is_still_authorized(self, record: KeyRecord) -> bool:
        """Whether a key that was right still is."""
        self._look()
        return self._records.get(record.id) == record

    async def check(self, key: str, address: str) -> KeyRecord | Rejection:
        """Whose key it is, or why it opens nothing. Never slow for one that was right before."""
        self._look()
        record = self._records.get(key_id_of(key) or "")
        mac = hashlib.blake2b(key.encode(errors="replace"), key=self._mac_key, digest_size=32).digest()
        if record is not None and self._was_right(record, mac):
            return record
        per_minute = self._failures_per_minute()
        if wait_s := self._failures.attempt(address, trio.current_time(), per_minute=per_minute):
            return _too_many(per_minute, wait_s)
        if record is None:
            return WRONG_KEY
        if self._waiting >= _MAX_WAITING_CHECKS:
            self._failures.forgive(address)
            return _BUSY
        self._waiting += 1
        try:
            is_right = await trio.to_thread.run_sync(record.matches, key, limiter=self._checks)
        finally:
            self._waiting -= 1
        if not is_right or self._records.get(record.id) != record:
            return WRONG_KEY
        self._failures.forgive(address)
        self._verified[record.id] = record, mac
        return record

    def _was_right(self, record: KeyRecord, mac: bytes) -> bool:
        known, right_mac = self._verified.get(record.id, (None, b""))
        return known == record and compare_digest(mac, right_mac)

    def _look(self) -> None:
        """Read the file again where it changed; what is no longer in it opens nothing."""
        now_s = trio.current_time()
        if self._path is None or now_s < self._look_again_s:
            return
        self._look_again_s = now_s + _LOOK_EVERY_S
        seen = _signature(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            records, faults = parse_entries(read_lines(self._path))
        except SettingError as error:
            records, faults = {}, []
            logger.error("no key of the file holds any more: %s", error)  # noqa: TRY400 - the message says it all
        if faults:
            logger.error("keys_file: line %d of %s is not an entry of a key", faults[0], self._path)
        self._records = self._given | records
        self._verified = {key_id: known for key_id, known in self._verified.items() if key_id in self._records}
        logger.info("the keys were read again: there are %d", len(self._records))


def _too_many(per_minute: int, wait_s: float) -> Rejection:
    return Rejection(
        status=429,
        cause="number of failed logins",
        detail=f"too many wrong keys from this address: max_failed_logins_per_address is {per_minute} a minute",
        headers=((b"retry-after", b"%d" % (wait_s + 1)),),
    )


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode
