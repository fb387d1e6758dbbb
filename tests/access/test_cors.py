"""CORS: pages of allowed origins send requests and read every answer; other pages get no CORS headers."""

from typing import Any, cast

import pytest
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from trio_stt.access.cors import Cors
from trio_stt.access.host_and_origin import Access, frame_ancestors
from trio_stt.access.security_headers import SecurityHeaders
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings

APP = "https://app.example.org"
PREFLIGHT = {"access-control-request-method": "PATCH"}


async def rejecting(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def ask(
    allowed: str, origin: str | None, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer; the app itself answers 401."""
    given = {**({} if origin is None else {"origin": origin}), **(headers or {})}
    scope = cast(
        "Scope",
        {
            "type": "http",
            "method": method,
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        },
    )
    sent: list[ASGISendEvent] = []

    async def send(event: ASGISendEvent) -> None:
        sent.append(event)

    await Cors(rejecting, Access(load_settings({"allowed_origins": allowed})))(scope, cast("Any", None), send)
    start = cast("Any", sent[0])
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize(
    ("allowed", "origin", "is_allowed"),
    [
        (APP, APP, True),
        (f"https://other.example, {APP}:443", APP, True),
        (APP, "https://app.example.org:8443", False),
        (APP, "http://app.example.org", False),
        (APP, "null", False),
        (APP, "https://app.example.org.evil.example", False),
        ("*", APP, True),
        ("*", "null", True),
        ("null", "null", True),
        ("null", "file://", False),
        ("file://", "file://", True),
        ("capacitor://localhost", "capacitor://localhost", True),
    ],
)
async def test_answers_are_readable_for_allowed_origins(allowed: str, origin: str, is_allowed: bool) -> None:
    status, headers = await ask(allowed, origin)
    assert status == 401, "a refusal is readable, too"
    assert headers.get("access-control-allow-origin") == (origin if is_allowed else None)
    assert headers["vary"] == "origin"


async def test_without_allowed_origins_nothing_changes() -> None:
    assert await ask("", APP) == (401, {"www-authenticate": "Bearer"})
    assert await ask("", APP, method="OPTIONS", headers=PREFLIGHT) == (401, {"www-authenticate": "Bearer"})


async def test_requests_without_an_origin_reach_the_app() -> None:
    status, headers = await ask(APP, None)
    assert (status, "access-control-allow-origin" in headers) == (401, False)


async def test_preflight_needs_no_key() -> None:
    wanted = {**PREFLIGHT, "access-control-request-headers": "authorization,x-stainless-os"}
    status, headers = await ask(APP, APP, method="OPTIONS", headers=wanted)
    assert status == 204
    assert headers["access-control-allow-origin"] == APP
    assert "PATCH" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert "access-control-allow-credentials" not in headers


async def test_preflight_of_a_public_page_for_a_local_server_is_answered() -> None:
    _, headers = await ask(
        APP, APP, method="OPTIONS", headers={**PREFLIGHT, "access-control-request-private-network": "true"}
    )
    assert headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    ("origin", "headers"),
    [("https://stranger.example", PREFLIGHT), (APP, {})],
    ids=["foreign origin", "no preflight"],
)
async def test_other_options_requests_reach_the_app(origin: str, headers: dict[str, str]) -> None:
    status, _ = await ask(APP, origin, method="OPTIONS", headers=headers)
    assert status == 401


@pytest.mark.parametrize(
    ("setting", "sources"),
    [
        ("", "'none'"),
        ("https://home.example:8123, http://ha.local:8123", "https://home.example:8123 http://ha.local:8123"),
        ("*", "*"),
    ],
)
async def test_pages_of_frame_ancestors_may_show_the_page(setting: str, sources: str) -> None:
    sent: list[Any] = []

    async def send(event: ASGISendEvent) -> None:
        sent.append(event)

    headers = SecurityHeaders(rejecting, frame_ancestors(load_settings({"frame_ancestors": setting})))
    await headers(cast("Scope", {"type": "http"}), cast("Any", None), send)
    found = dict(sent[0]["headers"])
    assert found[b"content-security-policy"].decode().endswith(f"; frame-ancestors {sources}")
    assert (b"x-frame-options" in found) is (setting == "")


@pytest.mark.parametrize("entry", ["null", "file://", "home.example", "https://a;script-src *", "https://a b"])
def test_invalid_frame_ancestor_fails_the_start(entry: str) -> None:
    with pytest.raises(SettingError, match=r"frame_ancestors: .* is not an origin"):
        frame_ancestors(load_settings({"frame_ancestors": entry}))
