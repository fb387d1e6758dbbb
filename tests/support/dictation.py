"""Speech through a real session with a real engine in this process, as in `trio-stt transcribe`; the test chooses how
the audio arrives."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
import soxr
import trio
from numpy.typing import NDArray

from tests.support.real import moonshine_asset, shared_sentences
from tests.support.wer import BECKETT, TWO_CITIES
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES, boundary, kernels
from trio_stt.protocol.events import Error, Event, Final, Realtime, decode
from trio_stt.protocol.packets import build_packet
from trio_stt.server.build import build_server
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.session.session import Session
from trio_stt.settings import load_settings

from tests.support.client import load_pcm  # isort: skip

Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A final: its words, and the start and end of its speech in samples at 16 kHz."""

    text: str
    start_sample: int
    end_sample: int


@dataclass
class Dictation:
    """A client that sends samples in packets and collects finals."""

    samples: Pcm
    rate_hz: int = SAMPLE_RATE_HZ
    packet_ms: float = 40.0
    speed: float = float("inf")
    finals: list[Spoken] = field(default_factory=list)
    partials: int = 0
    session: Session | None = None
    closed_cleanly = True

    def messages(self) -> Iterator[tuple[float, str | bytes]]:
        yield 0.0, '{"type": "start"}'
        frames = max(1, round(self.rate_hz * self.packet_ms / 1000))
        channels = 1 if self.samples.ndim == 1 else self.samples.shape[1]
        for start in range(0, len(self.samples), frames):
            pcm = self.samples[start : start + frames].astype("<i2").tobytes()
            yield start / self.rate_hz, build_packet(pcm, rate_hz=self.rate_hz, channels=channels)
        yield len(self.samples) / self.rate_hz, '{"type": "stop"}'

    def __post_init__(self) -> None:
        self._messages = self.messages()
        self._begun_s: float | None = None

    async def receive(self) -> str | bytes:
        assert self.session is not None
        if self._begun_s is None:
            self._begun_s = trio.current_time()
        for due_s, message in self._messages:
            await trio.sleep_until(self._begun_s + due_s / self.speed)
            await self.session.wait_backlog_below(60.0)
            return message
        await self.session.wait_drained()
        raise ConnectionClosed

    async def send(self, *messages: str) -> None:
        await trio.lowlevel.checkpoint()
        for event in map(decode, messages):
            self._note(event)

    def _note(self, event: Event) -> None:
        assert not isinstance(event, Error), event
        self.partials += isinstance(event, Realtime)
        if isinstance(event, Final):
            segment = event.segment
            assert not isinstance(segment, msgspec.UnsetType)
            assert isinstance(segment.audio_start_seconds, float)
            assert isinstance(segment.audio_end_seconds, float)
            self.finals.append(
                Spoken(
                    event.text,
                    round(segment.audio_start_seconds * SAMPLE_RATE_HZ),
                    round(segment.audio_end_seconds * SAMPLE_RATE_HZ),
                )
            )

    def abort(self) -> None:
        pass


@asynccontextmanager
async def real_server_state(**settings: object) -> AsyncIterator[ServerState]:
    """A server state with the loaded real engine that the settings name."""
    kernels.warm_up()  # a compilation within a session would take longer than a connection may stall
    boundary.warm_up()
    server_state = build_server(load_settings(settings))
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.lanes.run)
        await server_state.lanes.wait_loaded()
        assert server_state.lanes.ok, server_state.lanes.startup_errors
        yield server_state
        nursery.cancel_scope.cancel()


async def dictate(server_state: ServerState, dictation: Dictation, *, partials: bool = False) -> list[Spoken]:
    """Run one session over the whole audio; returns its finals."""
    session_id = server_state.reserve()
    session = Session(session_id=session_id, host=server_state, partials=partials, live=False)
    dictation.session = session
    server_state.registry.admit(session)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await session.serve_connection(dictation)
    finally:
        server_state.leave(session_id)
    return dictation.finals


def texts(finals: list[Spoken]) -> str:
    return " ".join(final.text for final in finals)


def pcm(samples: NDArray[np.float64]) -> Pcm:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def at_rate(samples: Pcm, from_hz: int, to_hz: int) -> Pcm:
    if from_hz == to_hz:
        return samples
    return pcm(soxr.resample(samples.astype(np.float64), from_hz, to_hz, quality="VHQ"))


def at_dbfs(samples: Pcm, level: float) -> Pcm:
    """The samples, scaled to an RMS of this level."""
    rms = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return pcm(samples * (32768 * 10 ** (level / 20) / rms))


def sentences() -> list[tuple[Pcm, str]]:
    """The shared sentences at 16 kHz, with their words."""
    found = []
    for path, words in shared_sentences():
        samples, rate_hz = load_pcm(path)
        found.append((at_rate(samples, rate_hz, SAMPLE_RATE_HZ), words))
    return found


def joined(clips: list[Pcm], pause_s: float) -> Pcm:
    """The clips, joined with silence before, between and after them."""
    pause = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.int16)
    return np.concatenate([pause, *(part for clip in clips for part in (clip, pause))])


PART_OF_THE_CORPUS = [pytest.param(False, id="part"), pytest.param(True, id="whole", marks=pytest.mark.long)]
"""Parameters of a fixture with `corpus(whole=...)`."""


def corpus(*, whole: bool) -> tuple[Pcm, str]:
    """The shared sentences, and if `whole` both readings before them, joined with pauses of 1.2 s: samples at 16 kHz,
    and the words."""
    clips, words = [], []
    for name, text in (("two_cities.wav", TWO_CITIES), ("beckett.wav", BECKETT)) if whole else ():
        samples, rate_hz = load_pcm(moonshine_asset(name))
        clips.append(at_rate(samples, rate_hz, SAMPLE_RATE_HZ))
        words.append(text)
    for samples, text in sentences():
        clips.append(samples)
        words.append(text)
    return joined(clips, 1.2), " ".join(words)


def within_one_window(first: int, second: int) -> bool:
    return abs(first - second) <= WINDOW_SAMPLES
