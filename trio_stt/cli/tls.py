"""TLS of `trio-stt serve`: checks a certificate before it is used, and replaces it while the server runs.

It owns certificate and key. Hypercorn creates the sockets with the context from here.
"""

import ssl
from pathlib import Path
from ssl import SSLContext
from typing import NoReturn

from hypercorn.config import Config

from trio_stt.errors import SettingError
from trio_stt.settings import Settings


class ServerConfig(Config):
    """Hypercorn's configuration with a certificate that can be reloaded."""

    alpn_protocols: list[str] = ["http/1.1"]  # noqa: RUF012 - Hypercorn's own way of overriding
    _context: SSLContext | None = None

    def use_certificate(self, settings: Settings) -> None:
        """Enable TLS if the settings name a certificate.

        Raises:
            SettingError: Only one of the two files is given, or they are invalid.
        """
        if bool(settings.certfile) != bool(settings.keyfile):
            missing = "keyfile" if settings.certfile else "certfile"
            raise SettingError(f"{missing}: is missing; TLS needs both --certfile and --keyfile")
        if settings.certfile:
            self.certfile, self.keyfile = settings.certfile, settings.keyfile
            self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))

    def create_ssl_context(self) -> SSLContext | None:
        """Create the context of all new connections."""
        self._context = super().create_ssl_context()
        return self._context

    def reload_certificate(self) -> None:
        """Read the files again, for new connections.

        Raises:
            SettingError: They are invalid; the old certificate stays in use.
        """
        if self._context is not None:
            # Try them in a new context first: of a mismatched pair, the certificate would stay in the context.
            self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
            self._load(self._context)

    def _load(self, context: SSLContext) -> None:
        assert self.certfile is not None  # noqa: S101 - set together with the context
        try:
            context.load_cert_chain(self.certfile, self.keyfile, password=_refuse_password)
        except ssl.SSLError as error:
            raise SettingError(_explain(error, self.certfile, self.keyfile)) from None
        except OSError as error:
            reason = error.strerror or error
            raise SettingError(f"certfile, keyfile: {self.certfile} and {self.keyfile}: {reason}") from None


def _explain(error: ssl.SSLError, certfile: str, keyfile: str | None) -> str:
    """Which of the two files is unusable, and why: OpenSSL reports only "PEM lib" for most errors."""
    if "MISMATCH" in (error.reason or ""):
        return f"certfile, keyfile: mismatch: {keyfile} is not the key of the certificate in {certfile}"
    for setting, file, part in (("certfile", certfile, b"CERTIFICATE-----"), ("keyfile", keyfile, b"PRIVATE KEY-----")):
        if b"-----BEGIN " not in (content := Path(file or "").read_bytes()) or part not in content:
            return f"{setting}: {file} holds no {part.decode().rstrip('-').lower()} in PEM format"
    return f"certfile, keyfile: {certfile} or {keyfile} is damaged: {error.reason or error}"


def _refuse_password() -> NoReturn:
    raise SettingError("keyfile: is encrypted; the server needs a key without a password")
