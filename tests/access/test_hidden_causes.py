"""Why an engine failed is for administrators: its message may hold addresses and parts of keys; real sockets."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.protocol.report_messages import REPORTS
from tests.support.in_process import serving
from tests.support.keyed_server import Rig, ask
from tests.support.keys import add_key
from tests.support.raw_socket import raw_client
from trio_stt.access.keys import KeyScope
from trio_stt.errors import HIDDEN_CAUSE, EngineUnavailable
from trio_stt.lanes.engines import registry
from trio_stt.protocol.reports import HealthReport
from trio_stt.server.public_reports import public_health

CAUSE = "http://10.0.0.7:9000/v1 answered 401: Incorrect API key provided: sk-proj-abc"
SECRETS = "10.0.0.7", "sk-proj"


async def first_error(rig: Rig, key: str) -> str:
    async with raw_client(rig.port) as client:
        await client.open(rig.port, headers={"Authorization": f"Bearer {key}"})
        message: str = (await client.until("error"))["message"]
        return message


async def test_only_administrators_read_why_an_engine_cannot_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    talk, admin = add_key(path, KeyScope.TALK), add_key(path, KeyScope.ADMIN)
    server_state = composed(monkeypatch, FakeEngine(), keys_file=str(path))

    def load(_: object) -> FakeEngine:
        raise EngineUnavailable(CAUSE)

    monkeypatch.setattr(registry, "load", load)
    async with serving(monkeypatch, server_state) as port:
        await server_state.lanes.wait_loaded()
        rig = Rig(server_state, port, path, talk, admin)
        for route in ("GET /health", "GET /health/ready", "GET /health/live"):
            for headers in ({}, {"Authorization": f"Bearer {talk}"}):
                _, _, body = await ask(rig, route, **headers)
                assert not any(secret in json.dumps(body) for secret in SECRETS), route
        assert await first_error(rig, talk) == HIDDEN_CAUSE
        for route in ("GET /health", "GET /health/ready", "GET /api/metrics"):
            _, _, body = await ask(rig, route, Authorization=f"Bearer {admin}")
            assert CAUSE in json.dumps(body), route
        assert await first_error(rig, admin) == CAUSE


def test_public_report_names_no_address_of_a_remote_engine() -> None:
    report = REPORTS["http_health"]
    assert isinstance(report, HealthReport)
    main = report.scheduler.workers["main"]
    remote = msgspec.structs.replace(
        main, device="remote", model="whisper-1 at http://10.0.0.7:9000/v1/audio/transcriptions"
    )
    scheduler = msgspec.structs.replace(report.scheduler, workers={"main": remote})
    shown = public_health(msgspec.structs.replace(report, scheduler=scheduler))
    assert shown.scheduler.workers["main"].model == "whisper-1"
