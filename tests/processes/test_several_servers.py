"""A real server of two processes: resume across them, limits and figures of all together, deaths and replacement."""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from trio_websocket import open_websocket

from tests.support.client import SocketClient, connected, load_pcm
from tests.support.keys import add_key
from tests.support.real import moonshine_asset
from tests.support.server import RunningServer, output_of_one_test, running_server, shared_server
from trio_stt.access.keys import KeyScope

SERVE = ["-m", "tests.support.spoken_server", "--port", "{port}", "--processes", "2"]
LIMITS = ["--max-sessions", "8", "--max-connections-per-address", "40"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")


@pytest.fixture(scope="module")
def _server() -> Iterator[RunningServer]:
    with shared_server([*SERVE, *LIMITS]) as server:
        trio.run(until_all_ready, server)
        yield server


@pytest.fixture
def server(_server: RunningServer) -> Iterator[RunningServer]:
    with output_of_one_test(_server):
        yield _server


async def until_all_ready(server: RunningServer) -> None:
    with trio.fail_after(60):
        await server.wait_for_output("with 2 processes")


def process_of(client: SocketClient) -> int:
    """The number of the process that has the session of a client."""
    return int(client.of("hello")[0]["sessionId"][:6], 16)


async def fetch(server: RunningServer, path: str) -> Any:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        return (await http.get(path)).json()


@asynccontextmanager
async def client_of_another(server: RunningServer, than: int, *, key: str | None = None) -> AsyncIterator[SocketClient]:
    """A client whose connection another process accepts."""
    async with AsyncExitStack() as stack:
        for _ in range(30):
            async with AsyncExitStack() as attempt:
                client = await attempt.enter_async_context(connected(server))
                if key is not None:
                    await authorize(client, key)
                await client.until("ready")
                if process_of(client) != than:
                    stack.push_async_exit(attempt.pop_all().__aexit__)
                    yield client
                    return
    raise AssertionError("one process accepts all connections")


async def until_answered(client: SocketClient) -> None:
    """Wait until a client has a session, or is refused one."""
    with trio.fail_after(30):
        while not client.of("ready") and not client.closed:
            await client._news.wait()


async def resume(client: SocketClient, token: str, seq: int) -> None:
    await client.socket.send_message(json.dumps({"type": "resume", "token": token, "seq": seq}))


async def authorize(client: SocketClient, key: str) -> None:
    await client.socket.send_message(json.dumps({"type": "auth", "key": key}))


async def test_session_is_resumed_through_the_other_process_without_a_lost_word(server: RunningServer) -> None:
    samples, rate_hz = load_pcm(moonshine_asset("beckett.wav"))
    half = len(samples) // 2
    async with connected(server) as first:
        hello = await first.until("hello")
        await first.until("ready")
        await first.command("start")
        await first.stream(samples[:half], rate_hz)
        await first.until("realtime")
        seq = first.events[-1]["seq"]
        first.socket._stream.socket.close()  # lost, without a close frame
        async with client_of_another(server, process_of(first)) as second:
            begun = len(second.events)
            await resume(second, hello["resumeToken"], seq)
            resumed = await second.until("resumed")
            assert resumed["sessionId"] == hello["sessionId"]
            per_packet = round(rate_hz * 0.04)
            await second.stream(samples[resumed["receivedPackets"] * per_packet :], rate_hz)
            await second.command("stop")
            await second.until_all_final()
            numbers = [event["seq"] for event in second.events[begun + 1 :]]
            assert numbers == list(range(seq + 1, seq + 1 + len(numbers)))
            finals = {event["segmentId"]: event["text"] for event in (*first.of("final"), *second.of("final"))}
            spoken_s = sum(float(text.split()[2]) for text in finals.values())
            assert spoken_s > 0.7 * len(samples) / rate_hz
            await second.command("ping")
            await second.until("pong")


@pytest.mark.parametrize("session", ["0" * 32, "ffffff" + "0" * 26, "../../etc/passwd", "-1", "000002" + "g" * 26, ""])
async def test_resume_of_what_is_no_session_is_refused_and_the_client_goes_on(
    server: RunningServer, session: str
) -> None:
    async with connected(server) as client:
        await client.until("ready")
        await resume(client, f"{session}.secret", 0)
        error = await client.until("error")
        assert error["where"] == "resume"
        await client.command("ping")
        await client.until("pong")


async def test_wrong_secret_and_a_number_never_sent_are_refused_across_processes(server: RunningServer) -> None:
    async with connected(server) as owner:
        hello = await owner.until("hello")
        await owner.until("ready")
        async with client_of_another(server, process_of(owner)) as other:
            await resume(other, hello["resumeToken"] + "x", 0)
            await other.until("error")
            await resume(other, hello["resumeToken"], 10**9)
            messages = [(await other.until("error", count))["message"] for count in (1, 2)]
            assert "no such session" in messages[0]
            assert "was never sent" in messages[1] or "first message" in messages[1]
        await owner.command("ping")
        await owner.until("pong")


async def test_limit_on_sessions_holds_for_both_together(server: RunningServer) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server)) for _ in range(14)]
        for client in clients:
            await until_answered(client)
        admitted = [client for client in clients if not client.closed]
        assert len(admitted) == 8
        assert len(Counter(process_of(client) for client in admitted)) == 2
        assert {client.close_code for client in clients if client.closed} == {1013}


async def test_reports_and_metrics_are_those_of_both_together(server: RunningServer) -> None:
    async with connected(server) as one:
        await one.until("ready")
        async with client_of_another(server, process_of(one)) as other:
            sessions = {client.of("hello")[0]["sessionId"] for client in (one, other)}
            for _ in range(6):  # each over a connection of its own, so that both processes answer
                metrics = await fetch(server, "/api/metrics")
                assert sessions <= set(metrics["sessions"])
                assert metrics["activeSessions"] == len(metrics["sessions"])
                assert metrics["scheduler"]["workers"]["main"]["serving"] == 2
                health = await fetch(server, "/health")
                assert health["activeSessions"] == metrics["activeSessions"]
                assert health["ok"]
                assert len((await fetch(server, "/api/history"))["sessions"]) >= 1
                figures = await prometheus(server)
                assert figures['trio_stt_sessions{dialect="realtimestt"}'] == metrics["activeSessions"]
                assert figures["trio_stt_max_sessions"] == 8
                assert figures['trio_stt_lane_workers{lane="main",state="serving"}'] == 2


async def prometheus(server: RunningServer) -> dict[str, float]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def test_change_of_a_setting_reaches_both(server: RunningServer) -> None:
    url = f"http://127.0.0.1:{server.port}/api/config"
    for limit in (7, 6, 8):
        async with httpx2.AsyncClient(timeout=30) as http:
            answer = await http.patch(url, json={"max_sessions": limit})
            assert answer.status_code == 200
        found = {(await fetch(server, "/api/config"))["settings"]["max_sessions"] for _ in range(6)}
        assert found == {limit}


async def test_client_secret_is_valid_in_both(server: RunningServer) -> None:
    url = f"http://127.0.0.1:{server.port}/v1/realtime/client_secrets"
    wanted = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    async with httpx2.AsyncClient(timeout=30) as http:
        answer = await http.post(url, json={"session": wanted})
        assert answer.status_code == 200, answer.text
    headers = [("authorization", f"Bearer {answer.json()['value']}")]
    for _ in range(6):  # so that both processes accept one
        async with open_websocket(
            "127.0.0.1", server.port, "/v1/realtime", use_ssl=False, extra_headers=headers
        ) as socket:
            session = json.loads(await socket.get_message())["session"]
            assert session["audio"]["input"]["turn_detection"] is None, "as the secret says"


async def test_key_is_checked_before_a_resume_through_the_other_process(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    owner_key, other_key = add_key(keys, KeyScope.TALK), add_key(keys, KeyScope.TALK)
    # Each process allows its part of the wrong keys, and the kernel may lead all of them to one process.
    flags = ["--keys-file", str(keys), "--max-failed-logins-per-address", "100"]
    async with running_server([*SERVE, *flags]) as server:
        await until_all_ready(server)
        async with connected(server) as owner:
            await authorize(owner, owner_key)
            hello = await owner.until("hello")
            await owner.until("ready")
            for key in (None, "tstt_00000000_wrong"):
                for _ in range(6):  # so that both processes refuse one
                    async with connected(server) as refused:
                        if key is not None:
                            await authorize(refused, key)
                        await resume(refused, hello["resumeToken"], 0)
                        await refused.until_closed()
                        assert refused.close_code == 1008
                        assert not refused.of("resumed")
            async with client_of_another(server, process_of(owner), key=other_key) as other:
                await resume(other, hello["resumeToken"] + "x", 0)
                assert "no such session" in (await other.until("error"))["message"]
            await owner.command("ping")
            await owner.until("pong")
