"""The rules for host names, origins and local clients, as tables; then the rejections and their log."""

import logging
from dataclasses import dataclass
from typing import Any, cast

import pytest
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
    WebsocketScope,
    WWWScope,
)
from hypothesis import given
from hypothesis import strategies as st
from quart import Blueprint
from quart_trio import QuartTrio

from tests.lanes.fakes import virtual_time
from tests.protocol.report_messages import OTHER_SESSION, REPORTS, SESSION
from trio_stt.access.host_and_origin import Access, is_local, is_loopback
from trio_stt.access.middleware import AccessMiddleware
from trio_stt.api.http import http_routes
from trio_stt.errors import HIDDEN_CAUSE, SettingError
from trio_stt.server.all_processes import AllProcesses
from trio_stt.server.server_state import ServerState
from trio_stt.settings import load_settings

pytestmark = pytest.mark.contract("11/41")

LAN = "192.168.1.5"
REMOTE_ADDRESS = "203.0.113.9"
OWN_NAME = "Box.lan.example"
PASSES = 200
Headers = dict[str, str]


@pytest.fixture(autouse=True)
def named_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: OWN_NAME)


def access(**settings: str) -> Access:
    return Access(load_settings(settings))


def scope_of(headers: Headers, *, scheme: str, method: str, client: str, server: str) -> WWWScope:
    shared = {
        "scheme": scheme,
        "path": "/",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (client, 50_000) if client else None,
        "server": (server, 8010),
    }
    if scheme.startswith("ws"):
        return cast("WebsocketScope", {"type": "websocket", **shared})
    return cast("HTTPScope", {"type": "http", "method": method, **shared})


def status(
    rules: Access,
    headers: Headers,
    *,
    scheme: str = "http",
    method: str = "GET",
    client: str = REMOTE_ADDRESS,
    server: str = "127.0.0.1",
) -> int:
    rejection = rules.rejection(scope_of(headers, scheme=scheme, method=method, client=client, server=server))
    return rejection.status if rejection else PASSES


PRIVATE: dict[str, str] = {}
PUBLIC = {"host": "0.0.0.0"}  # noqa: S104 - a setting under test; nothing listens

LOOPBACK_HOSTS = ["localhost", "LOCALHOST:8010", "localhost.", "app.localhost:8010", "127.0.0.1:8010", "127.8.0.1"]
LOOPBACK_HOSTS += ["[::1]:8010", "[0:0::1]", "[::ffff:127.0.0.1]", "0.0.0.0:8010", "[::]:8010"]
OTHER_ADDRESSES = [f"{LAN}:8010", "[fd00::5]:8010", "[::ffff:192.168.1.5]"]
OWN_HOSTS = ["box.lan.example:8010", "BOX", "box.local:8010", "box.local."]
FOREIGN_HOSTS = [
    *("evil.example", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example", "192.168.1.5.evil.example"),
    *("box.evil.example", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "localhost1", "-"),
]
MALFORMED_HOSTS = [
    *("evil.example@localhost", "localhost@evil.example", "localhost/", "localhost, evil.example", "local host", "*"),
    *("::1", "[::1", "[localhost]", "[127.0.0.1]", "[fe80::1%25lo]", "localhost:", "localhost:80x", "localhost:1:2"),
    *("localhost:65536", "..", ":8010", "l\u00f6calhost", "localhost\u00a0", "x" * 64, "x" * 10_000),
]


@pytest.mark.parametrize(
    ("settings", "to", "passes", "refused"),
    [
        pytest.param(PRIVATE, "127.0.0.1", LOOPBACK_HOSTS, OTHER_ADDRESSES + OWN_HOSTS, id="listens on loopback"),
        pytest.param(PRIVATE, "::1", LOOPBACK_HOSTS, OTHER_ADDRESSES + OWN_HOSTS, id="listens on IPv6 loopback"),
        pytest.param(PUBLIC, LAN, LOOPBACK_HOSTS + OTHER_ADDRESSES + OWN_HOSTS, [], id="listens on all"),
        pytest.param(PUBLIC, "127.0.0.1", OTHER_ADDRESSES + OWN_HOSTS, [], id="listens on all, reached by loopback"),
        pytest.param(PRIVATE, LAN, LOOPBACK_HOSTS + OTHER_ADDRESSES + OWN_HOSTS, [], id="an ASGI host listens on all"),
        pytest.param({"host": "stt.lan"}, LAN, ["stt.lan:8010"], ["other.lan"], id="listens on a name"),
        pytest.param(
            {"allowed_hosts": "STT.example.org, fd00::7,[fd00::8], box "},
            "127.0.0.1",
            ["stt.example.org", "stt.example.org.:8010", "[fd00::7]:1", "[fd00::8]", "box", "localhost"],
            ["www.stt.example.org", "example.org", "[fd00::9]"],
            id="names allowed on loopback",
        ),
        pytest.param({"allowed_hosts": "*"}, "127.0.0.1", ["evil.example", LAN, "x" * 63], [], id="any name"),
    ],
)
def test_only_own_host_names_are_answered(
    settings: dict[str, str], to: str, passes: list[str], refused: list[str]
) -> None:
    rules = access(**settings)
    for host in passes:
        assert status(rules, {"Host": host}, server=to) == PASSES, host
    for host in refused + ([] if settings.get("allowed_hosts") == "*" else FOREIGN_HOSTS):
        assert status(rules, {"Host": host}, server=to) == 421, host
    for host in MALFORMED_HOSTS:
        assert status(rules, {"Host": host}, server=to) == 400, host
    assert status(rules, {}, server=to) == PASSES, "every browser sends a Host header"


ORIGINS = {
    "allowed_hosts": "*",
    "allowed_origins": "https://app.example.org, http://[fd00::7]:3000,chrome-extension://AbC",
}
SAME = [
    ("http", "localhost:8010", "http://localhost:8010"),
    ("http", "LOCALHOST:8010", "HTTP://localhost:8010"),
    ("http", "stt.example", "http://stt.example"),
    ("http", "stt.example:80", "http://stt.example"),
    ("http", "stt.example", "http://stt.example:80"),
    ("https", "stt.example", "https://stt.example:443"),
    ("https", "stt.example:8443", "https://stt.example:8443"),
    ("http", "[::1]:8010", "http://[::1]:8010"),
    ("http", "[0:0::1]:8010", "http://[::1]:8010"),
]
ALLOWED = ["https://app.example.org", "https://APP.example.org:443", "http://[fd00::7]:3000", "chrome-extension://abc"]
FOREIGN = [
    ("http", "localhost:8010", "http://localhost:8011"),
    ("http", "localhost:8010", "http://localhost"),
    ("http", "localhost", "http://localhost:8010"),
    ("http", "localhost:8010", "http://127.0.0.1:8010"),
    ("http", "localhost:8010", "https://localhost:8010"),
    ("https", "localhost:8010", "http://localhost:8010"),
    ("http", "stt.example", "https://stt.example"),
    ("http", "stt.example", "http://evil.stt.example"),
    ("http", "stt.example", "http://stt.example.evil"),
    ("http", "localhost:8010", "ws://localhost:8010"),
    *(("http", "localhost:8010", bad) for bad in ("null", "", "localhost:8010", "//localhost:8010", "file://", "*")),
    *(("http", "localhost:8010", bad) for bad in ("http://localhost:8010/", "http://evil@localhost:8010")),
    ("http", "localhost:8010", "http://localhost:8010, http://evil.example"),
    *(("http", "app.example.org", bad) for bad in ("http://app.example.org:81", "https://app.example.org:444")),
    ("http", "localhost", "chrome-extension://abcd"),
    ("http", "", "http://"),
    ("http", "", "http://localhost"),
]


@pytest.mark.parametrize(
    ("expected", "cases"),
    [(PASSES, SAME + [("http", "localhost", origin) for origin in ALLOWED]), (403, FOREIGN)],
    ids=["welcome", "foreign"],
)
def test_foreign_origins_change_nothing_and_open_no_websocket(expected: int, cases: list[tuple[str, str, str]]) -> None:
    rules, open_rules = access(**ORIGINS), access(allowed_hosts="*", allowed_origins="*")
    for scheme, host, origin in cases:
        headers = {"Host": host, "Origin": origin}
        for method in ("PATCH", "POST", "DELETE"):
            assert status(rules, headers, scheme=scheme, method=method) == expected, (scheme, headers)
        assert status(rules, headers, scheme={"http": "ws", "https": "wss"}[scheme]) == expected, (scheme, headers)
        assert status(rules, headers, scheme=scheme) == PASSES, "the browser blocks the reading"
        assert status(open_rules, headers, scheme="ws") == PASSES


def test_each_of_several_origins_must_be_allowed() -> None:
    scope = scope_of({"Host": "localhost"}, scheme="ws", method="", client=REMOTE_ADDRESS, server="127.0.0.1")
    own, foreign = (b"origin", b"http://localhost"), (b"origin", b"http://evil.example")
    for origins, passes in [([own, own], True), ([own, foreign], False), ([foreign, own], False)]:
        scope["headers"] = [(b"host", b"localhost"), *origins]
        assert (access().rejection(scope) is None) == passes


@pytest.mark.parametrize(("scheme", "method"), [("ws", "GET"), ("http", "PATCH")])
def test_request_without_origin_is_allowed(scheme: str, method: str) -> None:
    assert status(access(), {"Host": "localhost"}, scheme=scheme, method=method) == PASSES


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Host": ".".join(["e" * 60] * 50)}, "allowed_hosts"),
        ({"Host": "localhost", "Origin": "e" * 5000}, "allowed_origins"),
    ],
)
def test_rejection_names_the_setting_and_shortens_a_long_value(headers: Headers, name: str) -> None:
    rejection = access().rejection(scope_of(headers, scheme="ws", method="", client=REMOTE_ADDRESS, server="127.0.0.1"))
    assert rejection
    assert name in rejection.detail
    assert f"--{name.replace('_', '-')}" in rejection.detail
    assert "eeee" in rejection.detail
    assert len(rejection.detail) < 300


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ("127.0.0.1", {"Host": "localhost:8010"}, True),
        ("127.0.0.1", {"Host": "127.0.0.1:8010"}, True),
        ("127.0.0.1", {"X-Other": "1"}, True),
        ("::1", {"Host": "[::1]:8010"}, True),
        ("::ffff:127.0.0.1", {"Host": "0.0.0.0:8010"}, True),
        (REMOTE_ADDRESS, {"Host": "localhost:8010"}, False),
        ("", {"Host": "localhost"}, False),
        (REMOTE_ADDRESS, {"Host": "localhost", "Remote-Addr": "127.0.0.1"}, False),
        ("127.0.0.1", {"Host": "stt.example.org"}, False),
        ("127.0.0.1", {"Host": LAN}, False),
        ("127.0.0.1", {"Host": "not a name"}, False),
        *(
            ("127.0.0.1", {"Host": "localhost", name: "127.0.0.1"}, False)
            for name in ("X-Forwarded-For", "x-forwarded-host", "Forwarded", "X-Real-IP", "Via")
        ),
    ],
)
def test_local_requests(client: str, headers: Headers, expected: bool) -> None:
    scope = scope_of(headers, scheme="http", method="PATCH", client=client, server="127.0.0.1")
    assert is_local(scope) == expected


@dataclass
class ReportingProcesses:
    """Report two sessions with queued jobs."""

    revised: bool = False

    async def health(self) -> object:
        return REPORTS["http_health"]

    async def metrics(self) -> object:
        return REPORTS["http_metrics"]

    async def change(self, _changes: object) -> None:
        self.revised = True


def routes_of(processes: ReportingProcesses) -> Blueprint:
    return http_routes(cast("ServerState", None), cast("AllProcesses", processes))


@pytest.mark.parametrize("path", ["/health", "/api/metrics"])
async def test_single_sessions_and_causes_are_shown_to_local_clients_only(path: str) -> None:
    app = QuartTrio(__name__)
    app.register_blueprint(routes_of(ReportingProcesses()))

    async def report(client: str) -> Any:
        scope = {"client": (client, 50_000), "server": ("127.0.0.1", 8010)}
        answer = await app.test_client(use_cookies=False).get(path, headers={"Host": "localhost"}, scope_base=scope)
        return await answer.get_json()

    local = await report("127.0.0.1")
    remote = await report(REMOTE_ADDRESS)
    assert {SESSION, OTHER_SESSION} & set(local["scheduler"]["queues"]["main"]["perSession"])
    assert not any(session in str(remote) for session in (SESSION, OTHER_SESSION))
    for queue in local["scheduler"]["queues"].values():
        queue["perSession"] = {}
    if path == "/api/metrics":
        assert local["sessions"]
        local["sessions"] = {}
    for worker in local["scheduler"]["workers"].values():
        worker["lastError"] = worker["lastError"] and HIDDEN_CAUSE
    assert any(error["message"] != HIDDEN_CAUSE for error in local["startupErrors"])
    for error in local["startupErrors"]:
        error["message"] = HIDDEN_CAUSE
    assert remote == local, "all other fields are equal"


async def test_settings_are_changed_by_local_clients_only() -> None:
    app, processes = QuartTrio(__name__), ReportingProcesses()
    app.register_blueprint(routes_of(processes))
    scope = {"client": (REMOTE_ADDRESS, 50_000), "server": (LAN, 8010)}
    answer = await app.test_client(use_cookies=False).patch(
        "/api/config", json={}, headers={"Host": LAN}, scope_base=scope
    )
    assert answer.status_code == 403
    assert "own machine" in (await answer.get_json())["detail"]
    assert not processes.revised


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            ("allowed_hosts", bad)
            for bad in ("https://a.example", "a.example:8010", "a b", "*.example", "a/b", "b\u00fccher")
        ),
        *(("allowed_hosts", bad) for bad in ("ok.example,[::1", "[fd00::1]:80", "a..b", ".example")),
        *(
            ("allowed_origins", bad)
            for bad in ("a.example", "nul", "file:///a", "https://", "https://a.example/", "https://*.a.org")
        ),
        *(
            ("allowed_origins", bad)
            for bad in ("*, http://a:b", "https://a.example:99999", "https://a@b", "://a", "é://a")
        ),
    ],
)
def test_invalid_entry_is_a_setting_error_of_one_line(name: str, text: str) -> None:
    with pytest.raises(SettingError) as rejection:
        Access(load_settings({name: text}))
    message = str(rejection.value)
    assert message.startswith(f"{name}: ")
    assert repr(text.rpartition(",")[2].strip()) in message
    assert "\n" not in message


SEEDS = st.sampled_from(["", "http://", "localhost", "[::1]", "127.0.0.1", "a.example:"])


@given(st.text(max_size=40), SEEDS)
def test_no_allowed_host_name_breaks_the_web_framework(text: str, seed: str) -> None:
    host = _as_header(seed + text)
    app = QuartTrio(__name__)
    app.asgi_app = AccessMiddleware(app.asgi_app, access(allowed_hosts="*"))  # type: ignore[method-assign]  # Quart's own way

    async def main() -> int:
        client = app.test_client(use_cookies=False)  # its cookies would fail on host names, too
        return (await client.get("/", headers={"Host": host, "Origin": host})).status_code

    assert trio.run(main) in {400, 404}


@given(st.text(max_size=40), SEEDS)
def test_any_origin_is_parsed(text: str, seed: str) -> None:
    headers = {"Host": "localhost", "Origin": _as_header(seed + text)}
    assert status(access(), headers, scheme="ws") == (PASSES if _is_own(headers["Origin"]) else 403)


def _as_header(text: str) -> str:
    """Any text that a server may pass to the app: Latin-1 without line breaks."""
    return text.encode().decode("latin-1").replace("\r", "").replace("\n", "")


def _is_own(origin: str) -> bool:
    return origin.lower() in {"http://localhost", "http://localhost.", "http://localhost:80"}


@given(st.text(max_size=30))
def test_is_loopback(text: str) -> None:
    assert not is_loopback(f"{text}.example")
    assert not is_loopback(f"192.168.{text}")


async def request_through(middleware: AccessMiddleware, headers: Headers) -> list[ASGISendEvent]:
    """What the middleware sends for a handshake, to a host without the extension for HTTP answers."""
    sent: list[ASGISendEvent] = []

    async def send(event: ASGISendEvent) -> None:
        sent.append(event)

    scope = scope_of(headers, scheme="ws", method="", client=REMOTE_ADDRESS, server="127.0.0.1")
    await middleware(scope, cast("ASGIReceiveCallable", None), send)
    return sent


async def _unreachable(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
    pytest.fail("a rejected request reached the app")


@virtual_time
async def test_log_of_rejections_is_rate_limited_and_counts_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    middleware = AccessMiddleware(_unreachable, access())
    with caplog.at_level(logging.WARNING, logger="trio_stt.access.middleware"):
        for number in range(500):
            answer = await request_through(middleware, {"Host": f"evil{number}.example\x1b[31m"})
            assert [event["type"] for event in answer] == ["websocket.close"], "the host turns the rejection into a 403"
        assert [record.getMessage() for record in caplog.records] == [
            r"rejected a request: the host name 'evil0.example\x1b[31m' is not allowed"
        ]
        await trio.sleep(9.9)
        await request_through(middleware, {"Host": "evil.example"})
        assert len(caplog.records) == 1
        await trio.sleep(0.2)
        await request_through(middleware, {"Host": "localhost", "Origin": "http://evil.example"})
    assert [record.getMessage() for record in caplog.records][1:] == [
        "rejected a request: the origin 'http://evil.example' is not allowed; 500 more since the last such line"
    ]
