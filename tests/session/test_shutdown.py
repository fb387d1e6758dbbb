"""Server shutdown: pending finals are delivered, and new sessions are refused."""

import pytest
import trio

from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from trio_stt.errors import ServerClosing
from trio_stt.protocol.events import Final, Ready, Realtime, WarningEvent


@virtual_time
async def test_shutdown_delivers_the_final_of_the_running_utterance() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        talking, silent = await server.connect(partials=False), await server.connect()
        for client in (talking, silent):
            client.command("start")
        talking.say(1111, 1.03)
        await trio.sleep(0.1)
        begun_s = trio.current_time()
        await server.server_state.registry.drain(10.0)
        assert trio.current_time() - begun_s == pytest.approx(2.0)
        assert talking.finals == [(1, "1111.")]
        assert talking.states[-1] == "idle"
        assert ["shutting down" in notice.message for notice in silent.of(WarningEvent)] == [True]
        assert server.server_state.registry.active_sessions == 0


@virtual_time
async def test_audio_after_the_shutdown_warning_is_rejected() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server_state.registry.drain, 10.0)
            await client.until(WarningEvent)
            client.say(2222, 1.0)
            client.command("start")
            client.say(2222, 1.0)
        assert client.finals == [(1, "1111.")]
        assert client.session.report().rejected_audio_chunks == 50
        assert client.of(Realtime) == []


@virtual_time
async def test_shutdown_grace_is_a_limit() -> None:
    async with server_fixture(inference_s=lambda _: 60.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await trio.sleep(0.1)
        begun_s = trio.current_time()
        await server.server_state.registry.drain(5.0)
        assert trio.current_time() - begun_s == pytest.approx(5.0)
        assert client.of(Final) == []
        assert server.server_state.registry.active_sessions == 0


@pytest.mark.parametrize("leaves_at_s", [0.0, 1.0])
@virtual_time
async def test_shutdown_does_not_wait_for_a_client_that_leaves_meanwhile(leaves_at_s: float) -> None:
    async with server_fixture(inference_s=lambda _: 60.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await trio.sleep(0.1)
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server_state.registry.drain, 50.0)
            await trio.sleep(leaves_at_s)
            client.leave()
        assert trio.current_time() - begun_s == leaves_at_s
        assert server.server_state.registry.active_sessions == 0


@virtual_time
async def test_client_that_does_not_read_delays_shutdown_by_the_grace_at_most() -> None:
    async with server_fixture() as server:
        stalled = await server.connect()
        stalled.reads = False
        begun_s = trio.current_time()
        await server.server_state.registry.drain(5.0)
        assert trio.current_time() - begun_s <= 6.0


@virtual_time
async def test_new_sessions_are_refused_during_shutdown() -> None:
    async with server_fixture() as server:
        await server.server_state.registry.drain(1.0)
        with pytest.raises(ServerClosing, match="shuts down"):
            server.server_state.reserve()
        assert server.server_state.health().rejected_sessions == 1


@virtual_time
async def test_shutdown_does_not_wait_for_clients_that_were_never_active() -> None:
    async with server_fixture() as server:
        client = await server.connect()
        await client.until(Ready)
        begun_s = trio.current_time()
        await server.server_state.registry.drain(5.0)
        assert trio.current_time() == begun_s
        assert server.server_state.registry.active_sessions == 0
        assert "shutting down" in client.of(WarningEvent)[-1].message
