"""The address of a server: its URL taken apart, and a connection to it, with TLS where the URL asks for it."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream

from trio_stt.errors import TrioSttError

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_ENCRYPTED = frozenset({"https", "wss"})
_CONNECT_S = 30.0
"""Seconds for the connection and the TLS handshake: a host that drops packets would take the system's two minutes."""
_REMEDIES = {
    9: "the certificate or this machine's clock is wrong",
    10: "the server needs a new one (certfile)",
    62: "use a name that it has",
    64: "use a name that it has",
}
"""What helps with a certificate, by OpenSSL's code: not yet valid, expired, for another name, for another address."""
_OTHER_AUTHORITY = "name the authority that signed it (--ca-file, or ca_file=)"


class ConnectError(TrioSttError):
    """The server cannot be reached, or rejects the connection.

    Attributes:
        status: Of the HTTP answer that rejects it; None without one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a server is.

    Attributes:
        url: As it was given, for messages.
        host: Name or address.
        port: TCP port.
        path: In front of the server's paths, without a slash at its end; usually empty.
        is_encrypted: Whether it speaks TLS.
    """

    url: str
    host: str
    port: int
    path: str
    is_encrypted: bool

    @property
    def authority(self) -> str:
        """Host and port, as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _PORTS["https" if self.is_encrypted else "http"]
        return host if self.port == default else f"{host}:{self.port}"

    async def connect(self, ssl_context: ssl.SSLContext | None = None) -> ByteStream:
        """Open a connection.

        Args:
            ssl_context: For TLS; None verifies the server's certificate by the system's authorities.

        Raises:
            ConnectError: There is no server, or its certificate is not trusted.
        """
        try:
            with anyio.fail_after(_CONNECT_S):
                if not self.is_encrypted:
                    return await anyio.connect_tcp(self.host, self.port)
                return await anyio.connect_tcp(
                    self.host,
                    self.port,
                    ssl_context=ssl_context or ssl.create_default_context(),
                    tls_standard_compatible=False,
                )
        except ssl.SSLCertVerificationError as error:
            raise ConnectError(
                f"cannot connect to {self.url}: its certificate is not trusted: {error.verify_message.rstrip('.')};"
                f" {_REMEDIES.get(error.verify_code, _OTHER_AUTHORITY)}"
            ) from None
        except ssl.SSLError as error:
            raise ConnectError(f"cannot connect to {self.url}: no TLS there: {error.reason or error}") from error
        except TimeoutError:
            raise ConnectError(f"cannot connect to {self.url}: no answer within {_CONNECT_S:g} s") from None
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, UnicodeError) as error:
            raise ConnectError(f"cannot connect to {self.url}: {_cause(error)}") from error


def parse_address(url: str, route: str) -> ServerAddress:
    """Take the URL of a server apart; `route` is the path that may stand at its end.

    Raises:
        ConnectError: It is not one.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _PORTS or not parts.hostname or port == -1:
        raise ConnectError(f"{url} is not the address of a server; expected http://HOST:PORT or https://HOST:PORT")
    return ServerAddress(
        url=url,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        path=parts.path.rstrip("/").removesuffix(route).rstrip("/"),
        is_encrypted=parts.scheme in _ENCRYPTED,
    )


def trusting(ca_file: str | Path | None) -> ssl.SSLContext | None:
    """A context for TLS that trusts the authorities in a PEM file only; None without a file.

    Raises:
        ConnectError: The file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConnectError(f"{ca_file}: holds no certificate in PEM format (--ca-file)") from None
    except OSError as error:
        raise ConnectError(f"{ca_file}: cannot be read: {error.strerror or error} (--ca-file)") from None


def _cause(error: Exception) -> str:
    """One line of an error; anyio raises one `OSError` from those of all addresses of a name."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return str(getattr(cause, "strerror", None) or error)
