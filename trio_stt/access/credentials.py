"""Finds the key in a request: in a header, among a handshake's subprotocols or in a first message; never in the URL.

It must not check keys (`keyring` does).

Sources: RFC 6750 section 2.1 (bearer header) and 5.3 (never in URLs: logs, histories and `Referer` keep them).
"""

import re
from itertools import pairwise
from urllib.parse import unquote_to_bytes

import msgspec
from hypercorn.typing import WWWScope

from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.keys import KEY_PREFIX
from trio_stt.protocol.json_text import has_duplicate_key

SUBPROTOCOL = "trio-stt"
_KEY_SUBPROTOCOLS = ("trio-stt.key.", "openai-insecure-api-key.")
"""What stands before a key among the subprotocols: this server's own form, and that of OpenAI's clients in browsers."""
_SCHEMES = frozenset({"bearer", "token"})
"""Schemes of `Authorization`, and the subprotocols that Deepgram's clients in browsers send before a key."""
_IN_QUERY = re.compile(
    rb"(?:^|[&;])(?:[\w-]*key|(?:access_?)?token|auth(?:orization)?|secret)=|" + KEY_PREFIX.encode(), re.IGNORECASE
)
MAX_AUTH_CHARACTERS = 1024

IN_URL = Rejection(
    status=400,
    cause="key in a URL",
    detail="a key must never be in a URL, which logs and histories keep: send it in the header `Authorization: Bearer`,"
    " as the subprotocol `trio-stt.key.` followed by it, or in a first message of the type auth; and replace this key,"
    " which is no longer secret",
)
NO_KEY = Rejection(
    status=401,
    cause="missing key",
    detail="a key is needed: send it in the header `Authorization: Bearer`",
    headers=((b"www-authenticate", b"Bearer"),),
)


class _Auth(msgspec.Struct, tag="auth", tag_field="type"):
    """A first message with a key."""

    key: str


def key_in_url(scope: WWWScope) -> bool:
    """Whether the URL seems to contain a key."""
    query = unquote_to_bytes(scope["query_string"])  # `%6bey=` is `key=` to all that read the query
    return bool(_IN_QUERY.search(query) or KEY_PREFIX in scope["path"])


def presented_key(scope: WWWScope) -> str | None:
    """The key in a request's header or a handshake's subprotocols; None if there is none."""
    for name, value in scope["headers"]:
        if name.lower() == b"authorization":
            scheme, _, key = value.decode("latin-1").strip().partition(" ")
            return key.strip() if scheme.lower() in _SCHEMES else ""
    if scope["type"] == "websocket":
        return _key_in_subprotocols(list(scope["subprotocols"]))
    return None


def _key_in_subprotocols(offered: list[str]) -> str | None:
    for prefix in _KEY_SUBPROTOCOLS:
        for name in offered:
            if name.startswith(prefix):
                return name.removeprefix(prefix)
    for scheme, key in pairwise(offered):
        if scheme.lower() in _SCHEMES:
            return key
    return None


def key_in_message(message: str | bytes | None) -> str | None:
    """The key in a first message; None if the message is not of the type `auth`."""
    if not isinstance(message, str) or len(message) > MAX_AUTH_CHARACTERS:
        return None
    try:
        fields = msgspec.json.decode(message)
        return None if has_duplicate_key(message, fields) else msgspec.convert(fields, _Auth).key
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
