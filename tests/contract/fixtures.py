"""Fixtures of the contract tests: clients that send speech, recorded engine input, a real server with a fake engine."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby

import msgspec
import numpy as np
import pytest
import trio
from numpy.typing import NDArray

from tests.lanes.fakes import FakeEngine
from tests.support.conversation import Batch, Client, ServerFixture, levels
from tests.support.real import moonshine_asset
from tests.support.speech import read_16k
from trio_stt.dsp import SAMPLE_RATE_HZ, kernels
from trio_stt.lanes.engines import registry
from trio_stt.protocol.config_reports import ConfigUpdateReport
from trio_stt.protocol.packets import build_packet
from trio_stt.server.build import build_server
from trio_stt.server.server_state import ServerState
from trio_stt.settings import load_settings

PAUSE_S = 0.8
"""Ends an utterance with default settings."""


def change(server_state: ServerState, **values: object) -> ConfigUpdateReport:
    """Change settings as `PATCH /api/config` does."""
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}
    return server_state.adopt(server_state.revise(raw))


async def talk(client: Client, level: int, seconds: float) -> None:
    """Send speech in real time, so that the engine has time between packets."""
    for _ in range(round(seconds * 25)):
        client.say(level, 0.04)
        await trio.sleep(0.04)


@dataclass
class RecordingAnswer:
    """Records the clips of an engine. Its text lists their levels unless `answer` gives another text."""

    answer: Callable[[Batch], object] = levels
    clips: list[NDArray[np.int16]] = field(default_factory=list)

    def __call__(self, batch: Batch) -> object:
        self.clips += [kernels.to_int16(np.asarray(clip)) for clip in batch]
        return self.answer(batch)

    @property
    def runs(self) -> list[list[tuple[int, int]]]:
        """For each clip, its levels in order with their lengths in samples."""
        return [[(int(level), len(list(run))) for level, run in groupby(clip)] for clip in self.clips]


def composed(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, **settings: object) -> ServerState:
    """A server made by `build_server` that loads `engine` for every model; nothing runs yet.

    Each lane has one worker, because scripted answers depend on the order of calls.
    """
    monkeypatch.setattr(registry, "load", lambda _: engine)
    kernels.warm_up()
    return build_server(load_settings({"lane_workers": 1} | settings))


@asynccontextmanager
async def served(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine | None = None, **settings: object
) -> AsyncIterator[ServerFixture]:
    """A `composed` server whose lanes run on real threads."""
    server_state = composed(monkeypatch, engine or FakeEngine(), **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(server_state.run)
        await server_state.lanes.wait_loaded()
        yield ServerFixture(server_state, nursery)
        nursery.cancel_scope.cancel()


def speech(seconds: float) -> NDArray[np.int16]:
    """A person reading aloud: int16, mono, 16 kHz."""
    return kernels.to_int16(read_16k(moonshine_asset("two_cities.wav"))[: round(seconds * SAMPLE_RATE_HZ)])


def send(client: Client, samples: NDArray[np.int16], *, rate_hz: int = SAMPLE_RATE_HZ, packet_ms: int = 40) -> None:
    """Send samples in packets, all at once."""
    frames = rate_hz * packet_ms // 1000
    for start in range(0, samples.size, frames):
        client.raw(build_packet(samples[start : start + frames].astype("<i2").tobytes(), rate_hz=rate_hz))
