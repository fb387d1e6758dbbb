"""TLS of `trio-stt serve`: the certificate is checked before it is used, and changed while connections go on.

It owns certificate and key. It must not know sockets: Hypercorn makes them with the context from here.
"""

import ssl
from ssl import SSLContext
from typing import NoReturn

from hypercorn.config import Config

from trio_stt.errors import SettingError
from trio_stt.settings import Settings

_HANDSHAKE_S = 10.0


class ServerConfig(Config):
    """Hypercorn's configuration, with a certificate that can be read again."""

    ssl_handshake_timeout = _HANDSHAKE_S
    alpn_protocols: list[str] = ["http/1.1"]  # noqa: RUF012 - Hypercorn's own way of overriding
    _context: SSLContext | None = None

    def use_certificate(self, settings: Settings) -> None:
        """Serve with TLS, where the settings name a certificate.

        Raises:
            SettingError: Only one of the two files is named, or they cannot be used.
        """
        if bool(settings.certfile) != bool(settings.keyfile):
            missing = "keyfile" if settings.certfile else "certfile"
            raise SettingError(f"{missing}: is needed as well: TLS takes --certfile and --keyfile together")
        if settings.certfile:
            self.certfile, self.keyfile = settings.certfile, settings.keyfile
            self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))

    def create_ssl_context(self) -> SSLContext | None:
        """The context of all connections to come."""
        self._context = super().create_ssl_context()
        return self._context

    def reload_certificate(self) -> None:
        """Use what the files hold now, for new connections.

        Raises:
            SettingError: It cannot be used; the old one stays.
        """
        if self._context is not None:
            # A pair that does not fit together would leave its first half in the context.
            self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
            self._load(self._context)

    def _load(self, context: SSLContext) -> None:
        assert self.certfile is not None  # noqa: S101 - set together with the context
        try:
            context.load_cert_chain(self.certfile, self.keyfile, password=_refuse_password)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or error
            raise SettingError(f"certfile, keyfile: {self.certfile} and {self.keyfile}: {reason}") from None


def _refuse_password() -> NoReturn:
    raise SettingError("keyfile: is encrypted; a server that starts by itself needs one without a password")
