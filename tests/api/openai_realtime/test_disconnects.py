"""Ends of a connection: a client that leaves at any point leaves nothing behind, and the server's own close codes."""

import gc
from collections.abc import Callable

import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from tests.support.realtime import MANUAL, RealtimeClient, append, connect, new_dialect, realtime
from trio_stt.api.dialect import Close
from trio_stt.session.session import Session


def dialogue(client: RealtimeClient) -> list[Callable[[], object]]:
    """What a client sends, message by message."""
    return [
        lambda: client.update(MANUAL),
        lambda: client.put(append(1111, 1.0)),
        client.commit,
        lambda: client.put(append(2222, 0.5)),
        client.clear,
        lambda: client.update({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}),
        lambda: client.put(append(3333, 1.0)),
        lambda: client.put(append(0, 1.0)),
        client.commit,
    ]


@virtual_time
async def test_client_that_leaves_at_any_point_leaves_nothing() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        state = server.server_state
        for count, waits in [*((count, False) for count in (0, 1, 2, 3, 5, 7, 9)), (2, True), (9, True)]:
            client = await connect(server, new_dialect(state.settings))
            for step in dialogue(client)[:count]:
                step()
                if waits:
                    await trio.sleep(0.5)
            client.leave()
            await trio.sleep(30.0)
            assert client.over
            assert client.close is None
            assert (state.registry.active_sessions, state.registry.reserved, state.active_speakers) == (0, 0, 0)
        assert all(lane.queue.queued == 0 for lane in state.lanes.statistics().lanes)
        gc.collect()
        # By its type: `isinstance` would ask each object for its class, and some of other tests warn when asked.
        assert not [each for each in gc.get_objects() if type(each) is Session]


@virtual_time
async def test_shutdown_closes_with_1001_after_the_last_words() -> None:
    async with server_fixture(inference_s=lambda _: 1.0) as server:
        client = await connect(server, new_dialect(server.server_state.settings))
        client.put(append(1111, 1.0))
        await trio.sleep(0.5)
        await server.server_state.registry.drain(30.0)
        await trio.testing.wait_all_tasks_blocked()
        assert client.close == Close(1001, "the server shuts down")
        assert len(client.transcripts) == 1


@virtual_time
async def test_idle_client_is_closed_with_1001() -> None:
    async with realtime(idle_timeout_s=60.0) as client:
        client.pause(1.0)
        await trio.sleep(70.0)
        assert client.close == Close(1001, "idle for too long")


@virtual_time
async def test_client_that_reads_nothing_is_cut_off() -> None:
    async with server_fixture() as server:
        client = await connect(server, new_dialect(server.server_state.settings))
        client.reads = False
        client.say(1111, 1.0)
        client.pause(1.0)
        await trio.sleep(60.0)
        assert client.over
        assert not server.server_state.registry.active_sessions
