"""Rules for `Host` and `Origin`: host names the server answers to, pages that may use it, and what is its own machine.

It must not answer requests (`middleware` does), nor know keys (`keyring` does) or sessions.

- `Host`: a browser sends the name that the page used for the server. A foreign page whose DNS name was rebound to our
  address sends its own name there, so only our own names are answered.
- `Origin`: a browser sends WebSocket handshakes and requests for any page, and the page's origin with them. Other
  clients send no origin, and could send any.

See docs/protocol.md, Connecting. Sources: RFC 6454 (origins), RFC 6761 (`localhost`).
"""

import re
import socket
from dataclasses import dataclass

from hypercorn.typing import WWWScope

from trio_stt.access.addresses import parse_address
from trio_stt.errors import SettingError
from trio_stt.settings import Settings, split_list

_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*)\.?)(?::(?P<port>[0-9]{1,5}))?"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HIGHEST_PORT = 65_535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXY_HEADERS = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
_SHOWN_CHARACTERS = 80
_Origin = tuple[str, str, int | None]
_FILE_ORIGINS: dict[str, _Origin] = {"null": ("null", "", None), "file://": ("file", "", None)}
"""Origins of pages that were opened as files; `null` is also that of a page in a sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a request is rejected.

    Attributes:
        status: The status of the HTTP answer.
        cause: The part of the request that is not allowed, for the log.
        detail: The cause and what to do about it, for users.
        headers: Further headers of the HTTP answer.
    """

    status: int
    cause: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Access:
    """The rules for one server.

    Args:
        settings: `host`, `allowed_hosts` and `allowed_origins` count.

    Raises:
        SettingError: An entry of `allowed_hosts` is not a host name, or one of `allowed_origins` is not an origin.
    """

    def __init__(self, settings: Settings) -> None:
        hosts, origins = split_list(settings.allowed_hosts), split_list(settings.allowed_origins)
        self._any_host, self._any_origin = "*" in hosts, "*" in origins
        self._hosts = frozenset(_allowed_host(entry) for entry in hosts if entry != "*")
        self._origins = frozenset(_allowed_origin(entry) for entry in origins if entry != "*")
        # An ASGI host may listen elsewhere than this setting says, so `_is_own_name` also looks at the address in use.
        self._is_public = not is_loopback(settings.host)
        self._own_names = _own_names() | {settings.host.lower()}

    def rejection(self, scope: WWWScope) -> Rejection | None:
        """Why a request or handshake is rejected; None if it is not."""
        return self.host_rejection(scope) or self._origin_rejection(scope)

    def host_rejection(self, scope: WWWScope) -> Rejection | None:
        """Why the name that a client used for the server is rejected; None if it is not."""
        host_header = _header(scope, b"host")
        shown = _shown(host_header)
        try:
            is_ours = not host_header or self._is_own_name(_host_and_port(host_header)[0], scope)
        except ValueError:
            return Rejection(status=400, cause=f"host name {shown}", detail=f"{shown} is not a host name")
        if not is_ours:
            return Rejection(
                status=421,
                cause=f"host name {shown}",
                detail=f"the host name {shown} is not served; name it in the setting allowed_hosts (--allowed-hosts)"
                " if it should be",
            )
        return None

    @property
    def has_allowed_origins(self) -> bool:
        """Whether pages of other origins may use the server."""
        return self._any_origin or bool(self._origins)

    def allowed_origin(self, scope: WWWScope) -> bytes | None:
        """The origin of a request if `allowed_origins` names it, as the client wrote it."""
        origins = header_values(scope, b"origin")
        if len(origins) != 1:
            return None
        try:
            is_allowed = self._any_origin or _origin(origins[0]) in self._origins
        except ValueError:
            return None
        return origins[0].encode("latin-1") if is_allowed else None

    def _origin_rejection(self, scope: WWWScope) -> Rejection | None:
        host_header = _header(scope, b"host")
        if scope["type"] == "http" and scope["method"] in _READING_METHODS:
            return None
        for origin in header_values(scope, b"origin"):
            if not self._allows(origin, scope, host_header):
                shown = _shown(origin)
                return Rejection(
                    status=403,
                    cause=f"origin {shown}",
                    detail=f"pages of the origin {shown} may not use this server; name it in the setting"
                    " allowed_origins (--allowed-origins) if they should",
                )
        return None

    def _is_own_name(self, host: str, scope: WWWScope) -> bool:
        if self._any_host or host in self._hosts or _means_this_machine(host):
            return True
        if not self._is_public and is_loopback(_address_at(scope.get("server"))):
            return False
        # An address cannot be rebound: a client that names it has reached it.
        return parse_address(host) is not None or host in self._own_names

    def _allows(self, origin_header: str, scope: WWWScope, host_header: str) -> bool:
        if self._any_origin:
            return True
        scheme = _HTTP_SCHEMES.get(scope["scheme"], scope["scheme"])
        try:
            origin = _origin(origin_header)
            return origin in self._origins or origin == _origin(f"{scheme}://{host_header}")
        except ValueError:
            return False


def is_local(scope: WWWScope) -> bool:
    """Whether a request comes from the server's own machine: through loopback, and without a proxy's header."""
    is_proxied = any(name.lower() in _PROXY_HEADERS for name, _ in scope["headers"])
    if is_proxied or not is_loopback(_address_at(scope.get("client"))):
        return False
    try:
        # A proxy that adds no header may still pass on its public name.
        host = _header(scope, b"host")
        return not host or _means_this_machine(_host_and_port(host)[0])
    except ValueError:
        return False


def is_authority(text: str) -> bool:
    """Whether a text is a host name or an address, with or without a port."""
    try:
        _host_and_port(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address, or a name with a fixed meaning, is reachable from its own machine only."""
    address = parse_address(host)
    return _is_localhost(host.lower()) if address is None else address.is_loopback


def _means_this_machine(host: str) -> bool:
    """Like `is_loopback`, but also true for 0.0.0.0 and ::, which clients resolve to their own machine."""
    address = parse_address(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _own_names() -> frozenset[str]:
    full = socket.gethostname().lower()
    short = full.partition(".")[0]
    return frozenset({full, short, f"{short}.local"})


def header_values(scope: WWWScope, wanted: bytes) -> list[str]:
    """Every value of a header; `wanted` is in lower case."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted]


def _header(scope: WWWScope, wanted: bytes) -> str:
    return next(iter(header_values(scope, wanted)), "")


def _address_at(end: tuple[str, int] | tuple[str, int | None] | None) -> str:
    """The address at one end of a connection in ASGI's form; empty on a Unix socket."""
    return end[0] if end else ""


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Split `host:port`; returns names in lower case without a final dot, and addresses in their canonical form.

    Raises:
        ValueError: The text has another form.
    """
    parts = _AUTHORITY.fullmatch(authority.lower())
    if parts is None:
        raise ValueError("not a host name")
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and port > _HIGHEST_PORT:
        raise ValueError("not a port")
    if parts["ipv6"]:
        address = parse_address(parts["ipv6"])
        if address is None or ":" not in parts["ipv6"]:
            raise ValueError("not an IPv6 address")
        return str(address), port
    return parts["name"], port


def _origin(text: str) -> _Origin:
    """Scheme, host and port of an origin; http and https always get a port.

    Raises:
        ValueError: The text is not an origin.
    """
    if text.lower() in _FILE_ORIGINS:
        return _FILE_ORIGINS[text.lower()]
    scheme, _, authority = text.partition("://")
    scheme = scheme.lower()
    if not _SCHEME.fullmatch(scheme):
        raise ValueError("not an origin")
    host, port = _host_and_port(authority)
    return scheme, host, _DEFAULT_PORTS.get(scheme) if port is None else port


def _allowed_host(entry: str) -> str:
    bare_ipv6 = ":" in entry and parse_address(entry) is not None
    try:
        host, port = _host_and_port(f"[{entry}]" if bare_ipv6 else entry)
        if port is None:
            return host
    except ValueError:
        pass
    raise SettingError(f"allowed_hosts: {_shown(entry)} is not a host name without a port, such as stt.example.org")


def _allowed_origin(entry: str) -> _Origin:
    try:
        return _origin(entry)
    except ValueError:
        message = f"allowed_origins: {_shown(entry)} is not an origin, such as https://example.org, null or file://"
        raise SettingError(message) from None


def frame_ancestors(settings: Settings) -> str:
    """The sources of a Content-Security-Policy's `frame-ancestors`.

    Raises:
        SettingError: An entry of `frame_ancestors` is not the origin of a page on the web.
    """
    entries = split_list(settings.frame_ancestors)
    if "*" in entries:
        return "*"
    for entry in entries:
        try:
            is_web = _origin(entry)[0] in _DEFAULT_PORTS
        except ValueError:
            is_web = False
        if not is_web:
            raise SettingError(f"frame_ancestors: {_shown(entry)} is not an origin, such as https://home.example.org")
    return " ".join(entries) or "'none'"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
