"""OpenAI's own Python client, unmodified, against real servers."""

import errno
import io
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import soundfile
import trio

from tests.api.conftest import ClientServer
from tests.contract.fixtures import composed
from tests.lanes.fakes import FakeEngine
from tests.support.in_process import serving
from tests.support.keyed_server import rig
from tests.support.real import moonshine_asset
from tests.support.sound_files import encode, sweep
from tests.support.wer import word_error_rate
from trio_stt.api import upload, upload_body


@pytest.fixture
def client(client_server: ClientServer) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{client_server.running.port}/v1"
    with closing(openai.OpenAI(base_url=url, api_key="none", max_retries=0)) as client:
        yield client


class TestRealWords:
    def test_json_has_the_words(self, client: openai.OpenAI, sentence: tuple[Path, str]) -> None:
        path, words = sentence
        with path.open("rb") as file:
            answer = client.audio.transcriptions.create(file=file, model="whisper-1", language="en-US")
        assert word_error_rate(words, answer.text) < 0.2
        assert answer.usage is not None
        assert answer.usage.type == "duration"

    def test_stream_gives_the_same_text_as_one_answer(self, client: openai.OpenAI) -> None:
        path = moonshine_asset("two_cities.wav")
        with path.open("rb") as file:
            events = list(
                client.audio.transcriptions.create(
                    file=file, model="gpt-4o-transcribe", stream=True, extra_body={"response_format": "verbose_json"}
                )
            )
        with path.open("rb") as file:
            text = client.audio.transcriptions.create(file=file, model="whisper-1", response_format="text")
        deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
        done = events[-1]
        assert done.type == "transcript.text.done"
        assert len(deltas) > 1
        assert "".join(deltas) == done.text == text.strip()
        # With verbose_json, each delta has its times, and the length of the file.
        times = [event.model_extra or {} for event in events[:-1]]
        bounds = [at for each in times for at in (each["start"], each["end"])]
        assert bounds == sorted(bounds)
        assert bounds[-1] <= times[0]["duration"]

    def test_verbose_json_has_words_and_segments(self, client: openai.OpenAI, sentence: tuple[Path, str]) -> None:
        answer = client.audio.transcriptions.create(
            file=("blob", sentence[0].read_bytes()),
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert answer.words
        assert answer.segments
        assert " ".join(word.word for word in answer.words) == answer.text
        assert 0.0 <= answer.words[0].start < answer.words[-1].end <= float(answer.duration)

    @pytest.mark.parametrize(("response_format", "start"), [("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n\n")])
    def test_subtitles(
        self, client: openai.OpenAI, sentence: tuple[Path, str], response_format: str, start: str
    ) -> None:
        answer = client.audio.transcriptions.create(
            file=sentence[0],
            model="whisper-1",
            response_format=response_format,  # type: ignore[call-overload] # one of its literals
        )
        assert answer.startswith(start)
        assert " --> " in answer

    @pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.mp3", "libmp3lame")])
    def test_sound_without_speech_has_no_text(
        self, client: openai.OpenAI, tmp_path: Path, name: str, codec: str
    ) -> None:
        path = encode(tmp_path / name, sweep(1.0, 48_000), codec=codec, rate_hz=48_000)
        assert client.audio.transcriptions.create(file=path, model="whisper-1").text == ""

    def test_models(self, client: openai.OpenAI) -> None:
        first, *others = [model.id for model in client.models.list()]
        assert others == ["whisper-1"]
        assert client.models.retrieve(first).id == first
        assert client.models.retrieve("gpt-4o-transcribe").id == "gpt-4o-transcribe"
        with pytest.raises(openai.NotFoundError, match="is not loaded"):
            client.models.retrieve("a/b")


class TestErrors:
    def test_file_that_is_no_sound(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(file=("a.wav", b"no sound"), model="whisper-1")
        assert caught.value.param == "file"
        assert "not a readable sound file" in caught.value.message

    def test_other_language(self, client: openai.OpenAI, sentence: tuple[Path, str]) -> None:
        with pytest.raises(openai.BadRequestError, match="language: the model ") as caught:
            client.audio.transcriptions.create(file=sentence[0], model="whisper-1", language="de")
        assert (caught.value.param, caught.value.code) == ("language", "unsupported_value")

    @pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # by OpenAI, which gives the route up
    def test_translation_without_an_engine_that_translates(
        self, client: openai.OpenAI, sentence: tuple[Path, str]
    ) -> None:
        with pytest.raises(openai.BadRequestError, match="does not translate") as caught:
            client.audio.translations.create(file=sentence[0], model="whisper-1")
        assert (caught.value.param, caught.value.code) == ("model", "unsupported_value")

    def test_body_above_the_limit(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.APIStatusError, match="max_upload_bytes") as caught:
            client.audio.transcriptions.create(file=("a.wav", bytes(27_000_000)), model="whisper-1")
        assert caught.value.status_code == 413


def noise(seconds: float) -> bytes:
    """Loud noise as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(1).uniform(-0.5, 0.5, round(seconds * 16_000)), 16_000, format="WAV")
    return file.getvalue()


def async_client(port: int, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)


async def test_full_server_asks_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine(), max_sessions=1)
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        await server_state.lanes.wait_loaded()
        taken = server_state.reserve()
        with pytest.raises(openai.RateLimitError) as caught:
            await client.audio.transcriptions.create(file=("a.wav", noise(0.5)), model="whisper-1")
        assert caught.value.response.headers["retry-after"] == "1"
        server_state.leave(taken)
        await client.audio.transcriptions.create(file=("a.wav", noise(0.5)), model="whisper-1")


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_disconnects_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    caplog.set_level(logging.INFO, "trio_stt")
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        await server_state.lanes.wait_loaded()
        for delay_s in (0.01, 0.05, 0.2):
            with trio.move_on_after(delay_s):
                await client.audio.transcriptions.create(file=("a.wav", noise(20.0)), model="whisper-1", stream=stream)
        await client.audio.transcriptions.create(file=("a.wav", noise(0.5)), model="whisper-1")
        with trio.fail_after(10):
            while server_state.registry.active_sessions or server_state.registry.reserved:  # noqa: ASYNC110 - of other tasks
                await trio.sleep(0.01)
    assert "session ended: the session is over" in caplog.text
    assert "session ended: the server shuts down" not in caplog.text


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_that_stops_is_refused_and_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr(upload_body, "_STRETCH_S", 0.1)
    monkeypatch.setattr(upload, "_MAX_DISCARD_S", 0.1)
    server_state = composed(monkeypatch, FakeEngine(), max_sessions=1)
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000"
    request = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n{length}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n5\r\n--b\r\n\r\n"
    )
    async with serving(monkeypatch, server_state) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await server_state.lanes.wait_loaded()
        await stream.send_all(request.encode())
        with trio.fail_after(10):
            answer = await stream.receive_some()
        assert b" 408 " in answer
        assert b"x-should-retry: false" in answer
        assert server_state.registry.reserved == 0


async def test_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            """Half of it, then nothing."""
            if self.tell():
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[: len(data) // 2])

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FullDisk(os.memfd_create("disk"), "r+"))
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        await server_state.lanes.wait_loaded()
        with pytest.raises(openai.InternalServerError, match="No space left on device") as caught:
            await client.audio.transcriptions.create(file=("a.wav", noise(0.5)), model="whisper-1")
    assert caught.value.status_code == 507
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_text_is_not_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trio_stt")
    server_state = composed(monkeypatch, FakeEngine())
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        await server_state.lanes.wait_loaded()
        answer = await client.audio.transcriptions.create(
            file=("secret.wav", moonshine_asset("beckett.wav").read_bytes()),
            model="whisper-1",
            prompt="a private prompt",
        )
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert answer.text
    assert not any(private in logged for private in (answer.text, "secret", "private"))


async def test_keys_and_unknown_routes_have_errors_of_the_same_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with rig(monkeypatch, tmp_path) as server:
        async with async_client(server.port) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.models.list()
        assert caught.value.type == "authentication_error"
        async with async_client(server.port, server.talk) as client:
            assert [model.id async for model in await client.models.list()][-1] == "whisper-1"
            with pytest.raises(openai.NotFoundError) as missing:
                await client.files.list()
        assert missing.value.type == "invalid_request_error"


async def test_dialect_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state = composed(monkeypatch, FakeEngine(), openai_api=False)
    async with serving(monkeypatch, server_state) as port, async_client(port) as client:
        with pytest.raises(openai.NotFoundError):
            await client.models.list()
