"""The engine `openai_api` against a server that answers, stalls, resets, or sends invalid answers."""

import threading
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from tests.engines.conftest import batch_of
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken
from tests.support.transcription_server import ROUTE, Exchange, TranscriptionServer, transcription_server
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines.base import EngineConfig, Hints, TimedText
from trio_stt.lanes.engines.remote.openai_api import ENGINE, OpenAiApi, load
from trio_stt.lanes.engines.remote.openai_client import MAX_ANSWER_BYTES

KEY = "sk-only-a-test"
ONE = spoken(ONE_HZ)


@pytest.fixture
def server() -> Iterator[TranscriptionServer]:
    with transcription_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def load_with(
    server: TranscriptionServer, *, language: str | None = "en", model: str = "", **options: object
) -> OpenAiApi:
    options = {"base_url": server.base_url, **options}
    return load(EngineConfig(engine=ENGINE, language=language, model=model, options=options))


def transcribed(engine: OpenAiApi, **hints: str) -> str:
    try:
        return engine.transcribe(batch_of(ONE, hints=Hints(**hints)))[0].text  # type: ignore[arg-type]  # only a prompt is given
    finally:
        engine.close()


def test_request_is_like_that_of_openais_clients(server: TranscriptionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    engine = load_with(server, language="de", model="big-model", temperature=0.2)
    assert KEY not in repr(engine.info)
    assert transcribed(engine, prompt="Names: Ada") == "one"
    (request,) = server.requests
    assert request.path == ROUTE
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.form == {
        "model": ["big-model"],
        "response_format": ["json"],
        "language": ["de"],
        "temperature": ["0.2"],
        "prompt": ["Names: Ada"],
    }


def test_audio_arrives_unchanged(server: TranscriptionServer) -> None:
    clip = np.linspace(-1.5, 1.5, 8_000, dtype=np.float32)
    engine = load_with(server)
    engine.transcribe(batch_of(clip))
    engine.close()
    assert np.allclose(server.requests[0].samples, np.clip(clip, -1, 1), atol=1 / 32_767)


def test_missing_key_and_language_are_not_sent(server: TranscriptionServer) -> None:
    assert transcribed(load_with(server, language=None)) == "one"
    assert "Authorization" not in server.requests[0].headers
    assert set(server.requests[0].form) == {"model", "response_format"}


def test_request_chooses_its_language_and_prompt(server: TranscriptionServer) -> None:
    engine = load_with(server, language="en")
    for hints in (Hints(language="de", prompt="Ada"), Hints(language="auto"), Hints()):
        engine.transcribe(batch_of(ONE, hints=hints))
    engine.close()
    forms = [(request.form.get("language"), request.form.get("prompt")) for request in server.requests]
    assert forms == [(["de"], ["Ada"]), (None, None), (["en"], None)]


def test_environment_names_server_and_key(server: TranscriptionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url.removesuffix("/v1"))
    monkeypatch.setenv("MY_KEY", KEY)
    assert transcribed(load(EngineConfig(engine=ENGINE, options={"api_key_env": "MY_KEY"}))) == "one"
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_clips_of_a_batch_are_sent_at_once_and_stay_in_order(server: TranscriptionServer) -> None:
    together = threading.Barrier(3)

    def meet(exchange: Exchange) -> None:
        together.wait(20)  # broken if the requests came one after the other
        exchange.transcribe()

    server.behaviours = [meet, meet, meet]
    engine = load_with(server, max_batch=3)
    assert engine.info.max_batch == 3
    clips = [spoken(TWO_HZ), ONE, spoken(THREE_HZ, END_HZ)]
    assert [transcript.text for transcript in engine.transcribe(batch_of(*clips))] == ["two", "one", "three"]
    engine.close()


def test_verbose_answer_gives_words_and_segments(server: TranscriptionServer) -> None:
    verbose = {
        "text": " one two ",
        "language": "english",
        "duration": 1.0,
        "segments": [{"id": 0, "start": 0.3, "end": 99.0, "text": " one two", "tokens": [1, 2]}],
    }
    words = [
        {"word": "one", "start": 0.3, "end": 0.5},
        {"word": "two", "start": -1, "end": 0.2},
        {"start": 0, "end": 0},
    ]
    server.behaviours = [
        lambda exchange: exchange.answer(verbose),
        lambda exchange: exchange.answer(verbose | {"language": "de", "words": words}),
    ]
    engine = load_with(server, response_format="verbose_json", word_timestamps=True)
    (first,) = engine.transcribe(batch_of(ONE))
    (second,) = engine.transcribe(batch_of(ONE))
    engine.close()
    assert server.requests[0].form["timestamp_granularities[]"] == ["word"]
    assert (first.text, first.language) == ("one two", "en")
    assert first.segments == (TimedText(text="one two", start_s=0.3, end_s=0.96),)
    assert second.language == "de"
    assert second.segments == (
        TimedText(text="one", start_s=0.3, end_s=0.5),
        TimedText(text="two", start_s=0.0, end_s=0.2),
    )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_temporary_error_is_retried(server: TranscriptionServer, status: int) -> None:
    server.behaviours = [lambda exchange: exchange.answer({}, status=status, Retry_After="0")] * 2
    assert transcribed(load_with(server)) == "one"
    assert len(server.requests) == 3


def test_broken_connection_is_retried(server: TranscriptionServer) -> None:
    server.behaviours = [Exchange.reset]
    assert transcribed(load_with(server)) == "one"
    assert len(server.requests) == 2


def test_retries_are_limited(server: TranscriptionServer) -> None:
    server.behaviours = [lambda exchange: exchange.answer(b"too\nbusy", status=429, Retry_After="0")] * 9
    with pytest.raises(TranscriptionFailed, match=rf"{server.base_url}/audio/transcriptions: status 429: too busy$"):
        transcribed(load_with(server, retries=3))
    assert len(server.requests) == 4


def test_retry_after_counts_towards_the_deadline(server: TranscriptionServer) -> None:
    server.behaviours = [lambda exchange: exchange.answer({}, status=503, Retry_After="3600")]
    with pytest.raises(TranscriptionFailed, match=r"no transcript within 0\.5 s: status 503"):
        transcribed(load_with(server, deadline_s=0.5))
    assert len(server.requests) == 1


@pytest.mark.parametrize("retries", [0, 2])
def test_stalled_server_ends_at_the_deadline(server: TranscriptionServer, retries: int) -> None:
    server.behaviours = [Exchange.stall] * 3
    with pytest.raises(TranscriptionFailed, match=r"no transcript within 0\.3 s"):
        transcribed(load_with(server, deadline_s="0.3", retries=retries))
    assert len(server.requests) == 1


def test_slow_answer_ends_at_the_deadline(server: TranscriptionServer) -> None:
    server.behaviours = [lambda exchange: exchange.drip(b" " * 100_000)]
    with pytest.raises(TranscriptionFailed, match=r"no transcript within 0\.4 s"):
        transcribed(load_with(server, deadline_s=0.4))


def test_connection_refused() -> None:
    with transcription_server() as server:
        gone = server
    with pytest.raises(TranscriptionFailed, match="ConnectError"):
        transcribed(load_with(gone, retries=0))


def test_huge_answer_is_refused(server: TranscriptionServer) -> None:
    server.behaviours = [lambda exchange: exchange.answer({"text": "a" * (2 * MAX_ANSWER_BYTES)})]
    with pytest.raises(TranscriptionFailed, match=f"longer than {MAX_ANSWER_BYTES} bytes"):
        transcribed(load_with(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b'{"text": ',
        b'{"text": 5}',
        b'{"txt": "x"}',
        b"[]",
        b'{"text": "\xff\xfe"}',
        b'{"x":' + b"[" * 100_000,
        b'{"text": "x", "segments": [{"start": "soon"}]}',
    ],
)
def test_invalid_answer_is_refused(server: TranscriptionServer, body: bytes) -> None:
    server.behaviours = [lambda exchange: exchange.answer(body)]
    with pytest.raises(TranscriptionFailed, match="the answer is not a transcript") as raised:
        transcribed(load_with(server))
    assert "\n" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_rejected_key_or_route_makes_the_engine_unavailable(
    server: TranscriptionServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.behaviours = [lambda exchange: exchange.answer({"error": "no"}, status=status)]
    with pytest.raises(EngineUnavailable, match=f"status {status}") as raised:
        transcribed(load_with(server))
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("status", [301, 307, 400, 413])
def test_other_errors_fail_the_clip_and_redirects_are_not_followed(server: TranscriptionServer, status: int) -> None:
    server.behaviours = [lambda exchange: exchange.answer({}, status=status, Location="/elsewhere")]
    with pytest.raises(TranscriptionFailed, match=f"status {status}"):
        transcribed(load_with(server))
    assert len(server.requests) == 1


def test_bad_clip_fails_its_batch_only(server: TranscriptionServer) -> None:
    server.behaviours = [lambda exchange: exchange.answer({}, status=400)]
    engine = load_with(server)
    with pytest.raises(TranscriptionFailed, match="status 400"):
        engine.transcribe(batch_of(ONE, ONE))
    assert engine.transcribe(batch_of(ONE))[0].text == "one"
    engine.close()


@pytest.mark.parametrize(
    ("options", "expected_message"),
    [
        ({"api_key": "x"}, "api_key must not be there: give the key in the environment, as OPENAI_API_KEY"),
        ({"base_url": "localhost:8000"}, "base_url must be like https://host/v1"),
        ({"base_url": "ftp://host/v1"}, "base_url must be like"),
        ({"base_url": "http://me:secret@host/v1"}, "base_url must hold no password"),
        ({"base_url": "http://[half/v1"}, "base_url is not an address"),
        ({"base_url": "http://host:99999/v1"}, "base_url is not an address"),
        ({"response_format": "text"}, "response_format must be 'json' or 'verbose_json'"),
        ({"word_timestamps": True}, "word_timestamps needs"),
        ({"temperature": 2}, "temperature must be a number from 0 to 1"),
        ({"deadline_s": 0}, "deadline_s must be a number from 0.1 to 600"),
        ({"retries": -1}, "retries must be a whole number from 0 to 10"),
        ({"max_batch": 0}, "max_batch must be a whole number"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, object], expected_message: str) -> None:
    with pytest.raises(SettingError, match=expected_message) as raised:
        load(EngineConfig(engine=ENGINE, options={"base_url": "http://host/v1", **options}))
    assert "secret" not in str(raised.value)


def test_key_with_control_characters_is_refused(server: TranscriptionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\x01")
    with pytest.raises(SettingError, match="OPENAI_API_KEY holds characters"):
        load_with(server)


@pytest.mark.parametrize("options", [{}, {"api_key_env": "MY_KEY", "base_url": "http://host/v1"}])
def test_missing_key_is_named(options: dict[str, object]) -> None:
    with pytest.raises(EngineUnavailable, match=f"no {options.get('api_key_env', 'OPENAI_API_KEY')}; set it"):
        load(EngineConfig(engine=ENGINE, options=options))
