"""Authorization: every kind of client, at every route, from every origin, over real sockets."""

import json
import logging
from pathlib import Path

import pytest
import trio

from tests.support.client import PATH
from tests.support.keyed_server import Rig, ask, handshake_result, rig
from tests.support.keys import add_key
from tests.support.raw_socket import BINARY, TEXT, frame, raw_client
from trio_stt.access.keys import KeyScope, create_key, key_id_of, remove_from_file
from trio_stt.api import websocket_admission

POLICY, TRY_AGAIN_LATER = 1008, 1013
EVIL = "http://evil.example"
ALLOWED = "https://app.example.org"
NETWORK = "203.0.113.9"


ROUTES = [
    "GET /",
    "GET /web/main.js",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /api/config",
    "PATCH /api/config",
    "OPTIONS /api/config",
    "GET /api/metrics",
    "HEAD /api/metrics",
]
ROUTES += ["GET /nowhere", "POST /health", "GET /api/config/", "socket"]
ROUTES += ["GET http://x/api/metrics", "PATCH http://x/api/config"]
WITH_KEYS = {
    #            /    web  health live ready  get  PATCH OPT.  metr HEAD  nowh POST conf/ socket           whole URLs
    "no key":   "200 200 200    200  200    401  401  401   401  401   401  401  401   auth_required    401 401",
    "wrong":    "401 401 401    401  401    401  401  401   401  401   401  401  401   1008             401 401",
    "basic":    "401 401 401    401  401    401  401  401   401  401   401  401  401   1008             401 401",
    "revoked":  "401 401 401    401  401    401  401  401   401  401   401  401  401   1008             401 401",
    "talk":     "200 200 200    200  200    200  403  403   403  403   404  405  404   hello            403 403",
    "admin":    "200 200 200    200  200    200  200  200   200  200   404  405  404   hello            200 200",
}  # fmt: skip
WITHOUT_KEYS = {
    "local":    "200 200 200    200  200    200  200  200   200  200   404  405  404   hello            200 200",
    "remote":   "200 200 200    200  200    200  403  200   200  200   404  405  404   hello            200 403",
}  # fmt: skip
CHANGES = {"PATCH /api/config", "POST /health", "socket", "PATCH http://x/api/config"}
ORIGINS = ["none", "own", "allowed", "foreign"]


async def check_row(rig: Rig, row: str, origin: str, headers: dict[str, str]) -> None:
    expected = dict(zip(ROUTES, row.split(), strict=True))
    if origin == "foreign":
        expected |= dict.fromkeys(CHANGES, "403")
    if origin != "none":
        headers = headers | {"origin": {"own": rig.own, "allowed": ALLOWED, "foreign": EVIL}[origin]}
    found = {}
    for route in ROUTES:
        found[route] = (
            await handshake_result(rig, **headers) if route == "socket" else str((await ask(rig, route, **headers))[0])
        )
    assert found == expected


@pytest.mark.contract("11/41")
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("case", WITH_KEYS)
async def test_every_route_and_origin_with_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, origin: str
) -> None:
    async with rig(monkeypatch, tmp_path, max_failed_logins_per_address=100, allowed_origins=ALLOWED) as server:
        revoked = add_key(server.file, KeyScope.ADMIN)
        remove_from_file(server.file, key_id_of(revoked) or "")
        keys = {"wrong": create_key(KeyScope.ADMIN)[0], "revoked": revoked, "talk": server.talk, "admin": server.admin}
        headers = {"authorization": f"Bearer {keys[case]}"} if case in keys else {}
        if case == "basic":
            headers = {"authorization": f"Basic {server.admin}"}
        await check_row(server, WITH_KEYS[case], origin, headers)


@pytest.mark.contract("11/41")
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("case", WITHOUT_KEYS)
async def test_every_route_and_origin_without_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, origin: str
) -> None:
    headers = {"x_forwarded_for": NETWORK} if case == "remote" else {}
    async with rig(monkeypatch, tmp_path, keyed=False, trusted_proxies="127.0.0.1", allowed_origins=ALLOWED) as server:
        await check_row(server, WITHOUT_KEYS[case], origin, headers)


async def test_rejections_have_www_authenticate_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path, max_failed_logins_per_address=1) as server:
        status, headers, body = await ask(server, "GET /api/config")
        assert (status, headers["www-authenticate"], list(body)) == (401, "Bearer", ["detail"])
        status, headers, body = await ask(server, "GET /api/metrics", authorization=f"bearer  {server.talk} ")
        assert (status, 'scope="admin"' in headers["www-authenticate"], "admin" in body["detail"]) == (403, True, True)
        status, headers, body = await ask(server, "GET /api/config", authorization="Bearer x")
        assert (status, headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        status, headers, body = await ask(server, "GET /api/config", authorization="Bearer x")
        assert (status, "max_failed_logins_per_address is 1" in body["detail"]) == (429, True)
        assert 0 < int(headers["retry-after"]) <= 61


async def test_with_keys_single_sessions_are_shown_to_admin_keys_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
        await client.open(server.port, headers={"Authorization": f"Bearer {server.talk}"})
        session_id = (await client.until("hello"))["sessionId"]
        _, _, metrics = await ask(server, "GET /api/metrics", authorization=f"Bearer {server.admin}")
        assert list(metrics["sessions"]) == [session_id]
        for headers in ({}, {"authorization": f"Bearer {server.talk}"}):
            _, _, health = await ask(server, "GET /health", **headers)
            assert health["activeSessions"] == 1
            assert session_id not in str(health)


@pytest.mark.parametrize("offered", ["trio-stt, trio-stt.key.KEY", "trio-stt.key.KEY,trio-stt"])
async def test_key_in_subprotocol_is_accepted_and_not_sent_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offered: str
) -> None:
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
        await client.open(server.port, headers={"Sec-WebSocket-Protocol": offered.replace("KEY", server.talk)})
        assert "sec-websocket-protocol: trio-stt\r\n" in client.answer.lower() + "\r\n"
        assert server.talk not in client.answer
        await client.until("hello")
        assert client.events[0]["type"] == "hello"


async def test_offered_subprotocol_is_answered_without_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path, keyed=False) as server, raw_client(server.port) as client:
        await client.open(server.port, headers={"Sec-WebSocket-Protocol": "other, trio-stt"})
        assert "sec-websocket-protocol: trio-stt\r\n" in client.answer.lower() + "\r\n"
        await client.until("hello")


async def test_key_in_first_message_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
        await client.open(server.port)
        assert await client.until("auth_required") == {"type": "auth_required", "timeoutSeconds": 5.0}
        assert server.server_state.registry.active_sessions == 0
        await client.send(frame(TEXT, json.dumps({"type": "auth", "key": server.talk}).encode()))
        await client.until("hello")
        await client.send(frame(TEXT, b'{"type": "ping"}'))
        await client.until("pong")


def first_messages(key: str) -> list[bytes]:
    texts = [{"type": "auth"}, {"type": "auth", "key": None}, {"type": "auth", "key": [key]}, {"type": "start"}, [key]]
    bad = [frame(TEXT, json.dumps(text).encode()) for text in texts]
    long = frame(TEXT, json.dumps({"type": "auth", "key": key, "more": "x" * 2000}).encode())
    return [
        *bad,
        long,
        frame(TEXT),
        frame(TEXT, b"[" * 100_000),
        frame(BINARY, b'{"type":"auth","key":"k"}'),
        frame(BINARY),
    ]


async def test_first_message_without_valid_key_closes_with_1008(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with rig(monkeypatch, tmp_path, max_failed_logins_per_address=100) as server:

        async def is_rejected(message: bytes) -> None:
            async with raw_client(server.port) as client:
                await client.open(server.port)
                await client.send(message)
                await client.read_to_the_end()
                assert [event["type"] for event in client.events] == ["auth_required", "error"], message[:60]
                assert client.events[1]["where"] == "admission"
                assert "key" in client.events[1]["message"]
                assert "limits" not in client.events[1]
                assert (client.close_code, "key" in client.close_reason) == (POLICY, True)

        wrong = json.dumps({"type": "auth", "key": server.talk[:-1]}).encode()
        async with trio.open_nursery() as nursery:
            for message in [*first_messages(server.talk), frame(TEXT, wrong)]:
                nursery.start_soon(is_rejected, message)
        assert server.server_state.registry.active_sessions == 0


async def test_missing_key_closes_with_1008(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(websocket_admission, "AUTH_TIMEOUT_S", 0.2)
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
        await client.open(server.port)
        await client.read_to_the_end()
        assert (client.close_code, client.events[-1]["type"]) == (POLICY, "error")


async def test_too_many_wrong_keys_close_with_1013(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path, max_failed_logins_per_address=1) as server:
        wrong = {"authorization": f"Bearer {create_key(KeyScope.TALK)[0]}"}
        assert [await handshake_result(server, **wrong) for _ in range(2)] == [str(POLICY), str(TRY_AGAIN_LATER)]
        assert server.server_state.health().rejected_sessions == 2


@pytest.mark.parametrize(
    "query", ["key={}", "api_key={}", "x=1&token=abc", "access_token=x", "Authorization=x", "q={}"]
)
async def test_key_in_url_is_rejected_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with rig(monkeypatch, tmp_path) as server:
            query = query.format(server.talk)
            status, _, body = await ask(server, f"GET /api/config?{query}", authorization=f"Bearer {server.talk}")
            assert (status, "never be in a URL" in body["detail"]) == (400, True)
            async with raw_client(server.port) as client:
                await client.open(server.port, f"{PATH}?{query}", {"Authorization": f"Bearer {server.talk}"})
                await client.read_to_the_end()
                assert client.close_code == POLICY
                assert "never be in a URL" in client.events[0]["message"]
            status, _, _ = await ask(server, "GET /api/config?keys=2&q=key", authorization=f"Bearer {server.talk}")
            assert status == 200, "not every word is a key"
    assert server.talk not in caplog.text


async def test_revoked_key_closes_its_sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as gone, raw_client(server.port) as stays:
        for client, key in ((gone, server.talk), (stays, server.admin)):
            await client.open(server.port, headers={"Authorization": f"Bearer {key}"})
            await client.until("ready")
        remove_from_file(server.file, key_id_of(server.talk) or "")
        with trio.fail_after(30):
            while gone.close_code is None:
                await gone.flood(frame(TEXT, b'{"type": "ping"}'))
                await gone.read_on()
                await trio.sleep(0.05)
        assert (gone.close_code, gone.close_reason) == (POLICY, "the key was revoked")
        await stays.send(frame(TEXT, b'{"type": "ping"}'))
        await stays.until("pong")
        assert await handshake_result(server, authorization=f"Bearer {server.talk}") == str(POLICY)
