"""What OpenAI's routes answer to unusual requests, and when the engine fails or takes long."""

import threading
from typing import Any

import httpx2
import openai
import pytest

from tests.api.openai.test_openai_clients import async_client
from tests.contract.fixtures import composed
from tests.lanes.fakes import Batch, FakeEngine, lengths
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from trio_stt.api.openai import route
from trio_stt.lanes.engines.base import Transcript


async def test_engine_that_fails_is_an_error_of_both_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Batch) -> None:
        raise RuntimeError("out of memory")

    sound = moonshine_asset("beckett.wav").read_bytes()
    server_state = composed(monkeypatch, FakeEngine(fail))
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        await server_state.lanes.wait_loaded()
        with pytest.raises(openai.InternalServerError) as whole:
            await client.audio.transcriptions.create(file=("a.wav", sound), model="whisper-1")
        stream = await client.audio.transcriptions.create(file=("a.wav", sound), model="whisper-1", stream=True)
        with pytest.raises(openai.APIError) as streamed:
            assert [event async for event in stream] == []
    assert whole.value.response.headers["x-should-retry"] == "false"
    assert f"request {whole.value.request_id}: answered with 500: " in caplog.text
    assert whole.value.type == streamed.value.type == "server_error"
    assert whole.value.message.endswith(streamed.value.message)


async def test_stream_without_words_has_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "_COMMENT_INTERVAL_S", 0.001)
    commented = threading.Event()
    commented.set()  # the engine is tried once when it is loaded

    def wait(batch: Batch) -> list[Transcript]:
        commented.wait(10)
        return lengths(batch)

    server_state = composed(monkeypatch, FakeEngine(wait))
    async with (
        serving(monkeypatch, server_state) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        await server_state.lanes.wait_loaded()
        commented.clear()
        files = {"file": moonshine_asset("beckett.wav").read_bytes()}
        request = client.stream("POST", "/v1/audio/transcriptions", data={"stream": "true"}, files=files)
        lines = []
        async with request as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                commented.set()
    assert lines[0] == ": "
    assert [line for line in lines if line not in {": ", ""}][-1].startswith('data: {"type":"transcript.text.done"')


UNUSUAL_REQUESTS: list[tuple[str, dict[str, Any], int, str]] = [
    (
        "/v1/audio/transcriptions",
        {"headers": {"content-encoding": "gzip"}, "files": {"file": b"a"}},
        415,
        "the content encoding 'gzip'",
    ),
    ("/v1/audio/transcriptions", {"json": {"model": "whisper-1"}}, 400, "multipart/form-data with a field `file`"),
    ("/v1/audio/transcriptions", {"files": [("file", b"a"), ("file", b"b")]}, 400, "file: sent more than once"),
    ("/v1/models", {}, 405, "POST is not allowed here; allowed: GET, HEAD, OPTIONS"),
    ("/v1/audio/transcriptions/", {}, 404, "there is nothing at /v1/audio/transcriptions/; /openapi.json lists"),
]


async def test_unusual_requests_have_clear_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine())
    async with (
        serving(monkeypatch, server_state) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        await server_state.lanes.wait_loaded()
        for path, sent, status, message in UNUSUAL_REQUESTS:
            answer = await client.post(path, **sent)
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (status, "invalid_request_error"), path
            assert message in error["message"]
        answer = await client.post("/audio/transcriptions")
        assert "the base URL of OpenAI's clients ends with /v1" in answer.json()["detail"]
