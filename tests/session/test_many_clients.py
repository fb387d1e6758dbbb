"""Many speakers on one fully loaded lane, and a mass disconnect, on virtual time."""

from statistics import quantiles

import numpy as np
import pytest
import trio
from numpy.typing import NDArray

from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, Client, server_fixture
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.protocol.events import Event, Final, Hello, Pong, Realtime

SPEAKERS = 16
PACKET_S = 0.04


def moonshine_s(batch: Batch) -> float:
    """Inference time of Moonshine tiny on one core of a small server, in seconds."""
    return sum(0.01 + 0.0165 * clip.size / SAMPLE_RATE_HZ for clip in batch)


class Speaker:
    """Speaks for two to three seconds, pauses for one, and records when finals and partials arrive."""

    def __init__(self, client: Client, number: int) -> None:
        self._client = client
        self._rng = np.random.default_rng(number)
        self._ends_s: list[float] = []
        self.final_delays_s: list[float] = []
        self.partials_s: dict[int, list[float]] = {}

        def record(event: Event) -> None:
            if isinstance(event, Final):
                self.final_delays_s.append(trio.current_time() - self._ends_s[len(self.final_delays_s)])
            elif isinstance(event, Realtime):
                self.partials_s.setdefault(event.segment_id, []).append(trio.current_time())

        client.on_event = record

    async def talk(self, utterances: int) -> None:
        self._client.command("start")
        await trio.sleep(self._rng.uniform(0.0, 3.0))
        for length_s in self._rng.uniform(2.0, 3.0, utterances):
            await self._speak(1500, length_s)
            self._ends_s.append(trio.current_time())
            await self._speak(0, 1.0)

    async def _speak(self, level: int, length_s: float) -> None:
        for _ in range(round(length_s / PACKET_S)):
            await trio.sleep(PACKET_S)
            self._client.say(level, PACKET_S)

    @property
    def intervals_s(self) -> NDArray[np.float64]:
        return np.concatenate([np.diff(times_s) for times_s in self.partials_s.values()])


@virtual_time
async def test_many_speakers_on_a_full_lane_get_finals_in_time_and_partials() -> None:
    async with server_fixture(inference_s=moonshine_s, max_sessions=SPEAKERS, max_active_speakers=SPEAKERS) as server:
        speakers = [Speaker(await server.connect(), number) for number in range(SPEAKERS)]
        async with trio.open_nursery() as nursery:
            for speaker in speakers:
                nursery.start_soon(speaker.talk, 8)
        await trio.sleep(5.0)
    assert [len(speaker.final_delays_s) for speaker in speakers] == [8] * SPEAKERS
    delays_s = [delay_s for speaker in speakers for delay_s in speaker.final_delays_s]
    assert quantiles(delays_s, n=20)[-1] < server.server_state.settings.post_speech_silence_duration + 0.15
    intervals_s = np.concatenate([speaker.intervals_s for speaker in speakers])
    assert np.quantile(intervals_s, 0.95) < 2.0
    assert all(len(speaker.partials_s) == 8 for speaker in speakers)


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks: a measure of work that does not depend on the machine."""

    def __init__(self) -> None:
        self.taken = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - as trio calls it
        self.taken += 1


CLIENTS = 100


@pytest.mark.parametrize("clean_close", [True, False])
@virtual_time
async def test_mass_disconnect_does_not_delay_a_ping(*, clean_close: bool) -> None:
    async with server_fixture(max_sessions=CLIENTS + 1) as server:
        clients = [await server.connect() for _ in range(CLIENTS)]
        other = await server.connect()
        await other.until(Hello)
        for client in clients:
            client.command("ping")
        await trio.testing.wait_all_tasks_blocked()
        for client in clients:
            client.closed_cleanly = clean_close
            client.leave()
        if not clean_close:  # the grace period ends for all sessions at once
            await trio.testing.wait_all_tasks_blocked()
            assert server.server_state.registry.active_sessions == CLIENTS + 1
            await trio.sleep(server.server_state.settings.resume_grace_s)
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        other.command("ping")
        await other.until(Pong)
        trio.lowlevel.remove_instrument(steps)
        assert server.server_state.registry.active_sessions > CLIENTS / 2, "the pong arrives while the sessions end"
        assert steps.taken < 2 * CLIENTS
        await trio.testing.wait_all_tasks_blocked()
        assert server.server_state.registry.active_sessions == 1
