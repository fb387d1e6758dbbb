"""Client addresses: what stands for one client in them, and who of them failed to log in. They know no sockets."""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from trio_stt.token_bucket import TokenBucket

_MAX_ADDRESSES = 10_000
_CLIENT_PREFIX = 64
"""Bits of an IPv6 address that name a client: the rest is its own choice (RFC 4291)."""
_REMEMBERED = 256
"""Addresses, or what stands in their place: each handshake asks for the same few nine times."""


class LoginThrottle:
    """Failed logins by client address, so many a minute; of ten thousand addresses, the latest."""

    WINDOW_S = 60.0

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def attempt(self, address: str, now_s: float, *, per_minute: int) -> float:
        """Count an attempt; returns the seconds until this one would be allowed, 0.0 where it is now."""
        client, rate = client_of(address), per_minute / self.WINDOW_S
        bucket = self._buckets.setdefault(client, TokenBucket(rate, self.WINDOW_S))
        bucket.rate = rate
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        wait_s = bucket.acquire(1, now_s)
        if wait_s:
            bucket.refund(1)  # what was refused is no attempt: who stops gets in again
        return wait_s

    def forgive(self, address: str) -> None:
        """The attempt was none: the key was right."""
        if bucket := self._buckets.get(client_of(address)):
            bucket.refund(1)


def client_of(address: str) -> str:
    """What stands for one client in an address: an IPv4 address, the network of an IPv6 one, or any other text."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> _CLIENT_PREFIX << _CLIENT_PREFIX))
    return address if parsed is None else str(parsed)


@lru_cache(_REMEMBERED)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is; IPv4 where IPv6 only wraps it."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
