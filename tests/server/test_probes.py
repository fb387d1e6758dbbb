"""Liveness and readiness, on virtual time."""

import math

import trio
import trio.testing

from tests.contract.fixtures import PAUSE_S, change, talk
from tests.lanes.fakes import FakeEngine, virtual_time
from tests.support.conversation import Batch, levels, server_fixture
from trio_stt.errors import EngineUnavailable
from trio_stt.server.probes import restart_reason, unready_reason


@virtual_time
async def test_ready_means_loaded_and_not_full() -> None:
    async with server_fixture(load_s=5.0, max_sessions=1) as server:
        assert unready_reason(server.server_state) == "models are loading"
        await trio.sleep(6.0)
        assert unready_reason(server.server_state) is None
        client = await server.connect()
        assert unready_reason(server.server_state) == "the server is full: max_sessions is 1"
        change(server.server_state, max_sessions=2)
        assert unready_reason(server.server_state) is None
        await server.server_state.registry.drain(0.0)
        await trio.testing.wait_all_tasks_blocked()  # the client reads why it was closed
        assert client.close_reason is not None
        assert unready_reason(server.server_state) == "the server shuts down"
        assert restart_reason(server.server_state) is None


@virtual_time
async def test_load_failure_is_no_reason_to_restart() -> None:
    def load() -> FakeEngine:
        raise EngineUnavailable("the model is missing")

    async with server_fixture(load=load) as server:
        await trio.sleep(1.0)
        assert "the model is missing" in (unready_reason(server.server_state) or "")
        assert restart_reason(server.server_state) is None


@virtual_time
async def test_hanging_engines_are_a_reason_to_restart() -> None:
    def hangs(batch: Batch) -> float:
        return math.inf if any("2222" in transcript.text for transcript in levels(batch)) else 0.05

    async with server_fixture(job_deadline_s=5.0, inference_s=hangs, early_transcription_on_silence=0.0) as server:
        client = await server.streaming_client(partials=False)
        for _ in range(2):
            assert restart_reason(server.server_state) is None
            await talk(client, 2222, 1.0)
            client.pause(PAUSE_S)
            await trio.sleep(1000.0)
        assert "3 engines hang" in (restart_reason(server.server_state) or "")
        assert "3 engines hang" in (unready_reason(server.server_state) or "")
