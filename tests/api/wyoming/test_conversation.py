"""Connections on virtual time: what a client sends and gets, limits, deadlines, and what is left when it leaves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
import wyoming.audio
import wyoming.info
from wyoming.event import Event

from tests.api.wyoming.test_framing import written
from tests.lanes.fakes import virtual_time
from tests.support.conversation import WAKE, Batch, LevelWakeWord, LevelWakeWords, ServerFixture, server_fixture
from trio_stt.api.wyoming.conversation import Conversation
from trio_stt.api.wyoming.framing import FrameReader, decode
from trio_stt.api.wyoming.wire import WyomingWire
from trio_stt.errors import TranscriptionFailed
from trio_stt.lanes.engines.base import Transcript
from trio_stt.session.connection import ConnectionClosed
from trio_stt.settings import Settings

RATE_HZ = 16_000
FORMAT = {"rate": RATE_HZ, "width": 2, "channels": 1}


class WakeWords(LevelWakeWords):
    """A `LevelWakeWord` where a backend is set."""

    def new_detector(self, settings: Settings) -> LevelWakeWord | None:
        return LevelWakeWord() if settings.wakeword_backend else None

    def labels(self, settings: Settings) -> tuple[str, ...]:
        return ("computer",) if settings.wakeword_backend else ()


WITH_WAKE_WORD: dict[str, Any] = {"wake": WakeWords(), "wakeword_backend": "fake"}


@dataclass
class Client:
    """A client of one connection."""

    stream: trio.abc.HalfCloseableStream
    frames: list[bytes] = field(default_factory=list)
    is_closed: bool = False
    waiting: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = FrameReader()

    async def send(self, *types: str | Event) -> None:
        for each in types:
            await self.stream.send_all(written(each if isinstance(each, Event) else Event(each)))

    async def say(self, level: int, seconds: float, *, rate_hz: int = RATE_HZ) -> None:
        samples = np.full(round(seconds * rate_hz), level, "<i2")
        for start in range(0, samples.size, rate_hz // 25):
            payload = samples[start : start + rate_hz // 25].tobytes()
            await self.send(Event("audio-chunk", {**FORMAT, "rate": rate_hz}, payload))

    async def command(self, level: int = 2000) -> None:
        """One utterance, as Home Assistant sends it."""
        await self.send(Event("transcribe", {"language": "en"}), Event("audio-start", FORMAT))
        await self.say(level, 1.0)
        await self.send("audio-stop")

    async def get(self) -> tuple[str, dict[str, Any]]:
        """The next event; `closed` at the end."""
        while not self.frames:
            data = await self.stream.receive_some(65_536)
            if not data:
                return "closed", {}
            self.frames += self._reader.feed(data)
        event = decode(self.frames.pop(0))
        return event.type, event.data

    async def until(self, *types: str) -> list[tuple[str, dict[str, Any]]]:
        """The events up to one of these types."""
        found = [await self.get()]
        while found[-1][0] not in {*types, "closed"}:
            found.append(await self.get())
        return found

    async def leave(self) -> None:
        await self.stream.aclose()


async def serve(server: ServerFixture, ours: trio.StapledStream[Any, Any], client: Client) -> None:
    wire = WyomingWire(ours, ours.send_stream.close)
    try:
        await Conversation(server.server_state, wire, client.waiting.append).run()
    except ConnectionClosed:
        pass
    finally:
        client.is_closed = True
    await wire.finish()


def connect(server: ServerFixture) -> Client:
    ours, theirs = trio.testing.memory_stream_pair()
    client = Client(theirs)
    server.nursery.start_soon(serve, server, ours, client)
    return client


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[ServerFixture, Client]]:
    async with server_fixture(**options) as server:
        yield server, connect(server)


async def left(server: ServerFixture) -> tuple[int, int, int]:
    """Sessions, reservations and speaker slots that are left."""
    await trio.sleep(60)
    state = server.server_state
    return state.registry.active_sessions, state.registry.reserved, state.active_speakers


TRANSCRIPT = [
    ("transcript-start", {"language": "en"}),
    ("transcript-chunk", {"text": "2000."}),
    ("transcript", {"text": "2000.", "language": "en"}),
    ("transcript-stop", {}),
]
EMPTY = [TRANSCRIPT[0], ("transcript", {"text": "", "language": "en"}), TRANSCRIPT[-1]]


@virtual_time
async def test_describe_and_ping_take_no_place() -> None:
    async with connected(max_sessions=1, load_s=1000.0) as (server, client):
        server.server_state.reserve()
        await client.send("describe", Event("ping", {"text": "x"}), "an-event-of-a-later-version", "ping")
        type_, data = await client.get()
        assert type_ == "info"
        found = wyoming.info.Info.from_event(Event(type_, data))
        assert found.asr[0].models[0].languages == ["en"]
        assert (found.asr[0].supports_transcript_streaming, found.asr[0].requires_external_vad) == (True, True)
        assert found.wake == []
        assert [await client.get() for _ in range(2)] == [("pong", {"text": "x"}), ("pong", {"text": None})]
        await client.leave()
    assert client.waiting == []


@virtual_time
async def test_several_commands_over_one_connection() -> None:
    async with connected() as (server, client):
        for _ in range(2):
            await client.command()
            assert await client.until("transcript-stop") == TRANSCRIPT
        await trio.testing.wait_all_tasks_blocked()
        assert server.server_state.traffic.by_dialect({})["wyoming"].totals.sessions == 2
        assert client.waiting == [False, True] * 2


@virtual_time
async def test_next_command_may_come_before_the_transcript() -> None:
    async with connected(inference_s=lambda _: 5.0) as (_, client):
        await client.command()
        await client.command()
        assert await client.until("transcript-stop") == TRANSCRIPT
        assert await client.until("transcript-stop") == TRANSCRIPT


@virtual_time
async def test_describe_is_answered_while_a_transcript_is_due() -> None:
    async with connected(inference_s=lambda _: 5.0) as (_, client):
        await client.command()
        await client.send("describe")
        assert [type_ for type_, _ in await client.until("info")] == ["transcript-start", "info"]


@virtual_time
async def test_describe_is_answered_in_the_middle_of_audio() -> None:
    async with connected() as (_, client):
        await client.say(2000, 0.5)
        await client.send("describe")
        assert [type_ for type_, _ in await client.until("info")] == ["transcript-start", "info"]
        await client.say(2000, 0.5)
        await client.send("audio-stop")
        assert await client.until("transcript-stop") == TRANSCRIPT[1:]


@virtual_time
async def test_second_stop_is_an_empty_transcript() -> None:
    async with connected(inference_s=lambda _: 5.0) as (server, client):
        await client.command()
        await client.send("audio-stop")
        assert await client.until("transcript-stop") == TRANSCRIPT
        assert await client.until("transcript-stop") == EMPTY
        await client.leave()
        assert await left(server) == (0, 0, 0)


@virtual_time
async def test_request_after_the_audio_is_for_that_audio() -> None:
    async with connected() as (_, client):
        await client.send(Event("audio-start", FORMAT))
        await client.say(2000, 1.0)
        await client.send(Event("transcribe", {"context": {"turn": 3}}), "audio-stop")
        *_, (type_, transcript), _stop = await client.until("transcript-stop")
        assert (type_, transcript["text"], transcript["context"]) == ("transcript", "2000.", {"turn": 3})
        await client.command()
        assert await client.until("transcript-stop") == TRANSCRIPT


@virtual_time
async def test_format_may_change_between_chunks() -> None:
    clips: list[Batch] = []

    def one_word(batch: Batch) -> list[Transcript]:
        clips.append(batch)
        return [Transcript(text="Word.")]

    async with connected(answer=one_word) as (_, client):
        await client.say(2000, 0.4)
        for rate_hz, width, channels in ((8000, 1, 2), (48_000, 4, 1), (44_100, 2, 8)):
            sample = np.array([2000 << (8 * width - 16)] if width > 1 else [128 + (2000 >> 8)], f"<u{width}").tobytes()
            audio_format = {"rate": rate_hz, "width": width, "channels": channels}
            await client.send(Event("audio-chunk", audio_format, sample * (rate_hz * channels // 5)))
        await client.send("audio-stop")
        assert (await client.until("transcript"))[-1][1]["text"] == "Word."
    assert clips[-1][0].size / RATE_HZ == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    "events",
    [("audio-stop",), ("transcribe", "audio-stop"), (Event("audio-start", FORMAT), "audio-stop")],
    ids=["stop", "transcribe", "start"],
)
@virtual_time
async def test_no_audio_is_an_empty_transcript(events: tuple[str | Event, ...]) -> None:
    async with connected() as (_, client):
        await client.send(*events)
        assert await client.until("transcript-stop") == EMPTY


@virtual_time
async def test_chunk_begins_a_stream_at_any_rate() -> None:
    async with connected() as (_, client):
        await client.say(2000, 1.0, rate_hz=8000)
        await client.send("audio-stop")
        assert [type_ for type_, _ in await client.until("transcript-stop")] == [type_ for type_, _ in TRANSCRIPT]


@virtual_time
async def test_endpointing_answers_before_the_stop_and_ignores_the_rest() -> None:
    async with connected(wyoming_endpointing=True) as (_, client):
        await client.send("describe", Event("transcribe", {"vad_sensitivity": "aggressive"}))
        assert (await client.get())[1]["asr"][0]["requires_external_vad"] is False
        await client.say(2000, 1.0)
        await client.say(0, 1.0)
        assert await client.until("transcript-stop") == TRANSCRIPT
        await client.say(3000, 1.0)
        await client.send("audio-stop", "ping")
        assert (await client.get())[0] == "pong"
        await client.command()
        assert await client.until("transcript-stop") == TRANSCRIPT


@virtual_time
async def test_failed_engine_is_an_error_and_ends_the_connection() -> None:
    def fail(_: Batch) -> object:
        raise TranscriptionFailed("it is broken")

    async with connected(answer=fail) as (server, client):
        await client.command()
        *_, (type_, error), end = await client.until("closed")
        assert (type_, error["code"], end[0]) == ("error", "transcription-failed", "closed")
        assert await left(server) == (0, 0, 0)


@pytest.mark.parametrize("type_", ["transcribe", "detect"])
@virtual_time
async def test_full_server_says_so_and_closes(type_: str) -> None:
    async with connected(max_sessions=1, **WITH_WAKE_WORD) as (server, client):
        server.server_state.reserve()
        await client.send(type_, Event("audio-start", FORMAT))
        ((_, error), end) = await client.until("closed")
        assert (error["code"], end[0]) == ("server-full", "closed")
        assert server.server_state.traffic.rejected_sessions == 1


@virtual_time
async def test_server_that_shuts_down_gives_the_transcript() -> None:
    async with connected(inference_s=lambda _: 2.0) as (server, client):
        await client.command()
        await trio.testing.wait_all_tasks_blocked()
        server.nursery.start_soon(server.server_state.registry.drain, 10.0)
        assert await client.until("transcript-stop") == TRANSCRIPT
        await client.command()
        assert (await client.get())[1]["code"] == "server-closing"


@virtual_time
async def test_server_that_shuts_down_in_the_middle_gives_the_words_so_far() -> None:
    async with connected() as (server, client):
        await client.say(2000, 1.0)
        await trio.testing.wait_all_tasks_blocked()
        server.nursery.start_soon(server.server_state.registry.drain, 10.0)
        assert await client.until("transcript-stop") == TRANSCRIPT


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n", "invalid-request"),
        (b'{"type":"' + b"x" * 3_000_000, "invalid-request"),
        (b'{"type":"ping","data_length":"7"}\n', "invalid-request"),
        (b'{"type":"audio-chunk","payload_length":-1}\n', "invalid-request"),
        (written(Event("transcribe", {"language": 7})), "invalid-request"),
        (written(Event("detect", {"names": "x"})), "invalid-request"),
        (written(Event("audio-start", {"rate": 1})), "invalid-request"),
        (
            written(Event("audio-start")) + written(Event("audio-chunk", {**FORMAT, "timestamp": 1e300})),
            "invalid-request",
        ),
        (written(Event("audio-chunk", FORMAT, b"\0\0")) + b"no JSON\n", "invalid-request"),
        (written(Event("detect")) + written(Event("audio-start", FORMAT)), "no-wake-words"),
    ],
)
@virtual_time
async def test_errors_end_the_connection(sent: bytes, code: str) -> None:
    async with connected() as (server, client):
        await client.stream.send_all(sent)
        *_, (_, error), end = await client.until("closed")
        assert (error["code"], end[0]) == (code, "closed")
        assert await left(server) == (0, 0, 0)


@virtual_time
async def test_errors_name_the_event_and_the_field() -> None:
    async with connected() as (_, client):
        await client.send(Event("audio-chunk", {**FORMAT, "rate": 4000}))
        *_, (_, error), _end = await client.until("closed")
        assert error["text"] == "audio-chunk: Expected `int` >= 8000 - at `$.rate`"


@virtual_time
async def test_disconnect_at_any_byte_leaves_nothing() -> None:
    chunk = written(Event("audio-chunk", FORMAT, np.full(RATE_HZ, 2000, "<i2").tobytes()))
    request, stop = written(Event("transcribe", {"language": "en"})), written(Event("audio-stop"))
    dialogue = written(Event("describe")) + request + chunk + stop + request + chunk + stop
    ends = [0, *(found for found in range(1, len(dialogue)) if dialogue[found - 1 : found] == b"\n")]
    async with server_fixture(inference_s=lambda _: 1000.0, **WITH_WAKE_WORD) as server:
        for end in {each + more for each in ends for more in (-1, 0, 1, 1000)}:
            client = connect(server)
            await client.stream.send_all(dialogue[: max(end, 0)])
            await trio.testing.wait_all_tasks_blocked()
            await client.leave()
        assert await left(server) == (0, 0, 0)


@virtual_time
async def test_client_that_never_reads_is_closed() -> None:
    async with server_fixture() as server:
        ours, theirs = trio.testing.lockstep_stream_pair()
        client = Client(theirs)
        server.nursery.start_soon(serve, server, ours, client)
        with trio.move_on_after(60):
            await client.command()
        assert client.is_closed
        assert await left(server) == (0, 0, 0)


@virtual_time
async def test_too_many_events_end_the_connection() -> None:
    async with connected(max_commands_per_second=10) as (_, client):
        for _ in range(60):
            await client.send("ping")
        *_, (_, error), _end = await client.until("closed")
        assert "max_commands_per_second" in error["text"]


async def silent(_: Client) -> None:
    pass


async def half_an_event(client: Client) -> None:
    await client.stream.send_all(b'{"type":')


async def audio(client: Client) -> None:
    await client.say(2000, 0.1)


async def half_a_chunk(client: Client) -> None:
    await client.stream.send_all(written(Event("audio-chunk", FORMAT, bytes(100)))[:-1])


async def detect(client: Client) -> None:
    await client.send("detect", Event("audio-start", FORMAT))


async def stopped(client: Client) -> None:
    await client.command()


DIALOGUES = [silent, half_an_event, audio, half_a_chunk, detect, stopped]


@pytest.mark.parametrize(
    ("dialogue", "within_s"),
    [(silent, 300), (half_an_event, 30), (audio, 17), (half_a_chunk, 30), (detect, 17)],
    ids=lambda each: getattr(each, "__name__", ""),
)
@virtual_time
async def test_silent_clients_are_closed(dialogue: Callable[[Client], Any], within_s: float) -> None:
    # Not a multiple of 5 s, when a heartbeat is due: a client that is closed while an event is delivered gets no error.
    async with connected(liveness_timeout_s=17.0, **WITH_WAKE_WORD) as (server, client):
        begin_s = trio.current_time()
        await dialogue(client)
        *_, (_, error), end = await client.until("closed")
        assert (error["code"], end[0]) == ("timeout", "closed")
        assert trio.current_time() - begin_s == pytest.approx(within_s, abs=0.5)
        assert await left(server) == (0, 0, 0)


@pytest.mark.parametrize("dialogue", DIALOGUES)
@virtual_time
async def test_client_that_leaves_leaves_nothing(dialogue: Callable[[Client], Any]) -> None:
    async with connected(inference_s=lambda _: 1000.0, **WITH_WAKE_WORD) as (server, client):
        await dialogue(client)
        await trio.testing.wait_all_tasks_blocked()
        await client.leave()
        assert await left(server) == (0, 0, 0)
        assert client.is_closed


class TestWakeWords:
    @pytest.mark.parametrize(("names", "detected"), [(None, True), (["Computer"], True), (["lamp"], False)])
    @virtual_time
    async def test_detection(self, names: list[str] | None, *, detected: bool) -> None:
        async with connected(**WITH_WAKE_WORD) as (_, client):
            await client.send(Event("detect", {"names": names}), Event("audio-start", FORMAT))
            await client.say(0, 1.0)
            await client.send(Event("audio-chunk", {**FORMAT, "timestamp": 1040}, np.full(1024, WAKE, "<i2").tobytes()))
            await client.send("audio-stop", "ping")
            found = await client.until("pong")
        assert found[0] == (
            ("detection", {"name": "computer", "timestamp": 1040, "speaker": None})
            if detected
            else ("not-detected", {})
        )

    @virtual_time
    async def test_too_many_events_inside_a_detection_end_the_connection(self) -> None:
        async with connected(**WITH_WAKE_WORD, max_commands_per_second=10) as (_, client):
            await client.send("detect", Event("audio-start", FORMAT))
            for _ in range(60):
                await client.send("ping")
            *_, (_, error), _end = await client.until("closed")
            assert "max_commands_per_second" in error["text"]

    @virtual_time
    async def test_small_chunks_are_processed_in_real_time(self) -> None:
        async with connected(**WITH_WAKE_WORD, max_audio_speed=1.0) as (_, client):
            begin_s = trio.current_time()
            await client.send("detect", Event("audio-start", FORMAT))
            await client.say(0, 2.0)  # in chunks of 40 ms
            await client.send("audio-stop")
            assert await client.until("not-detected") == [("not-detected", {})]
            assert trio.current_time() - begin_s == pytest.approx(2.0)

    @virtual_time
    async def test_detection_may_follow_an_early_transcript(self) -> None:
        async with connected(**WITH_WAKE_WORD, wyoming_endpointing=True) as (_, client):
            await client.say(2000, 1.0)
            await client.say(0, 1.0)
            await client.until("transcript-stop")
            await client.send("detect")
            await client.say(WAKE, 0.032)  # one window
            assert (await client.get())[0] == "detection"

    @virtual_time
    async def test_transcription_after_a_detection_needs_no_wake_word(self) -> None:
        async with connected(**WITH_WAKE_WORD) as (_, client):
            await client.send("detect")
            await client.say(WAKE, 0.032)  # one window
            assert (await client.get())[0] == "detection"
            await client.send("audio-stop")
            await client.command()
            assert (await client.until("transcript-stop"))[-4:] == TRANSCRIPT
