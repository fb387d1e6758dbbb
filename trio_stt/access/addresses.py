"""Client addresses: the part that identifies a client, and throttling of failed logins by it."""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from trio_stt.token_bucket import TokenBucket

_MAX_ADDRESSES = 10_000
_CLIENT_PREFIX = 64
"""Bits of an IPv6 address that identify a client, which chooses the rest itself (RFC 4291)."""
_CACHED_ADDRESSES = 256
"""Each handshake parses the same few addresses nine times."""


class LoginThrottle:
    """Limits failed logins a minute for each client address; keeps the 10,000 most recent addresses."""

    WINDOW_S = 60.0

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def attempt(self, address: str, now_s: float, *, per_minute: int) -> float:
        """Count an attempt; returns the seconds until it would be allowed, 0.0 if it is now."""
        client, rate = client_of(address), per_minute / self.WINDOW_S
        bucket = self._buckets.setdefault(client, TokenBucket(rate, self.WINDOW_S))
        bucket.rate = rate
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        wait_s = bucket.acquire(1, now_s)
        if wait_s:
            bucket.refund(1)  # a rejected attempt does not count, so a client that waits may try again
        return wait_s

    def forgive(self, address: str) -> None:
        """Do not count an attempt: its key was right."""
        if bucket := self._buckets.get(client_of(address)):
            bucket.refund(1)


def client_of(address: str) -> str:
    """The part of an address that identifies a client: an IPv4 address, the /64 of an IPv6 one, any other text."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> _CLIENT_PREFIX << _CLIENT_PREFIX))
    return address if parsed is None else str(parsed)


@lru_cache(_CACHED_ADDRESSES)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; None if it is invalid. An IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
