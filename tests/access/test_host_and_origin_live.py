"""Forged Host and Origin headers against a real server, over real sockets, in both worker classes."""

import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import open_websocket

from tests.support.client import PATH, connected
from tests.support.real import missing
from tests.support.server import RunningServer, ServerFailed, output_of_one_test, running_server, shared_server
from trio_stt.cli import main

pytestmark = pytest.mark.contract("11/41")

WORKERS = ["asyncio", "trio"]
EVIL = "http://evil.example"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def hypercorn(worker: str, address: str = "127.0.0.1") -> list[str]:
    return ["-m", "hypercorn", "-k", worker, "trio_stt.app:app", "--bind", f"{address}:{{port}}"]


def serve(*flags: str) -> list[str]:
    return ["-m", "trio_stt", "serve", "--port", "{port}", *flags]


@asynccontextmanager
async def server(command: Sequence[str], **settings: str) -> AsyncIterator[RunningServer]:
    env = {f"TRIO_STT_{name.upper()}": value for name, value in settings.items()}
    async with running_server(command, {"TRIO_STT_MODEL_WARMUP": "off", **env}) as running:
        yield running


async def ask(
    running: RunningServer,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    address: str = "127.0.0.1",
) -> tuple[int, Any]:
    """Status and body, decoded if it is JSON. A request to the WebSocket's path is a handshake."""
    sent = {"Host": f"127.0.0.1:{running.port}", **(UPGRADE if path == PATH else {}), **(headers or {})}

    def exchange() -> tuple[int, Any]:
        connection = http.client.HTTPConnection(address, running.port, timeout=30)
        try:
            connection.request(method, path, "{}" if method == "PATCH" else None, sent)
            with connection.getresponse() as answer:
                body = b"" if answer.status == 101 else answer.read()
                return answer.status, json.loads(body) if answer.headers["Content-Type"] == "application/json" else body
        finally:
            connection.close()

    return await trio.to_thread.run_sync(exchange)


@pytest.fixture(scope="module", params=WORKERS)
def shared(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server for the tests that change no setting and leave no session."""
    env = {
        "TRIO_STT_MODEL_WARMUP": "off",
        "TRIO_STT_RESUME_GRACE_S": "0",  # the sessions of bare handshakes end with their connections
        "TRIO_STT_ALLOWED_HOSTS": "stt.example.org",
        "TRIO_STT_ALLOWED_ORIGINS": "https://app.example.org",
    }
    with shared_server(hypercorn(request.param), env) as running:
        yield running


@pytest.fixture
async def running(shared: RunningServer) -> AsyncIterator[RunningServer]:
    with output_of_one_test(shared):
        with trio.fail_after(60):
            while (await ask(shared, "/health"))[1]["activeSessions"]:  # noqa: ASYNC110 - another process cannot set our events
                await trio.sleep(0.05)
        yield shared


async def test_foreign_origin_gets_no_session(running: RunningServer) -> None:
    own = f"http://127.0.0.1:{running.port}"
    rejected_before = (await ask(running, "/api/metrics"))[1]["rejectedSessions"]
    for origin in (EVIL, "null", "http://127.0.0.1:1", f"https://127.0.0.1:{running.port}", f"{own}, {EVIL}"):
        status, body = await ask(running, PATH, {"Origin": origin})
        assert (status, list(body)) == (403, ["detail"]), origin
        assert "allowed_origins" in body["detail"]
    _, metrics = await ask(running, "/api/metrics")
    counts = ("activeSessions", "pendingSessionAdmissions", "rejectedSessions", "sessions")
    assert [metrics[name] for name in counts] == [0, 0, rejected_before + 5, {}]

    for origin in (own, "https://app.example.org"):
        assert (await ask(running, PATH, {"Origin": origin}))[0] == 101
        headers = [(b"Origin", origin.encode())]
        async with open_websocket("127.0.0.1", running.port, PATH, use_ssl=False, extra_headers=headers) as client:
            assert json.loads(await client.get_message())["type"] == "hello"
    assert (await ask(running, PATH))[0] == 101
    assert "Traceback" not in running.output


async def test_foreign_origin_changes_no_setting(running: RunningServer) -> None:
    status, body = await ask(running, "/api/config", {"Origin": EVIL}, method="PATCH")
    assert (status, "allowed_origins" in body["detail"]) == (403, True)
    own = f"http://127.0.0.1:{running.port}"
    assert (await ask(running, "/api/config", {"Origin": own}, method="PATCH"))[0] == 200
    assert (await ask(running, "/api/config", {"Origin": EVIL}))[0] == 200, "the browser blocks the reading"


async def test_rebound_host_name_is_rejected_everywhere(running: RunningServer) -> None:
    rebound = f"evil.example:{running.port}"
    for path in ("/", "/web/main.js", "/health", "/api/config", "/api/metrics", "/nowhere", PATH, "/ws/nowhere"):
        status, body = await ask(running, path, {"Host": rebound, "Origin": f"http://{rebound}"})
        assert (status, list(body)) == (421, ["detail"]), path
        assert "allowed_hosts" in body["detail"]
    assert (await ask(running, "/api/config", {"Host": rebound}, method="PATCH"))[0] == 421
    for host, status in {"192.168.1.5": 421, "x" * 5000: 400, "a@localhost": 400}.items():
        assert (await ask(running, "/health", {"Host": host}))[0] == status

    for host in (
        "localhost",
        f"localhost:{running.port}",
        "app.localhost",
        "[::1]",
        "127.9.9.9",
        "stt.example.org",
    ):
        assert (await ask(running, "/", {"Host": host}))[0] == 200
        assert (await ask(running, PATH, {"Host": host, "Origin": f"http://{host}"}))[0] == 101
    assert "Traceback" not in running.output


async def test_proxied_request_is_not_local(running: RunningServer) -> None:
    async with connected(running) as client:
        session_id = (await client.until("hello"))["sessionId"]
        _, local = await ask(running, "/api/metrics")
        assert list(local["sessions"]) == [session_id]
        assert local["scheduler"]["queues"].keys() == local["scheduler"]["workers"].keys()
        for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Host": "stt.example.org"}):
            for path in ("/api/metrics", "/health"):
                _, elsewhere = await ask(running, path, headers)
                assert elsewhere["activeSessions"] == 1
                assert session_id not in str(elsewhere)
            status, body = await ask(running, "/api/config", headers, method="PATCH")
            assert (status, "own machine" in body["detail"]) == (403, True)
            status, body = await ask(running, "/api/config", {**headers, "Remote-Addr": "127.0.0.1"}, method="PATCH")
            assert status == 403
        assert (await ask(running, "/api/config", method="PATCH"))[0] == 200


@pytest.mark.parametrize(
    ("command", "warnings"),
    [
        (serve("--host", "0.0.0.0"), 1),  # noqa: S104 - on purpose
        *(
            pytest.param(hypercorn(worker, "0.0.0.0"), 0, marks=pytest.mark.long)  # noqa: S104 - on purpose
            for worker in WORKERS
        ),
    ],
    ids=["serve", "hypercorn-asyncio", "hypercorn-trio"],
)
async def test_public_server_takes_settings_from_local_clients_only(command: list[str], warnings: int) -> None:
    network = _network_address()
    async with server(command, log_level="CRITICAL") as running:
        host = f"{network}:{running.port}"
        for name in (host, f"{socket.gethostname()}:{running.port}"):
            status, page = await ask(running, "/", {"Host": name}, address=network)
            assert (status, b"<!doctype html>" in page.lower()) == (200, True)
            assert (await ask(running, PATH, {"Host": name, "Origin": f"http://{name}"}, address=network))[0] == 101
        assert (await ask(running, "/", {"Host": "evil.example"}, address=network))[0] == 421
        assert (await ask(running, PATH, {"Host": host, "Origin": EVIL}, address=network))[0] == 403

        for name in (host, "127.0.0.1"):
            assert (await ask(running, "/api/config", {"Host": name}, method="PATCH", address=network))[0] == 403
        assert (await ask(running, "/api/config", method="PATCH"))[0] == 200
        async with connected(running) as client:
            session_id = (await client.until("hello"))["sessionId"]
            assert session_id in (await ask(running, "/api/metrics"))[1]["sessions"]
            _, elsewhere = await ask(running, "/api/metrics", {"Host": host}, address=network)
            assert (elsewhere["activeSessions"] > 0, elsewhere["sessions"]) == (True, {})
        assert running.output.count(f"Warning: http://0.0.0.0:{running.port} is open to the network") == warnings


def _network_address() -> str:
    """This machine's address in its network; finding it sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
    except OSError:
        missing("this machine has no network address")
    return address


@pytest.mark.long
async def test_listening_on_loopback_does_not_warn() -> None:
    async with server(serve("--host", "localhost")) as running:
        await running.wait_for_output("trio-stt is ready")
        assert "Warning" not in running.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--allowed-hosts", "https://a.example"], "trio-stt: allowed_hosts: 'https://a.example' is not a host name"),
        (["--allowed-origins", "a.example"], "trio-stt: allowed_origins: 'a.example' is not an origin"),
    ],
)
def test_invalid_entry_fails_the_start_in_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *flags]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.long
async def test_invalid_variable_fails_the_start_of_a_host_in_one_line() -> None:
    with pytest.raises(ServerFailed) as failed:
        async with server(hypercorn("trio"), allowed_hosts="https://a.example"):
            pass
    (note,) = failed.value.__notes__
    assert "trio-stt: allowed_hosts: 'https://a.example' is not a host name" in note
    assert "Traceback" not in note
