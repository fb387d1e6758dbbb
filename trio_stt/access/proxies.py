"""Trusted reverse proxies: the client's address, scheme and host from their headers, and the path prefix they add.

It must not reject clients for what they are (`host_and_origin` does).

Every proxy appends the address of its own peer, so a list can be trusted from its end up to the first address that is
not a trusted proxy's: that is the client. The client can have invented all before it.

Sources: RFC 7239 (`Forwarded`), and the `X-Forwarded-` headers as nginx, Caddy, Apache and HAProxy write them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import cast

from hypercorn.typing import WWWScope

from trio_stt.access.addresses import parse_address
from trio_stt.access.host_and_origin import Rejection, header_values
from trio_stt.access.request_form import is_root, to_page
from trio_stt.errors import SettingError
from trio_stt.settings import Settings, split_list

_SCHEMES = {"http": ("http", "ws"), "https": ("https", "wss"), "ws": ("http", "ws"), "wss": ("https", "wss")}
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_WITH_PORT = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<ipv4>[0-9.]+))(?::[0-9]{1,5})?")
_MAX_ADDRESS_CHARACTERS = 64
"""Longer than any address with a port; beyond it, a proxy's name for a client is cut."""
CONFLICT = Rejection(
    status=400,
    cause="pair of headers Forwarded and X-Forwarded-For",
    detail="Forwarded and X-Forwarded-For name different clients: the proxy must drop the one that it does not write",
)


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one proxy says about its peer; empty fields if it does not."""

    address: str = ""
    scheme: str = ""
    host: str = ""


class Proxies:
    """The proxies of one server.

    Args:
        settings: `trusted_proxies` and `root_path` count.

    Raises:
        SettingError: An entry of `trusted_proxies` is no address or network, or `root_path` is no path.
    """

    def __init__(self, settings: Settings) -> None:
        entries = split_list(settings.trusted_proxies)
        self._trusted = [_network(entry) for entry in entries]
        trimmed = settings.root_path.strip().strip("/")
        self._root = f"/{trimmed}" if trimmed else ""
        if not _ROOT_PATH.fullmatch(self._root):
            raise SettingError(f"root_path: {settings.root_path!r} is not a path, such as /stt")

    def seen(self, scope: WWWScope) -> WWWScope | Rejection:
        """The scope with the client's own address, scheme and host name, and the path without our root."""
        if is_root(scope["path"], self._root, scope):
            return to_page(self._root, scope)
        changes: dict[str, object] = {"path": self._below_root(scope["path"])}
        client = scope.get("client")
        if client is not None and self.trusts(client[0]):
            hops = _x_forwarded(scope), _forwarded(scope)
            found = [self._client_of(each) for each in hops if each]
            if len({hop.address for hop in found}) > 1:
                return CONFLICT
            if found:
                changes |= _as_seen(found[0], scope)
        return cast("WWWScope", {**scope, **changes})

    def _below_root(self, path: str) -> str:
        """The path as routes know it; a proxy may have removed the root."""
        return path.removeprefix(self._root) if path.startswith(f"{self._root}/") else path

    def trusts(self, text: str) -> bool:
        """Whether an address is a trusted proxy's."""
        address = parse_address(text)
        return address is not None and any(address in network for network in self._trusted)

    def _client_of(self, hops: Sequence[_Hop]) -> _Hop:
        for hop in reversed(hops):
            if not self.trusts(hop.address):
                return hop
        return hops[0]


def _as_seen(hop: _Hop, scope: WWWScope) -> dict[str, object]:
    changes: dict[str, object] = {}
    if hop.address:
        changes["client"] = (hop.address, 0)
    if schemes := _SCHEMES.get(hop.scheme.lower()):
        changes["scheme"] = schemes[scope["type"] == "websocket"]
    if hop.host:
        others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
        changes["headers"] = [*others, (b"host", hop.host.encode("latin-1"))]
    return changes


def _x_forwarded(scope: WWWScope) -> list[_Hop]:
    addresses = _items(scope, b"x-forwarded-for")
    schemes, hosts = _items(scope, b"x-forwarded-proto"), _items(scope, b"x-forwarded-host")
    return [
        _Hop(_bare(address), _value_at(schemes, index, addresses), _value_at(hosts, index, addresses))
        for index, address in enumerate(addresses)
    ]


def _value_at(values: Sequence[str], index: int, addresses: Sequence[str]) -> str:
    """The value that belongs to an address: most proxies append to the list of addresses only."""
    if len(values) == len(addresses):
        return values[index]
    return values[-1] if values else ""


def _forwarded(scope: WWWScope) -> list[_Hop]:
    hops = []
    for element in _items(scope, b"forwarded"):
        # Split instead of a regular expression, whose work would grow with the square of what a client sends.
        found = (pair.partition("=") for pair in element.split(";"))
        pairs = {name.strip().lower(): value.strip().strip('"') for name, _, value in found}
        hops.append(_Hop(_bare(pairs.get("for", "")), pairs.get("proto", ""), pairs.get("host", "")))
    return hops


def _items(scope: WWWScope, name: bytes) -> list[str]:
    return [item for value in header_values(scope, name) for item in split_list(value)]


def _bare(text: str) -> str:
    """An address without its port; any other text is a proxy's name for a client whose address it hides."""
    text = text[:_MAX_ADDRESS_CHARACTERS]
    parts = _WITH_PORT.fullmatch(text)
    return (parts["ipv6"] or parts["ipv4"]) if parts else text


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        message = f"trusted_proxies: {entry[:80]!r} is not an address or a network, such as 10.0.0.0/8"
        raise SettingError(message) from None
