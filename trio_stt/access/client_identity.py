"""Who is at the door: what the guard found out about a request, for the routes behind it. It must not ask anybody."""

from dataclasses import dataclass
from typing import cast

from hypercorn.typing import WWWScope

from trio_stt.access.host_and_origin import is_local
from trio_stt.access.keys import KeyRecord, KeyScope

_PLACE = "trio_stt.identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """A client that passed the guard.

    Attributes:
        address: Its own, behind trusted proxies, too; empty on a Unix socket.
        may_administer: Whether it may change settings and see single sessions.
        record: Of its key; None where it showed none.
    """

    address: str
    may_administer: bool
    record: KeyRecord | None = None


def with_client(scope: WWWScope, identity: ClientIdentity) -> WWWScope:
    """The scope for the routes, with its visitor."""
    return cast("WWWScope", {**scope, "state": {**(scope.get("state") or {}), _PLACE: identity}})


def client_identity(scope: WWWScope) -> ClientIdentity:
    """Who a request is from; without a guard before the routes, what the connection tells."""
    known = cast("dict[str, object]", scope.get("state") or {}).get(_PLACE)
    return known if isinstance(known, ClientIdentity) else identity_without_key(scope)


def identity_without_key(scope: WWWScope) -> ClientIdentity:
    """Who it is where nobody needs a key: only the server's own machine administers."""
    client = scope.get("client")
    return ClientIdentity(address=client[0] if client else "", may_administer=is_local(scope))


def identity_with_key(scope: WWWScope, record: KeyRecord | None) -> ClientIdentity:
    """Who it is where keys count: nobody administers without one, not even this machine."""
    client = scope.get("client")
    may_administer = record is not None and record.scope.includes(KeyScope.ADMIN)
    return ClientIdentity(address=client[0] if client else "", may_administer=may_administer, record=record)
