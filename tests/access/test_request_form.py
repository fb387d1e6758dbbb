"""The normal form of requests: authorization and routing see the same path, and invalid ranges are left out."""

from pathlib import Path
from typing import cast

import pytest
from hypercorn.typing import WWWScope
from hypothesis import given
from hypothesis import strategies as st

from tests.support.keyed_server import ask, rig
from trio_stt.access.credentials import key_in_url
from trio_stt.access.host_and_origin import Rejection
from trio_stt.access.request_form import INVALID_TARGET, MAX_PATH_CHARACTERS, TARGET_TOO_LONG, normal_form


def scope_of(path: str, *headers: tuple[bytes, bytes], root_path: str = "", query: bytes = b"") -> WWWScope:
    values = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": root_path,
        "query_string": query,
        "headers": headers,
    }
    return cast("WWWScope", values)


@pytest.mark.parametrize(
    ("root", "target", "path"),
    [
        ("", "/api/metrics", "/api/metrics"),
        ("", "//api/metrics", "/api/metrics"),
        ("", "/api///metrics", "/api/metrics"),
        ("", "http://other.example/api/metrics", "/api/metrics"),
        ("", "HTTP://other.example:80//api/metrics", "/api/metrics"),
        ("", "http://other.example", "/"),
        ("", "http://[::1]/", "/"),
        ("/stt", "/stt/api/metrics", "/api/metrics"),
        ("/stt/", "//stt//api/metrics", "/api/metrics"),
        ("/stt", "/sttx/api", "/sttx/api"),
        ("/stt", "/api/metrics", "/api/metrics"),
    ],
)
def test_path_has_one_form_for_authorization_and_routing(root: str, target: str, path: str) -> None:
    scope = normal_form(scope_of(target, root_path=root))
    assert not isinstance(scope, Rejection)
    assert (scope["path"], scope["root_path"]) == (path, "")


def test_root_of_the_host_without_a_slash_is_redirected_to_the_page() -> None:
    redirect = normal_form(scope_of("//stt", root_path="/stt/"))
    assert isinstance(redirect, Rejection)
    assert (redirect.status, dict(redirect.headers)) == (308, {b"location": b"/stt/"})


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "health",
        "http://",
        "http://[",
        "http://[/",
        "ftp://x/",
        "x:443",
        "/a\nb",
        "/\x1b[31m",
        "/\0",
        "/\u2028",
    ],
)
def test_target_that_is_not_a_path_is_rejected(target: str) -> None:
    assert normal_form(scope_of(target)) is INVALID_TARGET


def test_long_path_is_rejected() -> None:
    assert not isinstance(normal_form(scope_of("/" + "a" * (MAX_PATH_CHARACTERS - 1))), Rejection)
    assert normal_form(scope_of("/" + "a" * MAX_PATH_CHARACTERS)) is TARGET_TOO_LONG


@given(st.text())
def test_any_target_is_rejected_or_becomes_a_path_that_stays_the_same(target: str) -> None:
    scope = normal_form(scope_of(target))
    if not isinstance(scope, Rejection):
        assert scope["path"].startswith("/")
        assert "//" not in scope["path"]
        again = normal_form(scope)
        assert not isinstance(again, Rejection)
        assert again["path"] == scope["path"]


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=0-5", b"bytes=5-5"])
def test_valid_range_is_kept(value: bytes) -> None:
    scope = normal_form(scope_of("/", (b"range", value), (b"a", b"b")))
    assert not isinstance(scope, Rejection)
    assert list(scope["headers"]) == [(b"range", value), (b"a", b"b")]


@given(st.one_of(st.binary(), st.sampled_from([b"bytes=-5", b"bytes=5-2", b"bytes=0-1,3-4", b"bytes=0-" + b"9" * 22])))
def test_other_ranges_are_ignored(value: bytes) -> None:
    scope = normal_form(scope_of("/", (b"Range", value), (b"a", b"b")))
    assert not isinstance(scope, Rejection)
    assert list(scope["headers"]) == [(b"a", b"b")]


@pytest.mark.parametrize("query", [b"key=x", b"%6bey=x", b"k%65%79=x", b"a=1&%74oken=x", b"x=%74stt_a", b"api%5fkey=x"])
def test_key_in_url_is_found_however_it_is_encoded(query: bytes) -> None:
    assert key_in_url(scope_of("/", query=query))


@pytest.mark.parametrize(
    "path", ["//api/metrics", "/api//metrics", "///api///metrics", "/%61pi/metrics", "//localhost/api/metrics"]
)
async def test_talk_key_reaches_no_route_for_administrators(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        status, _, _ = await ask(server, f"GET {path}", authorization=f"Bearer {server.talk}")
        without_key, _, _ = await ask(server, f"GET {path}")
    assert status == (404 if "localhost" in path else 403)
    assert without_key == 401
