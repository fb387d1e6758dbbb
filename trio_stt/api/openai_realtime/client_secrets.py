"""Client secrets: keys for pages that must not hold a real one. Each opens realtime sessions until it expires.

They are kept in memory only, so a restart forgets them. Each process of a server has all of them. It must not know
requests.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import trio

from trio_stt.access.keys import KeyRecord
from trio_stt.api.openai_realtime.session_config import SessionConfig
from trio_stt.processes.peers import NO_PEERS, Peers

PREFIX = "ek_"
"""What a secret begins with: OpenAI's own client for browsers refuses other keys."""
_SECRET_BYTES = 32
_CALL = "client_secrets"
_MAX_SECRETS = 10_000
"""Secrets that are kept; beyond that, the oldest is forgotten."""
_MAX_BYTES = 8 << 20
"""Bytes of all their configurations, as JSON; beyond that, the oldest is forgotten. One may take 60 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """One secret.

    Attributes:
        value: The key itself.
        expires_at: In whole seconds since the epoch.
        config: The configuration that its sessions begin with.
        record: Of the key that made it; None on a server without keys. The secret ends with that key.
        size_bytes: Of the configuration, as JSON.
    """

    value: str = field(repr=False)
    expires_at: int
    config: SessionConfig
    record: KeyRecord | None
    size_bytes: int


class SecretAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/v1/realtime/client_secrets`, with the configuration of the sessions that the secret opens."""

    value: str
    expires_at: int
    session: dict[str, object]


class ClientSecrets:
    """The secrets of one server.

    Args:
        clock: Returns the time in seconds since the epoch.
        peers: The other processes of the server.
    """

    def __init__(self, clock: Callable[[], float] = time.time, peers: Peers = NO_PEERS) -> None:
        self._clock = clock
        peers.answer(_CALL, self._exchange)
        self._secrets: dict[str, ClientSecret] = {}  # oldest first

    def create(self, config: SessionConfig, *, lifetime_s: int, record: KeyRecord | None) -> ClientSecret:
        """Make a secret that is valid for this long."""
        secret = ClientSecret(
            value=PREFIX + secrets.token_urlsafe(_SECRET_BYTES),
            expires_at=int(self._clock()) + lifetime_s,
            config=config,
            record=record,
            size_bytes=len(msgspec.json.encode(config)),
        )
        self._add(secret)
        return secret

    async def share(self, peers: Peers, new: Sequence[ClientSecret] = ()) -> None:
        """Send new secrets to the other processes of the server; without any, take over those that they have."""
        for answer in await peers.gather(_CALL, msgspec.json.encode(new)):
            self._take_over(answer)

    async def _exchange(self, body: bytes) -> bytes:
        """Answer another process's `share`."""
        await trio.lowlevel.checkpoint()
        is_question = not self._take_over(body)
        return msgspec.json.encode(list(self._secrets.values()) if is_question else [])

    def _take_over(self, body: bytes) -> int:
        """Add the secrets of another process; returns how many there were."""
        received = msgspec.json.decode(body, type=list[ClientSecret])
        for secret in received:
            self._add(secret)
        return len(received)

    def _add(self, secret: ClientSecret) -> None:
        now_s = self._clock()
        self._secrets = {value: each for value, each in self._secrets.items() if each.expires_at > now_s}
        kept_bytes = sum(each.size_bytes for each in self._secrets.values())
        while self._secrets and (len(self._secrets) >= _MAX_SECRETS or kept_bytes + secret.size_bytes > _MAX_BYTES):
            kept_bytes -= self._secrets.pop(next(iter(self._secrets))).size_bytes
        self._secrets[secret.value] = secret

    def find(self, key: str | None) -> ClientSecret | None:
        """The secret with this value, if it is still valid."""
        secret = self._secrets.get(key or "")
        return secret if secret is not None and secret.expires_at > self._clock() else None

    def record(self, key: str) -> KeyRecord | None:
        """The record of the key behind a valid secret; None for other keys."""
        secret = self.find(key)
        return secret.record if secret else None
