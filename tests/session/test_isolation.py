"""Sessions beside others and under load, on virtual time: isolation, backpressure, errors."""

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from tests.contract.fixtures import PAUSE_S
from tests.lanes.fakes import virtual_time
from tests.support.conversation import Batch, LoudnessDetector, levels, server_fixture
from trio_stt.dsp.detector import VadResult
from trio_stt.lanes.engines.base import Transcript
from trio_stt.protocol.events import Clear, Error, Final, Realtime


@pytest.mark.contract("2.1")
@virtual_time
async def test_sessions_are_admitted_while_models_load() -> None:
    async with server_fixture(load_s=30.0) as server:
        client = await server.streaming_client()
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(10)
        assert "ready" not in client.event_names
        assert client.states[-1] == "transcribing"
        await client.until(Final)
        assert client.event_names.index("ready") < client.event_names.index("final")
        assert client.finals == [(1, "1111.")]


@pytest.mark.contract("2.4")
@virtual_time
async def test_clients_never_see_each_others_text() -> None:
    async with server_fixture(inference_s=lambda _: 0.5) as server:
        clients = {level: await server.connect() for level in (1111, 2222)}
        for level, client in clients.items():
            client.command("start")
            client.say(level, 1.0)
            client.pause(PAUSE_S)
        for level, client in clients.items():
            await client.until(Final)
            await client.settled()
            assert client.finals == [(1, f"{level}.")]
            assert all(str(level) in partial.text for partial in client.of(Realtime))
            assert {getattr(event, "session_id", None) for event in client.events} == {client.session.session_id}


@pytest.mark.contract("2.9")
@virtual_time
async def test_disconnect_within_an_utterance_cancels_its_jobs() -> None:
    served: list[object] = []

    def answer(batch: Batch) -> object:
        served.extend(levels(batch))
        return levels(batch)

    async with server_fixture(inference_s=lambda _: 2.0, answer=answer) as server:
        stayer, leaver = await server.connect(partials=False), await server.connect(partials=False)
        stayer.command("start")
        stayer.say(1111, 1.0)
        stayer.pause(PAUSE_S)
        await trio.sleep(0.5)  # the engine works for the client that stays
        leaver.command("start")
        leaver.say(2222, 1.0)
        leaver.pause(PAUSE_S)
        leaver.say(2222, 0.5)
        await trio.sleep(0.5)
        leaver.leave()
        await stayer.until(Final)
        await trio.sleep(10)
        assert (server.server_state.registry.active_sessions, server.server_state.active_speakers) == (1, 0)
        assert served == [Transcript(text="1111")]


@pytest.mark.contract("11/4")
@virtual_time
async def test_client_that_never_reads_is_disconnected_without_affecting_others() -> None:
    async with server_fixture() as server:
        reads, stalled = await server.connect(), await server.connect()
        stalled.reads = False
        for client in (reads, stalled):
            client.command("start")
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
        await reads.until(Final)
        await trio.sleep(60)
        assert (stalled.aborted, reads.aborted) == (True, False)
        assert server.server_state.registry.active_sessions == 1
        reads.say(2222, 1.0)
        reads.pause(PAUSE_S)
        await reads.until(Final, 2)


@pytest.mark.contract("4.13", "2.5")
@virtual_time
async def test_audio_is_refused_while_the_backlog_is_too_long() -> None:
    async with server_fixture(inference_s=lambda _: 60.0, max_backlog_seconds=3.0) as server:
        client = await server.streaming_client(partials=False)
        for _ in range(6):
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
            await trio.sleep(2)
        assert [(error.where, "3 s of speech" in error.message) for error in client.of(Error)] == [("audio", True)]
        assert client.session.report().rejected_audio_chunks > 10
        await trio.sleep(600)
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(600)
        assert client.finals[-1][1] == "2222."


@pytest.mark.contract("4.9", "2.8", "11/1")
@virtual_time
async def test_result_in_the_scheduler_pass_of_a_clear_is_not_published() -> None:
    # Trio runs the tasks of one scheduler pass in random order, so enough tries at different times meet the bad order.
    for attempt in range(60):
        async with server_fixture(inference_s=lambda _: 1.0, hops=attempt % 6) as server:
            client = await server.streaming_client(partials=False)
            client.say(1111, 1.0)
            client.pause(PAUSE_S)
            await trio.sleep(1.0)
            client.command("clear")
            await client.until(Clear)
            await client.settled()
            after = client.event_names[client.event_names.index("clear") + 1 :]
            assert after == ["status listening"]


@pytest.mark.contract("2.3", "2.5")
@virtual_time
async def test_error_while_processing_audio_is_reported_and_the_session_goes_on() -> None:
    class FaultyDetector(LoudnessDetector):
        def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
            if 2222 in window:
                raise RuntimeError("stumbled")
            return super().detect(window, speaking=speaking)

    async with server_fixture(detector=FaultyDetector) as server:
        client = await server.streaming_client(partials=False)
        for level in (1111, 2222, 3333):
            client.say(level, 0.5)
            client.pause(PAUSE_S)
        await client.until(Final, 2)
        await client.settled()
        assert [text for _, text in client.finals] == ["1111.", "3333."]
        assert {(error.where, "stumbled" in error.message) for error in client.of(Error)} == {("audio", True)}
