"""Deepgram's own Python client, unmodified, against a real server; and handshakes and disconnects it cannot make."""

import io
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import trio
from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.api.conftest import ClientServer
from tests.support.client import native_words
from tests.support.keyed_server import Rig, ask, rig
from tests.support.raw_socket import BINARY, TEXT, frame, raw_client
from tests.support.sound_files import encode
from tests.support.wer import word_error_rate

pytestmark = pytest.mark.filterwarnings(r"ignore:websockets\.:DeprecationWarning")  # the client uses an old name of it

PATH = "/v1/listen"
SPEECH_PATH = f"{PATH}?encoding=linear16&sample_rate=16000"
CLOSE_STREAM = b'{"type":"CloseStream"}'


@pytest.fixture
def client(client_server: ClientServer) -> Iterator[DeepgramClient]:
    http, ws = (f"{scheme}://127.0.0.1:{client_server.running.port}" for scheme in ("http", "ws"))
    environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    made = DeepgramClient(api_key="none", environment=environment)
    with closing(made._client_wrapper.httpx_client.httpx_client):
        yield made


def samples_of(path: Path) -> tuple[NDArray[np.float32], int]:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return samples, rate_hz


def pcm_of(path: Path) -> tuple[bytes, int]:
    samples, rate_hz = samples_of(path)
    return (samples * 32767).astype("<i2").tobytes(), rate_hz


def conversation(
    client: DeepgramClient, parts: list[bytes], *, finalize: bool = False, **options: Any
) -> list[dict[str, Any]]:
    """Everything that the server says while it is sent these frames."""
    with client.listen.v1.connect(model="nova-3", **options) as socket:

        def talk() -> None:
            with suppress(ConnectionClosedError):
                socket.send_keep_alive()
                for part in parts:
                    socket.send_media(part)
                if finalize:
                    socket.send_finalize()
                socket.send_close_stream()

        talking = threading.Thread(target=talk)
        talking.start()
        messages = []
        with suppress(ConnectionClosedError):
            for message in socket:
                messages.append(message.dict())  # noqa: PERF401 - those before an error count
        talking.join()
    return messages


def results(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == "Results"]


def text(messages: list[dict[str, Any]]) -> str:
    finals = [result for result in results(messages) if result["is_final"]]
    return " ".join(result["channel"]["alternatives"][0]["transcript"] for result in finals)


def split(data: bytes, size: int = 8000) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class TestLive:
    def test_conversation(self, client: DeepgramClient, sentence: tuple[Path, str]) -> None:
        pcm, rate_hz = pcm_of(sentence[0])
        messages = conversation(
            client,
            split(pcm + bytes(4 * rate_hz)),
            finalize=True,
            encoding="linear16",
            sample_rate=rate_hz,
            interim_results="true",
            vad_events="true",
            utterance_end_ms="1000",
            endpointing="300",
        )
        found = results(messages)
        finals = [result for result in found if result["is_final"]]
        assert word_error_rate(sentence[1], text(messages)) < 0.2
        assert [message["type"] for message in messages].count("SpeechStarted") >= 1
        assert [message["type"] for message in messages][-2:] in (["UtteranceEnd", "Metadata"], ["Results", "Metadata"])
        assert messages[-1]["duration"] == pytest.approx(len(pcm) / 2 / rate_hz + 2, abs=0.001)
        assert sum(result["from_finalize"] for result in found) == 1
        assert any(result["speech_final"] for result in finals)
        ends = [result["start"] + result["duration"] for result in found]
        assert ends == sorted(ends)
        words = [word for result in finals for word in result["channel"]["alternatives"][0]["words"]]
        assert " ".join(word["punctuated_word"] for word in words) == text(messages).strip()
        assert all(early["end"] <= late["start"] for early, late in pairwise(words))

    def test_words_are_those_of_the_native_protocol(
        self, client: DeepgramClient, client_server: ClientServer, sentence: tuple[Path, str]
    ) -> None:
        pcm, rate_hz = pcm_of(sentence[0])
        messages = conversation(client, split(pcm, 3333), encoding="linear16", sample_rate=rate_hz)
        assert text(messages) == native_words(client_server.running, np.frombuffer(pcm, "<i2"), rate_hz)

    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("a.webm", "libopus"),
            ("a.wav", "pcm_s16le"),
            pytest.param("a.ogg", "libopus", marks=pytest.mark.long),
            pytest.param("a.mp3", "libmp3lame", marks=pytest.mark.long),
            pytest.param("a.flac", "flac", marks=pytest.mark.long),
        ],
    )
    def test_containers_have_the_same_words(
        self, client: DeepgramClient, sentence: tuple[Path, str], tmp_path: Path, name: str, codec: str
    ) -> None:
        samples, rate_hz = samples_of(sentence[0])
        rate_hz, samples = (48_000, np.repeat(samples, 48_000 // rate_hz)) if codec == "libopus" else (rate_hz, samples)
        data = encode(tmp_path / name, samples, codec=codec, rate_hz=rate_hz).read_bytes()
        messages = conversation(client, split(data, 4000))
        assert word_error_rate(sentence[1], text(messages)) < 0.2
        assert messages[-1]["duration"] == pytest.approx(len(samples) / rate_hz, abs=0.1)

    def test_telephone_audio_has_the_words(
        self, client: DeepgramClient, sentence: tuple[Path, str], tmp_path: Path
    ) -> None:
        samples, rate_hz = samples_of(sentence[0])
        path = encode(tmp_path / "a.wav", samples, codec="pcm_mulaw", rate_hz=rate_hz)
        mulaw = path.read_bytes()[-len(samples) :]
        messages = conversation(client, split(mulaw), encoding="mulaw", sample_rate=rate_hz)
        assert word_error_rate(sentence[1], text(messages)) < 0.3

    def test_each_channel_has_its_own_results(self, client: DeepgramClient, sentence: tuple[Path, str]) -> None:
        mono, rate_hz = pcm_of(sentence[0])
        samples = np.frombuffer(mono, "<i2")
        pcm = np.stack([samples * 0, samples], axis=1).tobytes()
        messages = conversation(
            client, split(pcm), encoding="linear16", sample_rate=rate_hz, channels=2, multichannel=True, vad_events=True
        )
        spoken = [each for each in results(messages) if each["channel"]["alternatives"][0]["words"]]
        assert {tuple(each["channel_index"]) for each in spoken} == {(1, 2)}
        assert word_error_rate(sentence[1], text(spoken)) < 0.2
        assert {tuple(each["channel"]) for each in messages if each["type"] == "SpeechStarted"} == {(1, 2)}
        assert [each["type"] for each in messages].index("Metadata") == len(messages) - 1
        assert (messages[-1]["channels"], messages[-1]["sha256"]) == (2, sha256(pcm).hexdigest())
        assert messages[-1]["duration"] == pytest.approx(len(samples) / rate_hz, abs=0.01)

    def test_opus_packets_have_the_words(
        self, client: DeepgramClient, sentence: tuple[Path, str], tmp_path: Path
    ) -> None:
        samples, rate_hz = samples_of(sentence[0])
        path = encode(tmp_path / "a.ogg", np.repeat(samples, 48_000 // rate_hz), codec="libopus", rate_hz=48_000)
        with av.open(path) as container:
            packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
        messages = conversation(client, packets, encoding="opus", sample_rate=48_000)
        assert word_error_rate(sentence[1], text(messages)) < 0.2

    def test_bytes_that_are_no_sound_end_with_an_error(self, client: DeepgramClient) -> None:
        (error,) = conversation(client, [b"no sound " * 200])
        assert (error["type"], error["variant"]) == ("Error", "DATA-0000")

    def test_wrong_parameter_is_refused_in_the_handshake(self, client: DeepgramClient) -> None:
        with pytest.raises(InvalidStatus) as caught:
            conversation(client, [], encoding="speex", sample_rate=16_000)
        assert caught.value.response.status_code == 400
        assert caught.value.response.headers["dg-error"].startswith("encoding: 'speex' is not supported")


class TestFiles:
    def test_answer(self, client: DeepgramClient, sentence: tuple[Path, str]) -> None:
        answer = client.listen.v1.media.transcribe_file(
            request=sentence[0].read_bytes(), model="nova-3", utterances=True, paragraphs=True, detect_language=True
        )
        channel, alternative = answer.results.channels[0], answer.results.channels[0].alternatives[0]
        assert word_error_rate(sentence[1], alternative.transcript) < 0.2
        assert answer.metadata.duration == pytest.approx(soundfile.info(sentence[0]).duration, abs=0.001)
        assert " ".join(word.punctuated_word for word in alternative.words) == alternative.transcript
        assert channel.detected_language == "en"
        assert [each.transcript for each in answer.results.utterances] == [alternative.transcript]
        assert alternative.paragraphs.paragraphs[0].num_words == len(alternative.words)

    def test_raw_samples_are_described_by_the_query(self, client: DeepgramClient, sentence: tuple[Path, str]) -> None:
        pcm, rate_hz = pcm_of(sentence[0])
        for request in (pcm, sentence[0].read_bytes()):
            answer = client.listen.v1.media.transcribe_file(
                request=request,
                encoding="linear16",
                request_options={"additional_query_parameters": {"sample_rate": rate_hz}},
            )
            assert word_error_rate(sentence[1], answer.results.channels[0].alternatives[0].transcript) < 0.2

    def test_each_channel_has_its_own_transcript(self, client: DeepgramClient, sentence: tuple[Path, str]) -> None:
        samples, rate_hz = samples_of(sentence[0])
        file = io.BytesIO()
        late = np.concatenate([np.zeros(rate_hz, samples.dtype), samples[:-rate_hz]])
        soundfile.write(file, np.stack([late * 0, late, samples], axis=1), rate_hz, format="WAV")
        answer = client.listen.v1.media.transcribe_file(request=file.getvalue(), multichannel=True, utterances=True)
        silent, _, spoken = [channel.alternatives[0] for channel in answer.results.channels]
        assert (answer.metadata.channels, silent.transcript, silent.words) == (3, "", [])
        assert word_error_rate(sentence[1], spoken.transcript) < 0.2
        assert [each.channel for each in answer.results.utterances] == [2, 1]

    def test_errors(self, client: DeepgramClient) -> None:
        with pytest.raises(ApiError) as no_sound:
            client.listen.v1.media.transcribe_file(request=b"no sound")
        assert (no_sound.value.status_code, no_sound.value.body["err_code"]) == (400, "Bad Request")
        assert no_sound.value.headers["dg-request-id"] == no_sound.value.body["request_id"]
        with pytest.raises(ApiError) as by_url:
            client.listen.v1.media.transcribe_url(url="http://127.0.0.1/a.wav")
        assert by_url.value.status_code == 400
        assert "fetches no" in by_url.value.body["err_msg"]


async def head_of(server: Rig, path: str, **headers: str) -> str:
    async with raw_client(server.port) as client:
        await client.open(server.port, path, headers)
        return client.answer


class TestHandshake:
    async def test_keys_and_request_ids(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path) as server:
            refused = await head_of(server, SPEECH_PATH)
            assert refused.startswith("HTTP/1.1 401")
            assert "\r\ndg-request-id: " in refused
            assert "\r\ndg-error: a key is needed" in refused
            accepted = await head_of(server, SPEECH_PATH, Authorization=f"Token {server.talk}")
            assert accepted.startswith("HTTP/1.1 101")
            assert "\r\ndg-request-id: " in accepted
            browser = await head_of(server, SPEECH_PATH, **{"Sec-WebSocket-Protocol": f"token, {server.talk}"})
            assert browser.startswith("HTTP/1.1 101")
            assert "\r\nsec-websocket-protocol: token" in browser.lower()
            wrong = await head_of(server, f"{PATH}?encoding=amr-nb", Authorization=f"Token {server.talk}")
            assert wrong.startswith("HTTP/1.1 400")
            assert "\r\ndg-error: encoding: 'amr-nb' is not supported" in wrong
            status, headers, body = await ask(server, f"POST {PATH}")
            assert (status, body["err_code"], body["request_id"]) == (401, "INVALID_AUTH", headers["dg-request-id"])

    async def test_full_server_answers_503(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False, max_sessions=1) as server, raw_client(server.port) as first:
            await first.open(server.port, SPEECH_PATH)
            assert (await head_of(server, SPEECH_PATH)).startswith("HTTP/1.1 503")

    async def test_dialect_can_be_switched_off(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        async with rig(monkeypatch, tmp_path, keyed=False, dialects="") as server:
            assert (await head_of(server, SPEECH_PATH)).startswith("HTTP/1.1 404")
            assert (await ask(server, f"POST {PATH}"))[0] == 404


async def test_disconnect_at_each_point_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    audio = frame(BINARY, np.random.default_rng(1).integers(-9000, 9000, 16_000).astype("<i2").tobytes())
    webm = encode(tmp_path / "a.webm", np.zeros(96_000, np.float32), codec="libopus", rate_hz=48_000).read_bytes()
    finalize = frame(TEXT, b'{"type":"Finalize"}')
    scripts = {
        SPEECH_PATH: [
            b"",
            audio,
            audio * 3,
            audio + finalize,
            audio + finalize + audio,
            audio + frame(TEXT, CLOSE_STREAM),
        ],
        PATH: [frame(BINARY, b"R"), frame(BINARY, webm[:100]), frame(BINARY, webm), frame(BINARY, b"x" * 5000)],
    }
    async with rig(monkeypatch, tmp_path, keyed=False) as server:
        for path, sent in scripts.items():
            for data in sent:
                async with raw_client(server.port) as client:
                    await client.open(server.port, path)
                    await client.send(data)
        with trio.fail_after(30):
            while server.server_state.registry.active_sessions or server.server_state.registry.reserved:  # noqa: ASYNC110 - no event reports it
                await trio.sleep(0.01)
