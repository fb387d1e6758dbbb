"""A hanging engine delays finals, and changes neither their order nor their text."""

import math

import pytest
import trio

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, levels, server_fixture
from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.protocol.events import Error, Final, Timeline


class HangingInference:
    """Inference times of an engine that hangs on the first `times` clips with this level in them, in seconds."""

    def __init__(self, level: int, *, times: int) -> None:
        self._level = str(level)
        self._left = times

    def __call__(self, batch: Batch) -> float:
        if self._left and any(self._level in transcript.text for transcript in levels(batch)):
            self._left -= 1
            return math.inf
        return 0.05


@pytest.mark.contract("2.8", "7.3", "11/12")
@virtual_time
async def test_engine_hang_loses_no_words_and_keeps_their_order() -> None:
    async with server_fixture(job_deadline_s=5.0, inference_s=HangingInference(2222, times=1)) as server:
        client, other = await server.connect(partials=False), await server.connect(partials=False)
        for each in (client, other):
            each.command("start")
        for level in (1111, 2222, 3333):
            await talk(client, level, 1.0)
            client.pause(PAUSE_S)
        await talk(other, 4444, 1.0)
        other.pause(PAUSE_S)
        await client.until(Final, 3)
        await other.until(Final)
        assert client.finals == [(1, "1111."), (2, "2222."), (3, "3333.")]
        assert other.finals == [(1, "4444.")]
        assert not client.of(Error) + other.of(Error)
        assert server.server_state.health().scheduler.workers["main"].restarts == 1
        assert 5.0 < trio.current_time() < 20.0


@virtual_time
async def test_clip_that_always_hangs_closes_its_segment_and_later_ones_are_transcribed() -> None:
    async with server_fixture(
        job_deadline_s=5.0, inference_s=HangingInference(2222, times=2), early_transcription_on_silence=0.0
    ) as server:
        client = await server.streaming_client(partials=False)
        for level in (1111, 2222, 3333):
            await talk(client, level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Final, 2)
        assert client.finals == [(1, "1111."), (3, "3333.")]
        (error,) = client.of(Error)
        assert "the engine did not answer within" in error.message
        assert [
            (event.reason, event.segment_id) for event in client.of(Timeline) if event.event == "segment_closed"
        ] == [("failed", 2)]


@virtual_time
async def test_final_fails_after_the_engine_outage_limit() -> None:
    async with server_fixture(
        job_deadline_s=5.0, inference_s=HangingInference(2222, times=1), load_s=1.0, engine_outage_limit_s=0.5
    ) as server:
        client = await server.streaming_client(partials=False)
        for level in (2222, 3333):
            await talk(client, level, 1.0)
            client.pause(PAUSE_S)
        await client.until(Error, 2)
        assert all("no engine for 0.5 s (engine_outage_limit_s)" in error.message for error in client.of(Error))
        assert server.server_state.health().ok is False
        await trio.sleep(5.0)
        assert server.server_state.health().ok is True
        await talk(client, 4444, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        assert client.finals == [(3, "4444.")]


@pytest.mark.parametrize("shows_causes", [True, False])
@virtual_time
async def test_cause_of_a_failed_final_is_shown_to_administrators_only(shows_causes: bool) -> None:
    async with server_fixture(job_deadline_s=5.0, inference_s=HangingInference(2222, times=9)) as server:
        client = await server.streaming_client(partials=False, shows_causes=shows_causes)
        await talk(client, 2222, 1.0)
        client.pause(PAUSE_S)
        error = await client.until(Error)
    assert (error.message == HIDDEN_CAUSE) is not shows_causes
