"""`/openapi.json`: what it says of the routes, and that their answers are what it says."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.whisper.test_asr import SEGMENTS
from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.keyed_server import ask, rig
from tests.support.server import running_server
from tests.support.voice_agents import python_output
from trio_stt.api.deepgram.answers import file_answer
from trio_stt.api.deepgram.messages import ModelInfo, ResultMetadata
from trio_stt.api.deepgram.options import ListenOptions, parse_options
from trio_stt.api.openai.answers import body
from trio_stt.api.openai.transcription_request import (
    ResponseFormat,
    TranscriptionRequest,
    parse_request,
)
from trio_stt.api.openapi.declarations import OPERATIONS
from trio_stt.api.openapi.document import openapi_json
from trio_stt.api.openapi.requests import AsrQuery, InferenceForm, ListenQuery, TranscriptionForm, TranslationForm
from trio_stt.api.openapi.route import served_methods
from trio_stt.api.web_app import build_app
from trio_stt.api.whisper.asr_answers import asr_body
from trio_stt.api.whisper.asr_request import AsrRequest, Output, parse_asr_request, parse_inference_request
from trio_stt.protocol.http_errors import error_json, error_type

PAGE = {("GET", "/"), ("GET", "/captions"), ("GET", "/web/{name}")}
DIALECT_TAGS = {"OpenAI", "OpenAI Realtime", "Deepgram", "whisper.cpp", "whisper-asr-webservice"}
REPORTS = ["/health", "/livez", "/readyz", "/api/config", "/api/metrics", "/api/history", "/v1/models"]


def document(*, has_keys: bool = False) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(openapi_json(OPERATIONS, has_keys=has_keys))
    return decoded


def check(whole: Mapping[str, Any], schema: Mapping[str, Any], value: object) -> None:
    Draft202012Validator({**schema, "components": whole["components"]}).validate(value)


def schema_of(whole: Mapping[str, Any], path: str, method: str, status: str = "200") -> dict[str, Any]:
    schema: dict[str, Any] = whole["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    return schema


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
    whole = document()
    for method in whole["paths"][path]:
        check(whole, schema_of(whole, path, method, "default"), json.loads(text))
    assert msgspec.json.encode(msgspec.json.decode(text, type=error_type(path))) == text


def test_transcripts_have_the_form_that_is_described() -> None:
    whole = document()
    wanted = TranscriptionRequest(with_words=True, with_logprobs=True)
    verbose = msgspec.structs.replace(wanted, response_format=ResponseFormat.VERBOSE_JSON)
    listen = ListenOptions(utterances=True, paragraphs=True, detect_language=True)
    metadata = ResultMetadata(request_id="r", model_uuid="u", model_info=ModelInfo(name="n", version="v", arch="a"))
    answers = {
        "Transcription": body(wanted, SEGMENTS, duration_s=4.0, language="english")[0],
        "VerboseTranscription": body(verbose, SEGMENTS, duration_s=4.0, language="english")[0],
        "AsrTranscript": asr_body(
            AsrRequest(transcription=wanted, output=Output.JSON, with_words=True), SEGMENTS, language="en"
        ),
        "FileAnswer": file_answer(
            listen, SEGMENTS, metadata=metadata, created="c", sha256="s", duration_s=4.0, language="en"
        ),
    }
    for name, text in answers.items():
        check(whole, whole["components"]["schemas"][name], json.loads(text))


async def test_reports_have_the_form_that_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        status, headers, whole = await ask(server, "GET /openapi.json")  # without a key
        assert (status, headers["content-type"]) == (200, "application/json")
        key = f"Bearer {server.admin}"
        for path in REPORTS:
            status, _, answer = await ask(server, f"GET {path}", Authorization=key)
            check(whole, schema_of(whole, path, "get"), answer)
            assert status == 200
        for path in ("/v1/realtime/client_secrets", "/v1/realtime/transcription_sessions"):
            status, _, answer = await ask(server, f"POST {path}", Authorization=key)
            check(whole, schema_of(whole, path, "post"), answer)
            assert status == 200
        _, _, answer = await ask(server, "PATCH /api/config", Authorization=key)
        check(whole, schema_of(whole, "/api/config", "patch"), answer)


@pytest.mark.long
async def test_no_request_that_is_made_from_it_fails_the_server(tmp_path: Path) -> None:
    """Schemathesis sends valid and invalid requests to each route, and checks each answer against the document."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    options = [f"--checks={checks}", "--phases=coverage,fuzzing", "--max-examples=20", "--seed=1"]
    program = tmp_path / "environment" / "bin" / "schemathesis"
    async with running_server(["-m", "trio_stt", "serve", "--port", "{port}"]) as server:
        address = f"http://127.0.0.1:{server.port}/openapi.json"
        run = partial(python_output, tmp_path, ["schemathesis==4.32.5"], program, "run", address, *options)
        report = await trio.to_thread.run_sync(run)
        assert f"Tested: {len(OPERATIONS) - 1}\n" in report  # it leaves out the document itself
        assert "Traceback" not in server.output
        assert server.process.poll() is None


class _Reads(dict[str, list[str]]):
    """An empty form that notes which fields are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> Any:
        self.names.add(name)
        return default


@pytest.mark.parametrize(
    ("declared", "parse"),
    [
        (TranscriptionForm, parse_request),
        (AsrQuery, parse_asr_request),
        # The parsers of these pass the fields on to that of transcriptions.
        (TranslationForm, parse_request),
        (InferenceForm, lambda fields: (parse_inference_request(fields), parse_request(fields))),
        (ListenQuery, lambda fields: parse_options(fields, live=False)),
    ],
)
def test_declared_fields_are_those_that_parsers_read(declared: type, parse: Callable[[Any], object]) -> None:
    fields = _Reads()
    parse(fields)
    assert {field.encode_name for field in msgspec.structs.fields(declared)} - {"file"} <= fields.names
