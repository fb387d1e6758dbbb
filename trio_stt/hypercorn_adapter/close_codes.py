"""With which code a client closed its WebSocket, if it did: whether it left, or was cut off.

It owns that one fact. Hypercorn 0.18 tells its apps 1006 whether a close frame came or the network broke, so `wire`
notes the code. Behind a host of another kind nothing is noted, and every end counts as a break.
"""

from collections.abc import Mapping
from typing import cast

from hypercorn.typing import Scope

_KEY = "trio_stt.close_code"
_GOODBYES = frozenset({1000, 1001, 1005})
"""Normal, going away (a page that is left), and no code at all: RFC 6455, section 7.4.1."""


def note_close_code(scope: Scope, code: int) -> None:
    """The client of this connection closed it with this code."""
    cast("dict[str, object]", scope)[_KEY] = code  # an app may note things there


def is_clean_close(scope: Mapping[str, object]) -> bool:
    """Whether the client of a connection that is over closed it to stay away."""
    return scope.get(_KEY) in _GOODBYES
