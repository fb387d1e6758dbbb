"""The arguments of commands that are clients of a running server: its key and its certificate."""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

from trio_stt.errors import SettingError

_KEY_VARIABLE = "TRIO_STT_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server is reached.

    Attributes:
        url: Its address.
        key: An API key, or None.
        ca_file: A PEM file with the authorities to trust, or None for the system's.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    ca_file: str | None = None


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the key and the certificate to the parser of a command."""
    parser.add_argument("--key", metavar="KEY", help=f"API key, where the server has keys; default: ${_KEY_VARIABLE}")
    parser.add_argument("--key-file", metavar="FILE", help="file with the key, which other users then cannot see")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities that signed the server's certificate, as PEM")


def server_options(parsed: argparse.Namespace, url: str) -> ServerOptions:
    """What was given.

    Raises:
        SettingError: Two keys were given, or the file of the key cannot be read.
    """
    key = parsed.key
    if parsed.key_file is not None:
        if key is not None:
            raise SettingError("--key and --key-file: only one of them can be given")
        try:
            key = Path(parsed.key_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise SettingError(f"--key-file: {parsed.key_file} cannot be read: {error}") from None
    key = key or os.environ.get(_KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingError("--key: a key has printable ASCII characters only")
    return ServerOptions(url=url, key=key, ca_file=parsed.ca_file)
