"""Every HTTP answer has the headers by which browsers block foreign code, frames and guessed types."""

import http.client

import pytest
import trio

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from trio_stt.access.security_headers import CONTENT_SECURITY_POLICY


def ask(port: int, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_every_answer_has_security_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, composed(monkeypatch, FakeEngine())) as port:
        for status, path, headers in [
            (200, "/", {}),
            (200, "/web/main.js", {}),
            (200, "/health", {}),
            (200, "/api/config", {}),
            (404, "/nothing-here", {}),
            (404, "/web/../secret", {}),
            (421, "/", {"Host": "rebound.example.org"}),
            (400, "/", {"Host": "not a name"}),
            (403, "/ws/transcribe", HANDSHAKE | {"Origin": "https://stranger.example.org"}),
        ]:
            received_status, security_headers = await trio.to_thread.run_sync(ask, port, path, headers)
            assert received_status == status, path
            assert security_headers["content-security-policy"] == CONTENT_SECURITY_POLICY, (status, path)
            assert security_headers["x-content-type-options"] == "nosniff"
            assert security_headers["referrer-policy"] == "no-referrer"
            assert security_headers["x-frame-options"] == "DENY"


def test_content_security_policy_allows_the_own_origin_only() -> None:
    directives = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert set(directives.values()) == {"'self'", "'none'"}
