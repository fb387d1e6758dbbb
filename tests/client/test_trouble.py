"""The Python client in trouble, on Trio and asyncio, against a server that gets into it on purpose."""

import time
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from tests.client.fake_server import Conduct, FakeServer, Peer, behave, serving
from trio_stt.client import ClientSession, ConnectError, SessionClosed, connect
from trio_stt.protocol.events import Event, Hello, Resumed, WarningEvent

PACKETS = [bytes([number]) * 640 for number in range(40)]
AUDIO = b"".join(PACKETS)


@pytest.fixture(params=["trio", "asyncio"])
def run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a scenario on a backend, which must end."""
    monkeypatch.setattr("trio_stt.client.resumable_connection._PAUSES_S", (0.01,))

    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        async def limited() -> None:
            with anyio.fail_after(20):
                await scenario()

        anyio.run(limited, backend=request.param)

    return run


Run = Callable[[Callable[[], Awaitable[None]]], None]


async def speak(server: FakeServer) -> list[Event]:
    """Send all packets, and return the events."""
    async with connect(server.url) as session:
        for packet in PACKETS:
            await session.send(packet)
            await anyio.lowlevel.checkpoint()
        await session.finish()
        return [event async for event in session]


async def cut_after_some(peer: Peer) -> None:
    """A proxy that cuts each connection after seven packets."""
    await peer.greet()
    await peer.serve(until=lambda: peer.packets == 7)


def closes_in_speech(code: int) -> Conduct:
    async def conduct(peer: Peer) -> None:
        await peer.greet()
        await peer.serve(until=lambda: len(peer.server.session.packets) == 20)
        peer.server.forget()
        await peer.close(code, "on purpose")

    return conduct


def rejects(code: int, reason: str = "on purpose") -> Conduct:
    async def conduct(peer: Peer) -> None:
        await peer.accept()
        await peer.close(code, reason)

    return conduct


def answers(status: int) -> Conduct:
    async def conduct(peer: Peer) -> None:
        await peer.stream.receive()
        await peer.stream.send(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    return conduct


async def cut_at_once(peer: Peer) -> None:
    pass


async def say_nothing(peer: Peer) -> None:
    """Read, and never answer."""
    async for _ in peer.stream:
        pass


async def fall_silent(peer: Peer) -> None:
    await peer.greet()
    async for _ in peer.stream:
        pass


async def never_read(peer: Peer) -> None:
    await peer.greet()
    await peer.server.ends.wait()
    await say_nothing(peer)


def test_proxy_that_cuts_connections_costs_no_audio(run: Run) -> None:
    async def scenario() -> None:
        async with serving(cut_after_some) as server:
            events = await speak(server)
            assert server.sessions[-1].audio == AUDIO
            assert len([event for event in events if isinstance(event, Resumed)]) == server.connections - 1 >= 4
            assert len([event for event in events if isinstance(event, Hello)]) == 1

    run(scenario)


@pytest.mark.parametrize("code", [1001, 1012, 1013])
def test_restart_in_mid_speech_costs_no_audio(run: Run, code: int) -> None:
    async def scenario() -> None:
        refusals = [cut_at_once, answers(502), rejects(1012), rejects(1013)]
        async with serving(closes_in_speech(code), *refusals, behave) as server:
            events = await speak(server)
            assert server.sessions[-1].audio == AUDIO
            assert len([event for event in events if isinstance(event, Hello)]) == 2

    run(scenario)


@pytest.mark.parametrize("code", [1008, 1012, 1013])
def test_rejected_session_says_why(run: Run, code: int) -> None:
    async def scenario() -> None:
        async with serving(rejects(code)) as server:
            with pytest.raises(SessionClosed, match="the server closed the session: on purpose") as closed:
                async with connect(server.url) as session:
                    await anext(session)
            assert (closed.value.code, server.connections) == (code, 1)

    run(scenario)


@pytest.mark.parametrize(
    ("second", "code", "message"),
    [(rejects(1008), 1008, "on purpose"), (answers(401), 1012, "it needs a valid key"), (answers(403), 1012, "403")],
)
def test_revoked_key_ends_the_session_at_once(run: Run, second: Conduct, code: int, message: str) -> None:
    async def scenario() -> None:
        async with serving(closes_in_speech(1012), second) as server:
            with pytest.raises(SessionClosed, match=message) as closed:
                await speak(server)
            assert (closed.value.code, server.connections) == (code, 2)

    run(scenario)


@pytest.mark.parametrize("code", [1002, 1009, 1011])
def test_error_of_the_session_ends_it(run: Run, code: int) -> None:
    async def scenario() -> None:
        async with serving(closes_in_speech(code)) as server:
            with pytest.raises(SessionClosed, match="on purpose") as closed:
                await speak(server)
            assert (closed.value.code, server.connections) == (code, 1)

    run(scenario)


@pytest.mark.parametrize("then", [cut_at_once, say_nothing, answers(502), rejects(1013)])
def test_server_that_is_gone_ends_the_session(run: Run, monkeypatch: pytest.MonkeyPatch, then: Conduct) -> None:
    monkeypatch.setattr("trio_stt.client.resumable_connection._RECONNECT_S", 0.1)
    monkeypatch.setattr("trio_stt.client.resumable_connection._ATTEMPT_S", 0.1)

    async def greet_and_cut(peer: Peer) -> None:
        await peer.greet()
        peer.server.forget()

    async def scenario() -> None:
        async with serving(greet_and_cut, then) as server:
            with pytest.raises(SessionClosed, match="the connection was lost and could not be resumed"):
                await speak(server)

    run(scenario)


def test_handshake_without_an_answer_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.websocket._ANSWER_S", 0.05)

    async def scenario() -> None:
        async with serving(say_nothing) as server:
            with pytest.raises(ConnectError, match=r"accepts the connection, but does not answer within 0\.05 s"):
                await speak(server)

    run(scenario)


def test_silent_server_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.websocket._SILENCE_S", 0.05)

    async def scenario() -> None:
        async with serving(fall_silent, behave) as server:
            await speak(server)
            assert (server.sessions[-1].audio, server.connections) == (AUDIO, 2)

    run(scenario)


def test_server_that_answers_pings_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.websocket._SILENCE_S", 0.05)

    async def wait_for_pings(peer: Peer) -> None:
        await peer.greet()
        with anyio.move_on_after(0.2):
            await peer.serve()
        await peer.serve()

    async def scenario() -> None:
        async with serving(wait_for_pings) as server, connect(server.url) as session:
            await anext(session)
            await anyio.sleep(0.3)
            await session.flush()
            assert server.connections == 1

    run(scenario)


def test_audio_that_cannot_be_sent_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.resend_buffer.MAX_BYTES", 10_000)

    async def scenario() -> None:
        may_come_back = anyio.Event()

        async def come_back_late(peer: Peer) -> None:
            await may_come_back.wait()
            await behave(peer)

        async with serving(closes_in_speech(1012), come_back_late) as server:
            sent: list[bytes] = []

            async def send(session: ClientSession) -> None:
                for packet in PACKETS:
                    await session.send(packet)
                    sent.append(packet)
                await session.finish()

            async with connect(server.url) as session, anyio.create_task_group() as tasks:
                tasks.start_soon(send, session)
                await server.wait_connections(2)
                await anyio.wait_all_tasks_blocked()
                assert 20 <= len(sent) < len(PACKETS)
                may_come_back.set()
            assert server.sessions[-1].audio.endswith(b"".join(PACKETS[20:]))

    run(scenario)


def test_frames_that_are_kept_no_more_are_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.resend_buffer.MAX_BYTES", 10_000)

    async def forget_some(peer: Peer) -> None:
        await peer.greet()
        await peer.serve(until=lambda: len(peer.server.session.packets) == 30)
        del peer.server.session.packets[5:]

    async def scenario() -> None:
        async with serving(forget_some, behave) as server:
            events = await speak(server)
            (warning,) = [event for event in events if isinstance(event, WarningEvent)]
            assert "packets of audio are lost" in warning.message

    run(scenario)


def test_late_event_loop_has_another_attempt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_stt.client.resumable_connection._RECONNECT_S", 0.2)

    async def late(_: Peer) -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - it holds the loop of the client, too

    async def scenario() -> None:
        async with serving(closes_in_speech(1012), late, behave) as server:
            await speak(server)
            assert server.sessions[-1].audio == AUDIO

    run(scenario)


def test_other_protocols_end_the_session(run: Run) -> None:
    async def chat(peer: Peer) -> None:
        await peer.accept()
        await peer.send('{"type":"chat","text":"hello"}')
        await peer.serve()

    async def scenario() -> None:
        async with serving(chat) as server:
            with pytest.raises(SessionClosed, match="the server speaks another protocol"):
                await speak(server)

    run(scenario)


CALLS = [
    lambda session: session.send(PACKETS[0]),
    lambda session: session.command('{"type":"ping"}'),
    lambda session: session.flush(),
    lambda session: session.finish(),
]


@pytest.mark.parametrize("call", CALLS, ids=["send", "command", "flush", "finish"])
def test_closed_session_takes_nothing(run: Run, call: Callable[[ClientSession], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with serving(behave, closes_in_speech(1000)) as server:
            async with connect(server.url) as session:
                await session.finish()
                with pytest.raises(SessionClosed, match="the session is closed"):
                    await call(session)
            with pytest.raises(SessionClosed, match="the session is closed"):
                await call(session)
            async with connect(server.url) as session:
                for packet in PACKETS[:20]:
                    await session.send(packet)
                assert [type(event) async for event in session] == [Hello]  # the server has closed it cleanly
                with pytest.raises(SessionClosed, match="the server closed the session: on purpose"):
                    await call(session)

    run(scenario)


def test_flush_ends_with_its_session(run: Run) -> None:
    async def fail(peer: Peer) -> None:
        await peer.greet()
        await peer.next_event()
        await peer.close(1011, "internal error")

    async def scenario() -> None:
        async with serving(fail) as server, connect(server.url) as session:
            with pytest.raises(SessionClosed, match="internal error") as closed:
                await session.flush()
            assert closed.value.code == 1011

    run(scenario)


async def wait_for_an_event(session: ClientSession) -> None:
    while True:
        await anext(session)


async def send_until_blocked(session: ClientSession) -> None:
    for _ in range(100):  # more than sockets hold
        await session.send(bytes(100_000))


@pytest.mark.parametrize("conduct", [say_nothing, fall_silent, never_read, cut_after_some, closes_in_speech(1012)])
@pytest.mark.parametrize("call", [wait_for_an_event, send_until_blocked, *CALLS])
def test_cancellation_leaves_nothing(
    run: Run, conduct: Conduct, call: Callable[[ClientSession], Awaitable[None]]
) -> None:
    async def scenario() -> None:
        async def use(url: str) -> None:
            async with connect(url) as session:
                await call(session)
                await anyio.sleep_forever()

        # The server waits until the client has gone.
        async with serving(conduct, say_nothing) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(use, server.url)
            await server.wait_connections(1)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    run(scenario)


def test_cancelled_send_is_sent_all_the_same(run: Run) -> None:
    async def scenario() -> None:
        reads = anyio.Event()

        async def read_late(peer: Peer) -> None:
            await peer.greet()
            await reads.wait()
            await peer.serve()

        async with serving(read_late, behave) as server, connect(server.url) as session:
            sent = b""
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def cancel() -> None:
                        await anyio.wait_all_tasks_blocked()
                        scope.cancel()

                    tasks.start_soon(cancel)
                    while True:
                        sent += bytes([len(sent) // 100_000 % 256]) * 100_000
                        await session.send(sent[-100_000:])
            reads.set()
            await session.send(b"\1\1")
            await session.flush()
            assert server.sessions[-1].audio == sent + b"\1\1"

    run(scenario)
