"""Trusted proxies: which headers are used, and for what."""

import sys
from types import FrameType
from typing import Any, cast

import pytest
from hypercorn.typing import HTTPScope, WWWScope
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.access import proxies
from trio_stt.access.host_and_origin import Rejection, is_local
from trio_stt.access.proxies import CONFLICT, Proxies
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings

PROXY, CLIENT = "10.0.0.2", "203.0.113.9"
TRUSTED = "10.0.0.0/8, 127.0.0.1,fd00::/8"
Headers = list[tuple[str, str]]


def scope_of(headers: Headers, *, peer: str = PROXY, path: str = "/health", scheme: str = "http") -> WWWScope:
    kind = "websocket" if scheme.startswith("ws") else "http"
    return cast(
        "HTTPScope",
        {
            "type": kind,
            "method": "GET",
            "query_string": b"",
            "scheme": scheme,
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
            "client": (peer, 50_000),
        },
    )


def seen(headers: Headers, *, peer: str = PROXY, scheme: str = "http") -> tuple[str, str, str]:
    """The address, scheme and host name that the server uses."""
    scope = Proxies(load_settings({"trusted_proxies": TRUSTED})).seen(
        scope_of([("host", "inner"), *headers], peer=peer, scheme=scheme)
    )
    assert not isinstance(scope, Rejection)
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    assert scope["client"]
    assert len(hosts) == 1
    return scope["client"][0], scope["scheme"], hosts[0]


ALL: Headers = [("x-forwarded-for", CLIENT), ("x-forwarded-proto", "https"), ("x-forwarded-host", "stt.example")]


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "::1", "127.0.0.2", "", "unix"])
def test_headers_of_untrusted_peers_are_ignored(peer: str) -> None:
    forwarded = ("forwarded", f"for={CLIENT};proto=https;host=stt.example")
    assert seen([*ALL, forwarded], peer=peer) == (peer, "http", "inner")


@pytest.mark.parametrize("peer", [PROXY, "127.0.0.1", "::ffff:10.1.2.3", "fd00::1"])
def test_trusted_proxy_sets_address_scheme_and_host(peer: str) -> None:
    assert seen(ALL, peer=peer) == (CLIENT, "https", "stt.example")
    assert seen(ALL, peer=peer, scheme="ws") == (CLIENT, "wss", "stt.example")
    assert seen([("forwarded", f"for={CLIENT};proto=https;host=stt.example")], peer=peer) == (
        CLIENT,
        "https",
        "stt.example",
    )


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], PROXY),
        ([("x-forwarded-for", "")], PROXY),
        ([("x-forwarded-for", f"1.1.1.1, {CLIENT}")], CLIENT),
        ([("x-forwarded-for", f"127.0.0.1, {CLIENT}, 10.0.0.3, 10.9.9.9")], CLIENT),
        ([("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", CLIENT)], CLIENT),
        ([("x-forwarded-for", "10.0.0.7, 10.0.0.3")], "10.0.0.7"),
        ([("x-forwarded-for", f"{CLIENT}:4711")], CLIENT),
        ([("x-forwarded-for", "2001:db8::5")], "2001:db8::5"),
        ([("x-forwarded-for", "[2001:db8::5]:443")], "2001:db8::5"),
        ([("x-forwarded-for", "unknown")], "unknown"),
        ([("forwarded", 'for="[2001:db8:cafe::17]:4711"')], "2001:db8:cafe::17"),
        ([("forwarded", f"for=1.1.1.1, For={CLIENT};by=10.0.0.2")], CLIENT),
        ([("forwarded", "for=_hidden;proto=http")], "_hidden"),
        ([("forwarded", f"for={CLIENT}"), ("x-forwarded-for", CLIENT)], CLIENT),
    ],
)
def test_client_is_the_last_address_that_is_not_a_trusted_proxy(headers: Headers, address: str) -> None:
    assert seen(headers)[0] == address


def test_contradicting_headers_are_rejected() -> None:
    trusting = Proxies(load_settings({"trusted_proxies": TRUSTED}))
    headers = [("x-forwarded-for", CLIENT), ("forwarded", "for=127.0.0.1")]
    assert trusting.seen(scope_of(headers)) is CONFLICT


@pytest.mark.parametrize(
    ("protos", "addresses", "scheme"),
    [
        ("https", f"{CLIENT}, 10.0.0.3", "https"),
        ("https, http", f"{CLIENT}, 10.0.0.3", "https"),
        ("http, https", f"1.1.1.1, {CLIENT}", "https"),
        ("HTTPS", CLIENT, "https"),
        ("gopher", CLIENT, "http"),
    ],
)
def test_scheme_belongs_to_the_address_at_the_same_index(protos: str, addresses: str, scheme: str) -> None:
    assert seen([("x-forwarded-for", addresses), ("x-forwarded-proto", protos)])[1] == scheme


def test_no_proxy_header_makes_a_client_local() -> None:
    for headers in (ALL, [("x-forwarded-for", "127.0.0.1")], [("forwarded", "for=127.0.0.1")]):
        scope = Proxies(load_settings({"trusted_proxies": "127.0.0.1"})).seen(
            scope_of([("host", "localhost"), *headers], peer="127.0.0.1")
        )
        assert not isinstance(scope, Rejection)
        assert not is_local(scope)


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("/stt", "/stt/health", "/health"),
        ("stt/", "/stt/", "/"),
        ("/a/b", "/a/b/ws/transcribe", "/ws/transcribe"),
        ("/stt", "/health", "/health"),
        ("/stt", "/sttx/health", "/sttx/health"),
        ("", "/stt/health", "/stt/health"),
    ],
)
def test_routes_get_the_path_below_the_root(root: str, path: str, below: str) -> None:
    scope = Proxies(load_settings({"root_path": root})).seen(scope_of([], path=path))
    assert not isinstance(scope, Rejection)
    assert scope["path"] == below


def test_root_without_a_slash_is_redirected_to_the_page() -> None:
    redirect = Proxies(load_settings({"root_path": "/stt"})).seen({**scope_of([], path="/stt"), "query_string": b"a=1"})  # type: ignore[arg-type]  # a scope
    assert isinstance(redirect, Rejection)
    assert (redirect.status, dict(redirect.headers)) == (308, {b"location": b"/stt/?a=1"})


def steps_of(value: str) -> int:
    """Work of reading a header: lines of Python that run plus characters that regular expressions get."""
    steps = 0

    class CountingPattern:
        def fullmatch(self, text: str) -> None:
            nonlocal steps
            steps += len(text)

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return count if "trio_stt" in frame.f_code.co_filename else None

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(proxies, "_WITH_PORT", CountingPattern())
        before = sys.gettrace()
        sys.settrace(count)
        try:
            proxies._forwarded(scope_of([("forwarded", value)]))
        finally:
            sys.settrace(before)
    return steps


@pytest.mark.parametrize(
    "unit", [" ", "a", '"', "\\", ";", "=", "for=x;", 'for="', "for=[", "for=1.1.1.1,", ",", "; ,"]
)
def test_work_for_a_header_grows_no_faster_than_its_length(unit: str) -> None:
    steps, doubled = steps_of(unit * 2000), steps_of(unit * 4000)
    assert doubled <= 2.1 * steps + 200


@pytest.mark.parametrize("entry", ["nonsense", "10.0.0.0/33", "10.0.0.1, x", "*", "stt.example"])
def test_invalid_network_fails_the_start(entry: str) -> None:
    with pytest.raises(SettingError, match=r"^trusted_proxies: .* is not an address or a network"):
        Proxies(load_settings({"trusted_proxies": entry}))


@pytest.mark.parametrize("root", ["/a b", "/a?b", "/a//b", "/ü"])
def test_invalid_root_path_fails_the_start(root: str) -> None:
    with pytest.raises(SettingError, match=r"^root_path: "):
        Proxies(load_settings({"root_path": root}))


@given(st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")), max_size=3), st.booleans())
def test_any_header_is_parsed_and_untrusted_ones_are_ignored(values: list[str], trusted: bool) -> None:
    names = ("forwarded", "x-forwarded-for", "x-forwarded-host")
    headers = list(zip(names, values, strict=False))
    scope = Proxies(load_settings({"trusted_proxies": TRUSTED})).seen(
        scope_of(headers, peer=PROXY if trusted else CLIENT)
    )
    if not trusted:
        assert not isinstance(scope, Rejection)
        assert scope["client"] == (CLIENT, 50_000)
