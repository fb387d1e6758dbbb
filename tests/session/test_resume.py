"""Disconnected clients: resume, replay of missed events, grace period, eviction."""

import gc
from collections import Counter

import pytest
import trio
import trio.testing

from tests.contract.fixtures import PAUSE_S, talk
from tests.lanes.fakes import virtual_time
from tests.support.conversation import server_fixture
from trio_stt.dsp import WINDOW_SAMPLES
from trio_stt.errors import ServerClosing, ServerFull
from trio_stt.protocol.events import Error, Final, Heartbeat, Hello, Realtime, Resumed, Status, WarningEvent
from trio_stt.session.connection import CloseReason
from trio_stt.session.outbox import SEND_TIMEOUT_S


@virtual_time
async def test_resumed_utterance_continues_its_segment() -> None:
    async with server_fixture() as server:
        first = await server.streaming_client(partials=False)
        first.say(1111, 1.0)
        await first.settled()
        seen = first.seq
        first.drop()
        await trio.sleep(9.9)
        assert (server.server_state.registry.active_sessions, server.server_state.active_speakers) == (1, 1)
        second = await server.resume(first)
        (resumed,) = second.of(Resumed)
        assert (resumed.session_id, resumed.seq) == (first.session.session_id, seen)
        assert (resumed.received_packets, resumed.received_commands) == (25, 1)
        assert (resumed.streaming, resumed.missed_events) == (True, 0)
        second.say(2222, 1.0)
        second.pause(PAUSE_S)
        await second.until(Final)
        await second.settled()
        assert second.finals == [(1, "1111 2222.")]
        assert first.seqs + second.seqs == list(range(1, seen + len(second.seqs) + 1))
        assert {getattr(event, "session_id", None) for event in second.session_events} == {first.session.session_id}
        assert server.server_state.registry.active_sessions == 1


@virtual_time
async def test_resume_replays_missed_events_before_new_ones() -> None:
    async with server_fixture(inference_s=lambda _: 2.0) as server:
        first = await server.streaming_client(partials=False)
        first.say(1111, 1.0)
        first.pause(PAUSE_S)
        await trio.sleep(1.0)
        first.drop()
        await trio.sleep(5.0)
        second = await server.resume(first, seq=3)
        await second.settled()
        assert second.session_events[: len(first.events) - 3] == first.events[3:]
        assert second.finals == [(1, "1111.")]
        assert second.seqs == list(range(4, second.seq + 1))


@virtual_time
async def test_resume_skips_replaced_partials_and_states() -> None:
    async with server_fixture(inference_s=lambda _: 0.1) as server:
        first = await server.streaming_client()
        await talk(first, 1111, 1.0)
        for _ in range(80):
            first.say(1111, 0.04)
        await trio.testing.wait_all_tasks_blocked()
        first.drop()
        await trio.sleep(9.0)
        second = await server.resume(first)
        await second.settled()
        assert len(second.of(Realtime)) == 1
        assert len(second.of(Heartbeat)) <= 1
        assert len([event for event in second.session_events if isinstance(event, Status)]) <= 1


@virtual_time
async def test_session_ends_when_the_grace_period_is_over() -> None:
    async with server_fixture(resume_grace_s=10.0) as server:
        first = await server.streaming_client()
        first.say(1111, 1.0)
        await first.settled()
        first.drop()
        await trio.sleep(10.1)
        assert (server.server_state.registry.active_sessions, server.server_state.active_speakers) == (0, 0)
        second = await server.connect()
        second.resume(first.token, first.seq)
        (error,) = [await second.until(Error)]
        assert (error.where, "no such session" in error.message) == ("resume", True)
        second.command("start")
        second.say(2222, 1.0)
        second.pause(PAUSE_S)
        await second.until(Final)
        assert second.finals == [(1, "2222.")]


@virtual_time
@pytest.mark.parametrize("grace_s", [0.0, 10.0])
async def test_clean_close_or_no_grace_period_ends_the_session_at_once(grace_s: float) -> None:
    async with server_fixture(resume_grace_s=grace_s) as server:
        client = await server.connect()
        greeting = await client.until(Hello)
        assert greeting.resume_grace_seconds == grace_s
        assert isinstance(greeting.resume_token, str) == bool(grace_s)
        if grace_s:
            client.leave()
        else:
            client.drop()
        await trio.testing.wait_all_tasks_blocked()
        assert server.server_state.registry.active_sessions == 0


@virtual_time
async def test_invalid_resume_is_refused_and_the_new_session_goes_on() -> None:
    async with server_fixture() as server:
        lost = await server.connect()
        await lost.settled()
        lost.drop()
        await trio.sleep(1.0)
        for token, seq in [
            (lost.token[:-1], 1),
            (f"{lost.token}x", 1),
            (lost.session.session_id, 1),
            ("", 0),
            ("\N{SNOWMAN}", 0),
            (lost.token, lost.seq + 1),
        ]:
            client = await server.connect()
            client.resume(token, seq)
            assert (await client.until(Error)).where == "resume"
            client.resume(lost.token, lost.seq)
            assert "first message" in (await client.until(Error, 2)).message
            client.leave()
        itself = await server.connect()
        await itself.until(Hello)
        itself.resume(itself.token, 1)
        assert (await itself.until(Error)).where == "resume"
        itself.leave()
        assert (await server.resume(lost)).of(Resumed)[0].missed_events == 0


@virtual_time
async def test_newest_connection_replaces_a_half_open_one() -> None:
    async with server_fixture() as server:
        first = await server.streaming_client(partials=False)
        first.say(1111, 0.5)
        await first.settled()
        second = await server.resume(first)
        await trio.testing.wait_all_tasks_blocked()
        assert first.close_reason is CloseReason.RESUMED
        event_count = len(first.events)
        first.say(9999, 0.5)
        second.say(2222, 0.5)
        second.pause(PAUSE_S)
        await second.until(Final)
        assert second.finals == [(1, "1111 2222.")]
        assert len(first.events) == event_count
        assert server.server_state.registry.active_sessions == 1


@virtual_time
async def test_hanging_send_is_aborted_and_its_client_may_resume() -> None:
    async with server_fixture() as server:
        stalled = await server.streaming_client(partials=False)
        stalled.say(1111, 0.5)
        await stalled.settled()
        seen, stalled.reads, stalled.closed_cleanly = stalled.seq, False, False
        stalled.command("ping")
        await trio.sleep(SEND_TIMEOUT_S * 1.3)
        assert stalled.aborted
        back = await server.resume(stalled, seq=seen)
        back.pause(PAUSE_S)
        assert (await back.until(Final)).text == "1111."
        assert back.seqs == list(range(seen + 1, back.seq + 1))


@virtual_time
async def test_packet_interrupted_by_a_lost_connection_is_not_counted() -> None:
    async with server_fixture(audio_queue_size=1) as server:
        first = await server.streaming_client(partials=False)
        await first.settled()
        for _ in range(20):
            first.say(1111, 0.04)
        await trio.lowlevel.checkpoint()
        first.drop()
        second = await server.resume(first)
        received = second.of(Resumed)[0].received_packets
        assert received < 20
        for _ in range(20 - received):
            second.say(1111, 0.04)
        second.pause(PAUSE_S)
        final = await second.until(Final)
        assert isinstance(final.duration_seconds, float)
        assert final.text == "1111."
        assert second.session.report().dropped_audio_chunks == 0
        assert abs(first.session._utterances._pipeline.position_sample - 1.6 * 16_000) < WINDOW_SAMPLES


@virtual_time
async def test_disconnected_client_does_not_count_as_stalled() -> None:
    async with server_fixture(stream_stall_timeout_s=5.0, resume_grace_s=60.0) as server:
        first = await server.streaming_client(partials=False)
        first.say(1111, 1.0)
        await trio.sleep(2.0)
        first.drop()
        await trio.sleep(30.0)
        second = await server.resume(first)
        await trio.sleep(4.0)
        assert second.of(WarningEvent) == []
        await trio.sleep(6.1)
        assert ["No audio came" in notice.message for notice in second.of(WarningEvent)] == [True]
        assert second.finals == [(1, "1111.")]


@virtual_time
async def test_idle_timeout_applies_to_disconnected_clients() -> None:
    async with server_fixture(idle_timeout_s=20.0, resume_grace_s=600.0) as server:
        client = await server.streaming_client()
        await client.settled()
        client.drop()
        await trio.sleep(19.0)
        assert server.server_state.registry.active_sessions == 1
        await trio.sleep(2.0)
        assert server.server_state.registry.active_sessions == 0


# --- limits of sessions ---


@virtual_time
async def test_full_server_accepts_a_resuming_client() -> None:
    async with server_fixture(max_sessions=1) as server:
        first = await server.streaming_client()
        first.say(1111, 0.5)
        await first.settled()
        first.drop()
        await trio.sleep(1.0)
        second = await server.resume(first)
        with pytest.raises(ServerFull):
            server.server_state.reserve()
        second.pause(PAUSE_S)
        assert (await second.until(Final)).text == "1111."
        assert server.server_state.registry.active_sessions == 1


@virtual_time
async def test_longest_disconnected_session_is_evicted_for_a_new_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "trio_stt")
    async with server_fixture(max_sessions=2) as server:
        lost = []
        for _ in range(2):
            client = await server.streaming_client()
            await client.settled()
            lost.append(client)
        lost[1].drop()
        await trio.sleep(1.0)
        lost[0].drop()
        await trio.sleep(1.0)
        newcomer = await server.connect()
        await newcomer.settled()
        assert server.server_state.registry.active_sessions == 3
        newcomer.command("start")
        await newcomer.settled()
        assert server.server_state.registry.active_sessions == 2
        assert "session ended: another session took the place of this disconnected one" in caplog.text
        assert "shuts down" not in caplog.text
        late = await server.connect()
        late.resume(lost[1].token, lost[1].seq)
        assert (await late.until(Error)).where == "resume"
        await late.settled()
        assert server.server_state.registry.active_sessions == 2, "the other session was evicted, too"
        with pytest.raises(ServerFull):
            server.server_state.reserve()


@virtual_time
async def test_few_disconnected_sessions_that_were_never_active_are_kept() -> None:
    async with server_fixture() as server:
        spoke = await server.connect()
        spoke.command("ping")
        await spoke.settled()
        spoke.drop()
        never_active_sessions = []
        for _ in range(40):
            never_active_sessions.append(await server.connect())
            await never_active_sessions[-1].settled()
            never_active_sessions[-1].drop()
            await trio.sleep(0.02)
        assert server.server_state.registry.active_sessions == 16 + 1
        for kept in (never_active_sessions[-16], spoke):
            back = await server.resume(kept)
            assert back.of(Resumed)
        late = await server.connect()
        late.resume(never_active_sessions[-17].token, never_active_sessions[-17].seq)
        assert (await late.until(Error)).where == "resume"


@virtual_time
async def test_disconnected_session_gives_its_speaker_slot_to_a_new_one_and_keeps_its_text() -> None:
    async with server_fixture(max_active_speakers=1) as server:
        lost = await server.streaming_client()
        lost.say(1111, 1.0)
        await lost.settled()
        lost.drop()
        await trio.sleep(1.0)
        newcomer = await server.connect()  # the same person, whose client does not resume
        newcomer.command("start")
        newcomer.say(2222, 1.0)
        newcomer.pause(PAUSE_S)
        await newcomer.until(Final)
        assert newcomer.finals == [(1, "2222.")]
        assert newcomer.of(WarningEvent) == []
        back = await server.resume(lost)
        assert (await back.until(Final)).text == "1111."
        assert "while you were disconnected" in back.of(WarningEvent)[-1].message
        back.say(3333, 1.0)
        back.pause(PAUSE_S)
        await back.until(Final, 2)
        assert back.finals == [(1, "1111."), (2, "3333.")]


@virtual_time
async def test_speaker_slots_are_taken_from_the_longest_disconnected_and_never_from_connected_sessions() -> None:
    async with server_fixture(max_active_speakers=3) as server:
        connected, late, early, *newcomers = [await server.connect() for _ in range(6)]
        for client in (connected, late, early):
            client.command("start")
            client.say(1111, 1.0)
            await client.settled()
        for client in (early, late):
            client.drop()
            await trio.sleep(1.0)
        running = []
        for newcomer in newcomers:
            newcomer.command("start")
            newcomer.say(2222, 1.0)
            await newcomer.settled()
            running.append([client.session.report().recording for client in (connected, late, early, newcomer)])
        assert running == [[True, True, False, True], [True, False, False, True], [True, False, False, False]]
        assert "active speaker limit" in newcomers[-1].of(WarningEvent)[0].message
        assert server.server_state.active_speakers == 3


# --- ended sessions leave nothing behind ---


@virtual_time
async def test_abandoned_sessions_are_freed() -> None:
    async with server_fixture(max_sessions=50, resume_grace_s=10.0) as server:

        async def abandon(count: int) -> Counter[str]:
            for _ in range(count):
                client = await server.streaming_client()
                client.say(1111, 0.2)
                await client.settled()
                client.drop()
                await trio.sleep(0.3)
            await trio.sleep(11.0)
            assert (server.server_state.registry.active_sessions, server.server_state.active_speakers) == (0, 0)
            assert server.server_state._nursery is not None
            del client
            gc.collect()
            kinds = (type(each) for each in gc.get_objects())
            ours = Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("trio_stt."))
            del ours["Hints"]  # the fake engine records them
            return ours + Counter(tasks=len(server.server_state._nursery.child_tasks))

        before = await abandon(20)
        assert await abandon(300) == before


@virtual_time
async def test_shutdown_does_not_wait_for_disconnected_clients() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client = await server.streaming_client(partials=False)
        client.say(1111, 1.0)
        await client.settled()
        client.drop()
        await trio.testing.wait_all_tasks_blocked()
        begun_s = trio.current_time()
        await server.server_state.registry.drain(10.0)
        assert trio.current_time() == begun_s
        assert server.server_state.registry.active_sessions == 0
        with pytest.raises(ServerClosing):
            server.server_state.reserve()
