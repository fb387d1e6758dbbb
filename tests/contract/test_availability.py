"""Freezes, and clients that blocked all others: defects 1 to 5 in tests/contract_report.py."""

import sys
import threading
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import trio
import trio.testing
from numpy.typing import NDArray

from tests.contract.fixtures import PAUSE_S, change, send, served, speech
from tests.lanes.fakes import virtual_time
from tests.support.conversation import LoudnessDetector, server_fixture
from tests.support.real import package_folder
from trio_stt.dsp import openwakeword
from trio_stt.dsp.detector import VadResult
from trio_stt.protocol.events import Clear, Error, Final, Pong
from trio_stt.protocol.packets import build_packet
from trio_stt.session.outbox import MAX_EVENTS

contract = pytest.mark.contract

WATCHED = (
    *("open", "os.listdir", "os.scandir", "socket.connect"),
    *("_thread.start_new_thread", "subprocess.Popen", "time.sleep"),
)
_recorded: list[str] | None = None


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if _recorded is not None and event in WATCHED and threading.current_thread() is threading.main_thread():
        _recorded.append(f"{event} {arguments[:1]}")


sys.addaudithook(_record)  # audit hooks cannot be removed, so outside of the test this one records nothing


class Steps(trio.abc.Instrument):
    """The largest growth of a count in one step of one task, during which the event loop is blocked."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._before = count()
        self.most = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - as trio calls it
        self.most, self._before = max(self.most, self._count() - self._before), self._count()


@contract("4.9", "11/1")
@virtual_time
async def test_clear_discards_a_pending_final_and_affects_no_other_session() -> None:
    async with server_fixture(inference_s=lambda _: 5.0) as server:
        client, other = await server.connect(partials=False), await server.connect(partials=False)
        client.command("start")
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await trio.sleep(1)
        client.command("clear")
        cleared = await client.until(Clear)
        assert server.server_state.health().active_sessions == 2
        other.command("ping")
        await other.until(Pong)
        assert trio.current_time() == 1, "no command waited for the engine"
        client.say(2222, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.finals == [(2, "2222.")]
        assert cleared.next_segment_id == 2
        assert client.event_names[client.event_names.index("clear") + 1] == "status listening"


@contract("11/2", "11/5")
async def test_session_uses_no_files_threads_network_or_sleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package_folder("openwakeword")
    words = {"wakeword_backend": "openwakeword", "wake_words": "alexa", "wake_word_activation_delay": 60}
    async with served(monkeypatch, **words) as server:
        spoken = speech(2.0)
        global _recorded  # noqa: PLW0603 - the audit hook, which stays for the life of the process, writes there
        audit_events: list[str] = []
        _recorded = audit_events
        try:
            for _ in range(5):
                client = await server.streaming_client()
                send(client, spoken)
                client.command("stop")
                await client.until(Final)
                client.leave()
                while server.server_state.registry.active_sessions:
                    await trio.testing.wait_all_tasks_blocked()
        finally:
            _recorded = None
        assert audit_events == []


@contract("2.3", "11/3")
@virtual_time
async def test_invalid_sample_rate_is_refused_before_processing() -> None:
    async with server_fixture() as server:
        client = await server.streaming_client()
        await client.settled()
        pcm = bytes(524_288)
        hostile = [build_packet(pcm, rate_hz=rate_hz) for rate_hz in (1, 999_983, 7_999, 192_001, 10**4000)]
        tracemalloc.start()
        try:
            for number, packet in enumerate(hostile, 1):
                client.raw(packet)
                assert (await client.until(Error, number)).where == "audio_packet"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * len(pcm), "at rate 1 it would be 8 GB"
        assert client.states == ["listening"]


@contract("11/3")
@virtual_time
async def test_long_packet_is_processed_in_steps_of_100_ms_of_audio() -> None:
    detected = 0

    class Counting(LoudnessDetector):
        def detect(self, window: NDArray[np.int16], *, speaking: bool) -> VadResult:
            nonlocal detected
            detected += 1
            return super().detect(window, speaking=speaking)

    async with server_fixture(detector=Counting) as server:
        client = await server.streaming_client(partials=False)
        await client.settled()
        client.raw(build_packet(bytes(524_288), rate_hz=8_000))
        steps = Steps(lambda: detected)
        trio.lowlevel.add_instrument(steps)
        await client.settled()
        trio.lowlevel.remove_instrument(steps)
        assert detected == 524_288 // 512 - 1  # the resampler holds back the last milliseconds
        assert 0 < steps.most <= 4


@contract("11/4", "2.9")
@virtual_time
async def test_events_for_a_client_that_does_not_read_are_bounded_and_sent_by_one_task() -> None:
    async with server_fixture() as server:
        stalled = await server.connect()
        stalled.command("ping")  # starts all tasks of the session
        await stalled.settled()
        stalled.reads = False
        tasks = trio.lowlevel.current_statistics().tasks_living
        for _ in range(MAX_EVENTS - 100):
            stalled.command("ping")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert not stalled.aborted
        for _ in range(20 * MAX_EVENTS):
            stalled.command("ping")
        await trio.testing.wait_all_tasks_blocked()
        assert stalled.aborted
        assert server.server_state.registry.active_sessions == 0
        unread = stalled._from_client.statistics().current_buffer_used
        assert unread > 19 * MAX_EVENTS, "the client was disconnected at the bound"


@contract("4.10", "1.3", "11/5")
@virtual_time
async def test_wake_words_without_a_backend_do_not_affect_later_sessions() -> None:
    async with server_fixture() as server:
        assert change(server.server_state, wake_words="jarvis").rejected == {}
        client = await server.streaming_client()
        client.say(1111, 1.0)
        client.pause(PAUSE_S)
        await client.until(Final)
        await client.settled()
        assert client.states[0] == "listening"
        assert client.finals == [(1, "1111.")], "the session did not wait for a wake word"
        assert not client.session.report().wake_word_enabled


@contract("4.10", "1.3", "11/5")
@virtual_time
async def test_missing_wake_word_package_is_rejected_by_patch_and_clients_still_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openwakeword, "package_folder", lambda _: None)
    async with server_fixture() as server:
        report = change(server.server_state, wakeword_backend="openwakeword", wake_words="alexa")
        assert "models pull openwakeword" in report.rejected["wakeword_backend"].message
        assert report.rejected["wakeword_backend"].reason == "invalid_value"
        client = await server.streaming_client()
        await client.settled()
        assert client.event_names == ["hello", "ready", "status listening"]
