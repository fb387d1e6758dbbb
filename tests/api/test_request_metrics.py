"""Figures of HTTP requests, whatever is asked for; and the id of each answer."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from uuid import RFC_4122, UUID

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from prometheus_client.parser import text_string_to_metric_families
from quart import typing as quart_typing

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.keyed_server import ask, rig
from trio_stt.api.request_metrics import RequestMetrics, http_templates
from trio_stt.api.web_app import build_app
from trio_stt.server.http_traffic import HttpTraffic
from trio_stt.server.prometheus import PrometheusExposition
from trio_stt.server.server_state import ServerState

HOST = {"host": "localhost"}
LABELS = ("route", "method", "status", "le")


@asynccontextmanager
async def app_client(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[quart_typing.TestClientProtocol, ServerState]]:
    server_state = composed(monkeypatch, FakeEngine())
    app = build_app(server_state)
    async with app.test_app():
        yield app.test_client(), server_state


def samples(server_state: ServerState) -> dict[tuple[str, ...], float]:
    """The samples of requests by their names and labels."""
    families = text_string_to_metric_families(PrometheusExposition(server_state).write("")[0].decode())
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in families
        if family.name.startswith("trio_stt_http_request")
        for sample in family.samples
    }


async def test_requests_are_counted_by_route_method_and_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async with app_client(monkeypatch) as (client, server_state):
        for path in ("/health", "/health", "//health", "/v1/models/a/b", "/v1/models/whisper-1", "/v1/models/"):
            await client.get(path, headers=HOST)
        await client.post("/v1/models", headers=HOST)
        await client.get("/health", headers={"host": "evil.example"})
        seen = samples(server_state)
    total = "trio_stt_http_requests_total"
    assert {name: value for name, value in seen.items() if name[0] == total} == {
        (total, "/health", "GET", "200"): 3,
        (total, "/health", "GET", "421"): 1,
        (total, "/v1/models/{model_id}", "GET", "200"): 1,
        (total, "/v1/models/{model_id}", "GET", "404"): 1,
        (total, "/v1/models", "POST", "405"): 1,
        (total, "other", "GET", "404"): 1,
    }
    duration = "trio_stt_http_request_duration_seconds"
    assert seen[f"{duration}_count", "/health"] == seen[f"{duration}_bucket", "/health", "+Inf"] == 4
    assert 0 < seen[f"{duration}_sum", "/health"] < 60
    assert not any(name.endswith("_created") for name, *_ in seen)


async def test_unknown_paths_and_methods_add_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    async with app_client(monkeypatch) as (client, server_state):
        await client.open("/first", method="FIRST", headers=HOST)
        await client.get("/first", headers=HOST)
        await client.get("/web/first", headers=HOST)
        before = samples(server_state)
        for number in range(50):
            name = f"{number:x}"
            await client.open(f"/{name}", method=f"M{name}", headers=HOST)
            await client.get(f"/v9/{name}/é?{name}=1", headers=HOST)
            await client.get(f"/web/{name}", headers=HOST)
        after = samples(server_state)
    assert after.keys() == before.keys()
    assert sum(value for name, value in after.items() if name[0].endswith("requests_total")) == 153


async def test_each_route_has_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    app = build_app(composed(monkeypatch, FakeEngine()))
    traffic = HttpTraffic()

    async def silent(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        await trio.lowlevel.checkpoint()

    async def unused(*_: object) -> None:
        raise AssertionError

    middleware = RequestMetrics(silent, app, traffic)
    templates = http_templates(app)
    for template in templates:
        path = re.sub(r"\{\w+\}", "a", template)
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "/stt", "headers": [], "query_string": b""}
        await middleware(cast("HTTPScope", scope), unused, unused)
        await middleware(cast("HTTPScope", {**scope, "path": f"/stt{path}"}), unused, unused)
    requests = next(iter(traffic.metrics()))
    counted = {sample.labels["route"]: (sample.value, sample.labels["status"]) for sample in requests.samples}
    # Below the root, the page has its slash; a request without an answer has no status.
    assert counted == dict.fromkeys(templates, (2, "none"))


async def test_each_answer_has_an_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        key = f"Bearer {server.talk}"
        answers = [await ask(server, f"GET {path}", Authorization=key) for path in ("/health", "/v1/none", "/metrics")]
        answers.append(await ask(server, "GET /v1/models"))
    assert [status for status, *_ in answers] == [200, 404, 403, 401]
    ids = {UUID(headers["x-request-id"]) for _, headers, _ in answers}
    assert (len(ids), {(each.version, each.variant) for each in ids}) == (4, {(4, RFC_4122)})
