"""API keys at rest: creating, hashing, writing and reading them.

It owns the form of a key and of its entry. It must not know which client presents one (`keyring` checks them), nor any
event loop, because `trio-stt keys` uses it, too.

A key is `tstt_ID_SECRET`. Its entry is `ID:SCOPE:DATE:sha256:HASH:NAME`, on a line of its own in a file. The secret has
256 random bits, so one SHA-256 is enough: no hash function, however slow, makes guessing it harder. Entries of older
versions hash with scrypt and carry its salt in the place of `sha256`; they stay valid.

Sources: RFC 7914 (scrypt, its parameters for interactive use), RFC 4648 section 5 (base64url).
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path

from trio_stt.errors import SettingError

KEY_PREFIX = "tstt_"
MAX_FILE_BYTES = 1_048_576
_SHA256 = "sha256"
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1  # takes 16 MiB and some 50 ms
_HASH_BYTES = 32
_SECRET_BYTES = 32
_KEY = re.compile(r"tstt_(?P<id>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_ENTRY = re.compile(
    r"(?P<id>[0-9a-f]{8}):(?P<scope>[a-z]+):(?P<created>\d{4}-\d\d-\d\d)"
    r":(?P<salt>sha256|[A-Za-z0-9_-]{22}):(?P<hash>[A-Za-z0-9_-]{43}):(?P<name>[A-Za-z0-9 ._@-]{0,60})"
)
_NAME = re.compile(r"[A-Za-z0-9 ._@-]{0,60}")


class KeyScope(StrEnum):
    """The rights of a key."""

    TALK = "talk"
    ADMIN = "admin"

    def includes(self, other: "KeyScope") -> bool:
        """Whether this scope includes all rights of `other`."""
        return self is KeyScope.ADMIN or self is other


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as it is stored: the key cannot be computed from it.

    Attributes:
        id: 8 hexadecimal digits, part of the key.
        scope: Its rights.
        created: The day, UTC, as `2031-04-05`.
        name: Its owner or use, for people.
        digest: SHA-256 of the whole key, or scrypt of it where there is a salt.
        salt: The salt of scrypt, in entries of older versions; None otherwise.
    """

    id: str
    scope: KeyScope
    created: str
    name: str
    digest: bytes
    salt: bytes | None = None

    @property
    def entry(self) -> str:
        """The line that `parse_entries` reads back."""
        hashed_with = _SHA256 if self.salt is None else _text(self.salt)
        return ":".join((self.id, self.scope, self.created, hashed_with, _text(self.digest), self.name))

    def matches(self, key: str) -> bool:
        """Whether this is the key of the record, in constant time; takes some 50 ms where there is a salt."""
        if self.salt is None:
            return compare_digest(self.digest, sha256(key))
        return compare_digest(self.digest, _scrypt(key, self.salt))


def sha256(key: str) -> bytes:
    """The hash under which a key is stored."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


def create_key(scope: KeyScope, name: str = "") -> tuple[str, KeyRecord]:
    """Create a key, and the record to store of it.

    Raises:
        SettingError: The name is too long or has other characters.
    """
    if not _NAME.fullmatch(name):
        raise SettingError("--name takes at most 60 letters, digits, spaces and . _ @ -")
    key_id = secrets.token_hex(4)
    key = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    created = datetime.now(UTC).date().isoformat()
    return key, KeyRecord(id=key_id, scope=scope, created=created, name=name, digest=sha256(key))


def key_id_of(key: str) -> str | None:
    """The id in a key; None where the text is not a key."""
    parts = _KEY.fullmatch(key)
    return parts["id"] if parts else None


def parse_entries(lines: list[str]) -> tuple[dict[str, KeyRecord], list[int]]:
    """Records by id, and the numbers, from 1, of invalid lines; blank lines and comments (#) are skipped."""
    records, faults = {}, []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            record = _parse_entry(line)
            if record is None:
                faults.append(number)
            else:
                records[record.id] = record
    return records, faults


def read_lines(path: Path) -> list[str]:
    """The lines of a file of keys.

    Raises:
        SettingError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingError(f"keys_file: {path} is larger than {MAX_FILE_BYTES} bytes")
        return content.decode().splitlines()
    except FileNotFoundError:
        raise SettingError(f"keys_file: {path} does not exist; `trio-stt keys create` creates it") from None
    except (OSError, UnicodeError) as error:
        raise SettingError(f"keys_file: {path} cannot be read: {error}") from None


def add_to_file(path: Path, record: KeyRecord) -> None:
    """Append a record; creates the file if it does not exist.

    Raises:
        SettingError: It cannot be written.
    """
    _rewrite(path, lambda lines: [*lines, record.entry])


def remove_from_file(path: Path, key_id: str) -> None:
    """Remove a record.

    Raises:
        SettingError: It is not there, or the file cannot be written.
    """

    def without(lines: list[str]) -> list[str]:
        kept = [line for line in lines if not line.strip().startswith(f"{key_id}:")]
        if len(kept) == len(lines):
            raise SettingError(f"{path} has no key {key_id!r}; `trio-stt keys list` shows its keys")
        return kept

    read_lines(path)
    _rewrite(path, without)


def _rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file atomically: a reader sees the old or the new one. Only its owner may read either."""
    path = path.resolve()
    draft = path.with_name(f".{path.name}.new")  # its existence also locks out other commands
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            lines = change(read_lines(path) if path.exists() else [])
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise SettingError(f"keys_file: another command is changing it; if none is, remove {draft}") from None
    except OSError as error:
        raise SettingError(f"keys_file: {path} cannot be written: {error.strerror}") from None


def _parse_entry(line: str) -> KeyRecord | None:
    parts = _ENTRY.fullmatch(line)
    if parts is None or parts["scope"] not in set(KeyScope):
        return None
    try:
        salt = None if parts["salt"] == _SHA256 else _bytes(parts["salt"])
        digest = _bytes(parts["hash"])
    except binascii.Error:
        return None
    return KeyRecord(
        id=parts["id"],
        scope=KeyScope(parts["scope"]),
        created=parts["created"],
        name=parts["name"],
        digest=digest,
        salt=salt,
    )


def _scrypt(key: str, salt: bytes) -> bytes:
    return hashlib.scrypt(key.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, dklen=_HASH_BYTES)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
