"""A client of the OpenAI Realtime dialect on virtual time: the real translator and session, without sockets."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import trio
import trio.testing

from tests.support.conversation import ServerFixture, server_fixture
from trio_stt.api.dialect import Close, Frame, serve_dialect
from trio_stt.api.openai_realtime.dialect import RealtimeDialect
from trio_stt.api.openai_realtime.session_config import SessionConfig, first_config
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.lanes.engines.language_support import LanguageSupport
from trio_stt.session.connection import ConnectionClosed
from trio_stt.settings import Settings

Event = dict[str, Any]
TRANSCRIPTION = "conversation.item.input_audio_transcription"
MANUAL: Event = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
UNRESAMPLED: Event = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}}}}
"""A resampler would blur the levels that the fake engine names."""
SHORT = {
    "input_audio_buffer.speech_started": "started",
    "input_audio_buffer.speech_stopped": "stopped",
    "input_audio_buffer.committed": "committed",
    "input_audio_buffer.cleared": "cleared",
    "conversation.item.added": "added",
    "conversation.item.done": "done",
    "conversation.item.created": "created",
    f"{TRANSCRIPTION}.delta": "delta",
    f"{TRANSCRIPTION}.completed": "completed",
    f"{TRANSCRIPTION}.failed": "failed",
}


def new_dialect(
    settings: Settings,
    *,
    model: str = "",
    beta: bool = False,
    intent: bool = True,
    config: SessionConfig | None = None,
    has_turn_model: bool = False,
    languages: LanguageSupport | None = None,
) -> RealtimeDialect:
    return RealtimeDialect(
        settings=settings,
        config=config or first_config(settings, model),
        beta=beta,
        intent=intent,
        model=lambda: "the-model",
        languages=lambda: languages,
        session_id="sess_1",
        created_at=1_900_000_000,
        has_turn_model=has_turn_model,
    )


def append(level: int, seconds: float, *, rate_hz: int = SAMPLE_RATE_HZ) -> Event:
    samples = np.full(round(seconds * rate_hz), level, "<i2")
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(samples.tobytes()).decode()}


@dataclass
class RealtimeClient:
    """The other end of a dialect: its wire, and what it read."""

    events: list[Event] = field(default_factory=list)
    reads: bool = True
    close: Close | None = None
    over: bool = False

    def __post_init__(self) -> None:
        self._to_server, self._from_client = trio.open_memory_channel[str | bytes](float("inf"))
        self._arrived = trio.Event()

    # As the wire.

    async def receive(self) -> Frame:
        try:
            return await self._from_client.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed from None

    async def send(self, *frames: Frame) -> None:
        await trio.lowlevel.checkpoint()
        if not self.reads:
            await trio.sleep_forever()
        self.events += map(json.loads, frames)
        self._arrived.set()
        self._arrived = trio.Event()

    def abort(self) -> None:
        pass

    # As a user.

    def put(self, event: Event) -> None:
        self._to_server.send_nowait(json.dumps(event))

    def raw(self, frame: Frame) -> None:
        self._to_server.send_nowait(frame)

    def command(self, kind: str, **fields: object) -> None:
        self.put({"type": kind, **fields})

    def commit(self, **fields: object) -> None:
        self.command("input_audio_buffer.commit", **fields)

    def clear(self) -> None:
        self.command("input_audio_buffer.clear")

    def update(self, session: Event) -> None:
        self.command("session.update", session=session)

    def say(self, level: int, seconds: float, *, packet_s: float = 0.04) -> None:
        for _ in range(round(seconds / packet_s)):
            self.put(append(level, packet_s))

    def pause(self, seconds: float) -> None:
        self.say(0, seconds)

    def leave(self) -> None:
        self._to_server.close()

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    async def until(self, kind: str, number: int = 1) -> Event:
        """Wait for the event of this kind with this number."""
        with trio.fail_after(1000):
            while len(self.of(kind)) < number:
                await self._arrived.wait()
        return self.of(kind)[number - 1]

    async def settled(self, seconds: float = 5.0) -> None:
        """Wait until everything that was sent has had its effect."""
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()

    @property
    def names(self) -> list[str]:
        """The events in order, by short names; without those about the session itself."""
        kinds = [event["type"] for event in self.events]
        return [SHORT.get(kind, kind) for kind in kinds if not kind.startswith(("session.", "transcription_session."))]

    @property
    def transcripts(self) -> list[str]:
        return [event["transcript"] for event in self.of(f"{TRANSCRIPTION}.completed")]

    def live(self, item_id: str) -> str:
        """The deltas of an item, joined."""
        return "".join(event["delta"] for event in self.of(f"{TRANSCRIPTION}.delta") if event["item_id"] == item_id)


async def connect(server: ServerFixture, dialect: RealtimeDialect) -> RealtimeClient:
    client, server_state = RealtimeClient(), server.server_state

    async def serve() -> None:
        client.close = await serve_dialect(
            server_state, client, dialect, session_id=server_state.reserve(), shows_causes=True
        )
        client.over = True

    server.nursery.start_soon(serve)
    await trio.testing.wait_all_tasks_blocked()
    return client


@asynccontextmanager
async def realtime(
    *,
    model: str = "",
    updates: Sequence[Event] = (),
    beta: bool = False,
    intent: bool = True,
    **options: Any,
) -> AsyncIterator[RealtimeClient]:
    """A client that has sent these updates; the options are those of `server_fixture`."""
    async with server_fixture(**options) as server:
        dialect = new_dialect(
            server.server_state.settings, model=model, beta=beta, intent=intent, has_turn_model="turn_judge" in options
        )
        client = await connect(server, dialect)
        client.update(UNRESAMPLED)
        for update in updates:
            client.update(update)
        yield client
        client.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert client.over
        assert not server.server_state.registry.active_sessions
