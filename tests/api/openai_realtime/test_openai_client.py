"""OpenAI's own Python client, unmodified, against a real server with real speech."""

import base64
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import soxr
from numpy.typing import NDArray

from tests.api.conftest import ClientServer
from tests.support.client import load_pcm, native_words
from tests.support.wer import word_error_rate
from trio_stt.dsp import g711

RATE_HZ = 24_000
QUERY = {"intent": "transcription"}
TRANSCRIPTION = "conversation.item.input_audio_transcription"
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
"""The client calls its WebSocket library in a way that this will not have for ever."""


@pytest.fixture(scope="module", name="sentence")
def resampled_sentence(sentence: tuple[Path, str]) -> tuple[NDArray[np.int16], str]:
    """Samples at 24 kHz and 1.2 s of silence behind them, and the words."""
    path, words = sentence
    samples, rate_hz = load_pcm(path)
    resampled = soxr.resample(samples, rate_hz, RATE_HZ)
    return np.concatenate([resampled, np.zeros(round(1.2 * RATE_HZ), np.int16)]), words


@pytest.fixture
def client(client_server: ClientServer) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{client_server.running.port}/v1"
    with closing(openai.OpenAI(base_url=url, api_key="none", max_retries=0)) as client:
        yield client


def send(connection: Any, samples: NDArray[np.int16], *, chunk_s: float = 0.1) -> None:
    size = round(chunk_s * RATE_HZ)
    for start in range(0, samples.size, size):
        audio = base64.b64encode(samples[start : start + size].tobytes()).decode()
        connection.input_audio_buffer.append(audio=audio)


def until(connection: Any, kind: str) -> list[Any]:
    """The events up to one of this type; the client parses each."""
    events = []
    while not events or events[-1].type != kind:
        events.append(connection.recv())
        assert events[-1].type != "error", events[-1]
    return events


def deltas(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == f"{TRANSCRIPTION}.delta")


def test_turn_has_the_words_of_the_native_protocol(
    client: openai.OpenAI, client_server: ClientServer, sentence: tuple[NDArray[np.int16], str]
) -> None:
    samples, words = sentence
    with client.realtime.connect(extra_query=QUERY) as connection:
        send(connection, samples)
        events = until(connection, f"{TRANSCRIPTION}.completed")
    kinds = [event.type.removeprefix("input_audio_buffer.") for event in events if not event.type.endswith(".delta")]
    assert kinds == [
        *["session.created", "speech_started", "speech_stopped", "committed"],
        *["conversation.item.added", "conversation.item.done", f"{TRANSCRIPTION}.completed"],
    ]
    completed = events[-1]
    assert completed.transcript == native_words(client_server.running, samples, RATE_HZ)
    assert word_error_rate(words, completed.transcript) < 0.2
    assert completed.usage.type == "duration"
    assert completed.usage.seconds == pytest.approx(samples.size / RATE_HZ, abs=1.5)
    assert len({event.event_id for event in events}) == len(events)


def test_commit_completes_what_the_deltas_began(client: openai.OpenAI, sentence: tuple[NDArray[np.int16], str]) -> None:
    samples, words = sentence
    with client.realtime.connect(model="gpt-realtime-whisper", extra_query=QUERY) as connection:
        turns = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        connection.session.update(session=turns)
        assert until(connection, "session.updated")[-1].session.audio.input.turn_detection is None
        send(connection, samples)
        connection.input_audio_buffer.commit()
        events = until(connection, f"{TRANSCRIPTION}.completed")
    assert word_error_rate(words, events[-1].transcript) < 0.2
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {events[-1].item_id}
    assert deltas(events)


def test_telephone_audio(client: openai.OpenAI, sentence: tuple[NDArray[np.int16], str]) -> None:
    samples, words = sentence
    narrow = soxr.resample(samples, RATE_HZ, 8000)
    with client.realtime.connect(extra_query=QUERY) as connection:
        connection.session.update(
            session={"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
        )
        connection.input_audio_buffer.append(audio=base64.b64encode(mulaw(narrow)).decode())
        completed = until(connection, f"{TRANSCRIPTION}.completed")[-1]
    assert word_error_rate(words, completed.transcript) < 0.35


def mulaw(samples: NDArray[np.int16]) -> bytes:
    """µ-law codes, by search in the table of the decoder."""
    table = g711.decode(bytes(range(256)), "mulaw").astype(np.int32)
    order = np.argsort(table, kind="stable")
    return order[np.clip(np.searchsorted(table[order], samples), 0, 255)].astype(np.uint8).tobytes()


def test_beta_client(client_server: ClientServer, sentence: tuple[NDArray[np.int16], str]) -> None:
    samples, words = sentence
    url = f"127.0.0.1:{client_server.running.port}/v1"
    beta = openai.OpenAI(base_url=f"http://{url}", websocket_base_url=f"ws://{url}", api_key="none")
    with closing(beta), beta.beta.realtime.connect(model="gpt-4o-transcribe", extra_query=QUERY) as connection:
        connection.transcription_session.update(session={"input_audio_format": "pcm16"})
        send(connection, samples)
        events = until(connection, f"{TRANSCRIPTION}.completed")
    kinds = [event.type for event in events]
    assert kinds[:2] == ["transcription_session.created", "transcription_session.updated"]
    assert "conversation.item.created" in kinds
    assert word_error_rate(words, events[-1].transcript) < 0.2


def test_errors_leave_the_session_alive(client: openai.OpenAI) -> None:
    with client.realtime.connect(extra_query=QUERY) as connection:
        connection.recv()
        connection.input_audio_buffer.commit(event_id="one")
        connection.response.create(event_id="two")
        connection.input_audio_buffer.append(audio="?", event_id="three")
        errors = [connection.recv() for _ in range(3)]
        assert [(event.type, event.error.code, event.error.event_id) for event in errors] == [
            ("error", "input_audio_buffer_commit_empty", "one"),
            ("error", "unsupported_event", "two"),
            ("error", "invalid_value", "three"),
        ]
        connection.input_audio_buffer.clear()
        assert connection.recv().type == "input_audio_buffer.cleared"


def test_client_secret_opens_a_session_with_its_configuration(client: openai.OpenAI) -> None:
    secret = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "transcription", "audio": {"input": {"turn_detection": None}}},
    )
    assert secret.value.startswith("ek_")
    assert secret.session.type == "transcription"
    page = client.with_options(api_key=secret.value)
    with page.realtime.connect(extra_query=QUERY) as connection:
        created = connection.recv()
    assert created.type == "session.created"
    assert created.session.audio.input.turn_detection is None
    with pytest.raises(openai.BadRequestError, match=r"expires_after\.seconds must be an integer from 10 to 7200"):
        client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 9})
    later: Any = {"anchor": "last_used_at", "seconds": 60}
    with pytest.raises(openai.BadRequestError, match=r"expires_after\.anchor must be created_at"):
        client.realtime.client_secrets.create(expires_after=later)
    beta = client.beta.realtime.transcription_sessions.create(
        input_audio_format="g711_ulaw", client_secret={"expires_at": {"anchor": "created_at", "seconds": 7200}}
    )
    assert (beta.input_audio_format, beta.client_secret.value[:3]) == ("g711_ulaw", "ek_")
    assert beta.client_secret.expires_at > time.time() + 7000
    with pytest.raises(openai.BadRequestError, match=r"client_secret\.expires_at\.seconds must be"):
        client.beta.realtime.transcription_sessions.create(client_secret={"expires_at": {"seconds": 1}})
