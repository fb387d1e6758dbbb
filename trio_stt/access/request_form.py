"""The normal form of a request: one path for authorization and routing, and only headers that the routes can read.

It runs before all other checks, because the web framework fails on targets and ranges that any client can send. It must
not know routes.

Sources: RFC 9112, section 3.2 (forms of a request target), and RFC 9110, section 14.2 (an invalid `Range` is ignored).
"""

import re
from typing import cast
from urllib.parse import quote

from hypercorn.typing import WWWScope

from trio_stt.access.host_and_origin import Rejection, is_authority

MAX_PATH_CHARACTERS = 1024
"""After decoding: ten times the longest path of the page, and far below what a file system accepts."""
_RANGE = re.compile(rb"bytes=([0-9]{1,12})-([0-9]{0,12})")
_READING_METHODS = frozenset({"GET", "HEAD"})
REDIRECT = 308
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_SLASHES = re.compile("/+")
INVALID_TARGET = Rejection(
    status=400, cause="request target", detail="the request target is not a path, or has characters that no path has"
)
TARGET_TOO_LONG = Rejection(
    status=414, cause="length of the path", detail=f"the path is longer than {MAX_PATH_CHARACTERS} characters"
)


def normal_form(scope: WWWScope) -> WWWScope | Rejection:
    """The scope with a path that starts with one slash, below the host's own `root_path`, and no invalid range.

    A path that authorization and routing read differently would let a client pass the check of one route and reach
    another: routers strip and merge slashes, and remove the root.
    """
    path = _path_of(scope["path"])
    if path is None or not path.isprintable():
        return INVALID_TARGET
    if len(path) > MAX_PATH_CHARACTERS:
        return TARGET_TOO_LONG
    root = scope.get("root_path", "").rstrip("/")
    if is_root(path, root, scope):
        return to_page(root, scope)
    if root and path.startswith(f"{root}/"):
        path = path.removeprefix(root)
    changes = {"path": path, "root_path": "", "headers": _without_invalid_range(scope)}
    return cast("WWWScope", {**scope, **changes})


def is_root(path: str, root: str, scope: WWWScope) -> bool:
    """Whether a path is the root below which the server is published, without the slash that the page needs."""
    return bool(root) and path == root and scope["type"] == "http" and scope["method"] in _READING_METHODS


def to_page(root: str, scope: WWWScope) -> Rejection:
    """The redirection to the page below a root: its links are relative."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    location = quote(root).encode() + b"/" + query
    return Rejection(status=REDIRECT, cause="path", detail="see Location", headers=((b"location", location),))


def _path_of(target: str) -> str | None:
    """The path of a request target, which may be a whole URL; None if it has neither form."""
    if not target.startswith("/"):
        scheme, _, rest = target.partition("://")
        authority, slash, path = rest.partition("/")
        if scheme.lower() not in _SCHEMES or not is_authority(authority):
            return None
        target = slash + path
    return _SLASHES.sub("/", target) or "/"


def _without_invalid_range(scope: WWWScope) -> list[tuple[bytes, bytes]]:
    """The headers; without `Range` unless it is one range with a start, the only form that Quart can serve."""
    headers = list(scope["headers"])
    ranges = [value for name, value in headers if name.lower() == b"range"]
    # RFC 9110 section 14.2: only GET has ranges.
    is_get = scope["type"] == "http" and scope["method"] == "GET"
    if not ranges or (is_get and len(ranges) == 1 and _is_range(ranges[0])):
        return headers
    return [(name, value) for name, value in headers if name.lower() != b"range"]


def _is_range(value: bytes) -> bool:
    parts = _RANGE.fullmatch(value)
    return parts is not None and (not parts[2] or int(parts[1]) <= int(parts[2]))
