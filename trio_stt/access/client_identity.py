"""The identity of a client, as the access middleware found it, for the routes. It must not check anything itself."""

from dataclasses import dataclass
from typing import cast

from hypercorn.typing import WWWScope

from trio_stt.access.host_and_origin import is_local
from trio_stt.access.keys import KeyRecord, KeyScope

_SCOPE_KEY = "trio_stt.identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """An admitted client.

    Attributes:
        address: The client's own, also behind trusted proxies; empty on a Unix socket.
        may_administer: Whether it may change settings and see single sessions.
        record: The record of its key; None if it presented none.
    """

    address: str
    may_administer: bool
    record: KeyRecord | None = None


def with_client(scope: WWWScope, identity: ClientIdentity) -> WWWScope:
    """A copy of the scope with the client's identity, for the routes."""
    return cast("WWWScope", {**scope, "state": {**(scope.get("state") or {}), _SCOPE_KEY: identity}})


def client_identity(scope: WWWScope) -> ClientIdentity:
    """The identity in a scope; without the middleware, what the connection alone says."""
    known = cast("dict[str, object]", scope.get("state") or {}).get(_SCOPE_KEY)
    return known if isinstance(known, ClientIdentity) else identity_without_key(scope)


def identity_without_key(scope: WWWScope) -> ClientIdentity:
    """The identity of a client of a server without keys: only the server's own machine may administer."""
    client = scope.get("client")
    return ClientIdentity(address=client[0] if client else "", may_administer=is_local(scope))


def identity_with_key(scope: WWWScope, record: KeyRecord | None) -> ClientIdentity:
    """The identity of a client of a server with keys: only an admin key may administer, not even this machine."""
    client = scope.get("client")
    may_administer = record is not None and record.scope.includes(KeyScope.ADMIN)
    return ClientIdentity(address=client[0] if client else "", may_administer=may_administer, record=record)
