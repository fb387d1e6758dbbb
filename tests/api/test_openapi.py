"""`/openapi.json`: what it says of the routes, and that their answers are what it says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.keyed_server import ask, rig
from trio_stt.api.openapi.declarations import OPERATIONS
from trio_stt.api.openapi.document import openapi_json
from trio_stt.api.openapi.route import served_methods
from trio_stt.api.web_app import build_app
from trio_stt.protocol.openai_errors import error_json, error_type

PAGE = {("GET", "/"), ("GET", "/captions"), ("GET", "/web/{name}")}
DIALECT_TAGS = {"OpenAI", "OpenAI Realtime", "Deepgram", "whisper.cpp", "whisper-asr-webservice"}
REPORTS = ["/health", "/livez", "/readyz", "/api/config", "/api/metrics", "/api/history", "/v1/models"]


def document(*, has_keys: bool = False) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(openapi_json(OPERATIONS, has_keys=has_keys))
    return decoded


def check(whole: Mapping[str, Any], schema: Mapping[str, Any], value: object) -> None:
    Draft202012Validator({**schema, "components": whole["components"]}).validate(value)


def tags(whole: Mapping[str, Any]) -> set[str]:
    return {tag for methods in whole["paths"].values() for each in methods.values() for tag in each["tags"]}


async def test_every_route_but_those_of_the_page_is_declared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = build_app(composed(monkeypatch, FakeEngine()))
    upgrades = {("GET", rule.rule) for rule in app.url_map.iter_rules() if rule.websocket}  # answered with 426
    declared = [(each.method, each.path) for each in OPERATIONS]
    assert sorted(declared) == sorted(served_methods(app) - PAGE - upgrades)


@pytest.mark.parametrize("has_keys", [True, False])
def test_document_is_valid(has_keys: bool) -> None:
    OpenAPIV31SpecValidator(document(has_keys=has_keys)).validate()


def test_schemas_have_plain_names() -> None:
    names = document()["components"]["schemas"]
    assert [
        name for name in names if not name.isalnum()
    ] == []  # msgspec writes the module where two types share a name


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        ({"openai_api": False}, {"OpenAI", "whisper.cpp", "whisper-asr-webservice"}),
        ({"dialects": "vosk,openai-realtime"}, {"Deepgram"}),
        ({"dialects": "deepgram"}, {"OpenAI Realtime"}),
    ],
)
async def test_what_is_switched_off_is_absent(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], absent: set[str]
) -> None:
    app = build_app(composed(monkeypatch, FakeEngine(), **settings))
    async with app.test_app():
        answer = await app.test_client().get("/openapi.json", headers={"host": "localhost"})
        whole = await answer.get_json()
    assert DIALECT_TAGS - tags(whole) == absent


def test_each_route_names_the_scope_of_its_key() -> None:
    paths = document(has_keys=True)["paths"]
    assert paths["/health"]["get"]["security"] == []
    assert paths["/openapi.json"]["get"]["security"] == []
    assert paths["/api/config"]["get"]["security"] == [{"key": ["talk"]}]
    assert paths["/api/config"]["patch"]["security"] == [{"key": ["admin"]}]
    assert paths["/v1/listen"]["post"]["security"] == [{"key": ["talk"]}]


def test_without_keys_none_is_mentioned() -> None:
    assert "securitySchemes" not in document()["components"]
    assert "security" not in document()["paths"]["/metrics"]["get"]


@pytest.mark.parametrize("path", sorted({each.path for each in OPERATIONS}))
def test_errors_have_the_form_that_is_described(path: str) -> None:
    text = error_json(path, 400, "why")
    check(
        document(),
        document()["paths"][path].popitem()[1]["responses"]["default"]["content"]["application/json"]["schema"],
        json.loads(text),
    )
    assert msgspec.json.encode(msgspec.json.decode(text, type=error_type(path))) == text


async def test_reports_have_the_form_that_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        status, headers, whole = await ask(server, "GET /openapi.json")  # without a key
        assert (status, headers["content-type"]) == (200, "application/json")
        key = f"Bearer {server.admin}"
        for path in REPORTS:
            status, _, body = await ask(server, f"GET {path}", Authorization=key)
            check(whole, whole["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"], body)
            assert status == 200
        status, _, body = await ask(server, "PATCH /api/config", Authorization=key)
        check(
            whole,
            whole["paths"]["/api/config"]["patch"]["responses"]["200"]["content"]["application/json"]["schema"],
            body,
        )
