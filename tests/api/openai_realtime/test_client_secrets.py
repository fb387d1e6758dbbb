"""Client secrets: they expire, are bounded, and end with the key that made them."""

from pathlib import Path

import pytest

from tests.support.keyed_server import ask, rig
from tests.support.raw_socket import raw_client
from trio_stt.access.keys import KeyScope, create_key
from trio_stt.api.openai_realtime import client_secrets
from trio_stt.api.openai_realtime.client_secrets import ClientSecrets
from trio_stt.api.openai_realtime.session_config import SessionConfig

PATH = "/v1/realtime"
CONFIG = SessionConfig(model="one")


def test_secret_is_found_until_it_expires() -> None:
    now_s = 1000.0
    secrets = ClientSecrets(lambda: now_s)
    record = create_key(KeyScope.TALK)[1]
    secret = secrets.create(CONFIG, lifetime_s=10, record=record)
    assert (secret.expires_at, secrets.find(secret.value), secrets.record(secret.value)) == (1010, secret, record)
    assert secret.value not in repr(secret)
    assert secrets.find(None) is secrets.find("") is secrets.find("ek_other") is None
    now_s = 1010.0
    assert secrets.find(secret.value) is secrets.record(secret.value) is None


def test_oldest_secret_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_secrets, "_MAX_SECRETS", 2)
    secrets = ClientSecrets()
    first, second, third = (secrets.create(CONFIG, lifetime_s=10, record=None) for _ in range(3))
    assert secrets.find(first.value) is None
    assert secrets.find(second.value) == second
    assert secrets.find(third.value) == third


def test_oldest_secrets_give_way_to_long_configurations() -> None:
    secrets = ClientSecrets()
    config = SessionConfig(transcription={"prompt": "x" * 60_000})
    made = [secrets.create(config, lifetime_s=10, record=None) for _ in range(200)]
    found = [secret for secret in made if secrets.find(secret.value)]
    assert found == made[-len(found) :]
    assert len(found) == 139  # of 8 MiB


async def test_secret_of_a_key_opens_realtime_sessions_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        assert (await ask(server, f"POST {PATH}/client_secrets"))[0] == 401
        status, _, body = await ask(server, f"POST {PATH}/client_secrets", authorization=f"Bearer {server.talk}")
        assert (status, body["value"][:3], body["session"]["type"]) == (200, "ek_", "transcription")
        secret = {"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{body['value']}"}
        async with raw_client(server.port) as client:
            await client.open(server.port, PATH, secret)
            await client.until("session.created")
            assert "sec-websocket-protocol: realtime" in client.answer.lower()
            assert body["value"].lower() not in client.answer.lower()
        async with raw_client(server.port) as client:
            await client.open(server.port, "/ws/transcribe", {"authorization": f"Bearer {body['value']}"})
            await client.read_to_the_end()
            assert client.close_code == 1008
        for route in (f"POST {PATH}/client_secrets", "GET /api/config"):
            assert (await ask(server, route, authorization=f"Bearer {body['value']}"))[0] == 401
        async with raw_client(server.port) as client:
            await client.open(server.port, f"{PATH}?call_id=1", {"authorization": f"Bearer {server.talk}"})
            assert client.answer.split()[1] == "400"


@pytest.mark.parametrize(
    ("header", "prefix"), [("assistants=v2", ""), ("assistants=v2, realtime=v1", "transcription_")]
)
async def test_header_of_the_beta_is_about_this_api(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, header: str, prefix: str
) -> None:
    async with rig(monkeypatch, tmp_path) as server, raw_client(server.port) as client:
        headers = {"authorization": f"Bearer {server.talk}", "openai-beta": header}
        await client.open(server.port, f"{PATH}?intent=transcription", headers)
        await client.until(f"{prefix}session.created")
