"""`EngineProcess` with real child processes: crashes, hangs, signals, and the end of the server."""

import io
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import trio

from tests.lanes.fake_engine_child import CRASH, EXIT, HANG, NO_ANSWER, PID, PRINT, FakeEngine
from tests.lanes.fakes import batch_of, final, limits
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes import engine_child
from trio_stt.lanes.child_process import ChildProcess
from trio_stt.lanes.engine_messages import Downloading, Load, Loaded, encode
from trio_stt.lanes.engine_process import EngineProcess
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.lane import Lane

COMMAND = [sys.executable, "-m", "tests.lanes.fake_engine_child"]


def new_executor(model: str = "", *, load_limit_s: float = math.inf, shutdown_timeout_s: float = 10.0) -> EngineProcess:
    return EngineProcess(
        "main",
        EngineConfig(engine="fake", model=model),
        lambda: ChildProcess.start(COMMAND),
        load_limit_s=load_limit_s,
        shutdown_timeout_s=shutdown_timeout_s,
    )


async def pid_of(executor: EngineProcess) -> int:
    (transcript,) = await executor.transcribe(batch_of(PID))
    return int(transcript.text)


async def leave_in_a_hanging_call(executor: EngineProcess) -> None:
    """Make a call that hangs, and cancel the wait for it."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.transcribe, batch_of(HANG))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()


@pytest.mark.parametrize(
    ("length", "how"),
    [(CRASH, "was ended by SIGSEGV"), (EXIT, "ended with status 3"), (NO_ANSWER, "wrote no answer, but b'Ille'")],
)
async def test_process_that_ends_in_a_call_makes_the_engine_unavailable(length: int, how: str) -> None:
    executor = new_executor()
    await executor.start()
    with pytest.raises(EngineUnavailable, match=how):
        await executor.transcribe(batch_of(length))
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(1))
    await executor.aclose()


async def test_process_killed_between_two_calls_makes_the_engine_unavailable() -> None:
    executor = new_executor()
    await executor.start()
    os.kill(await pid_of(executor), signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="was ended by SIGKILL"):
        await executor.transcribe(batch_of(1))
    await executor.aclose()


async def test_end_of_an_idle_process_is_reported_without_a_call() -> None:
    executor, reasons, lost = new_executor(), list[EngineUnavailable](), trio.Event()

    def on_lost(reason: EngineUnavailable) -> None:
        reasons.append(reason)
        lost.set()

    await executor.start(on_lost)
    os.kill(await pid_of(executor), signal.SIGKILL)
    await lost.wait()
    assert [str(reason) for reason in reasons] == ["the engine's process was ended by SIGKILL"]
    await executor.aclose()
    assert len(reasons) == 1


async def test_end_of_a_closed_process_is_not_reported() -> None:
    executor, reasons = new_executor(), list[EngineUnavailable]()
    await executor.start(reasons.append)
    await executor.aclose()
    assert reasons == []


async def test_lane_replaces_an_idle_process_that_died_before_the_next_job() -> None:
    lane = Lane("main", new_executor=new_executor, limits=limits(), job_deadline_s=lambda: 60.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        first = (await lane.submit(final("a", PID)).wait()).transcript.text
        os.kill(int(first), signal.SIGKILL)
        while (lane.statistics().engines.restarts, lane.statistics().engines.serving) != (1, 1):  # noqa: ASYNC110
            await trio.sleep(0.02)
        assert (await lane.submit(final("a", PID)).wait()).transcript.text != first
        assert lane.statistics().engines.restarts == 1, "no job met the dead process"
        nursery.cancel_scope.cancel()


async def test_hanging_process_is_killed_when_it_is_abandoned() -> None:
    executor, returned = new_executor(), trio.Event()
    await executor.start()
    pid = await pid_of(executor)
    await leave_in_a_hanging_call(executor)
    executor.abandon(returned.set)
    await returned.wait()
    assert not psutil.pid_exists(pid)


async def test_close_kills_a_process_that_hangs() -> None:
    executor = new_executor(shutdown_timeout_s=0.1)
    await executor.start()
    pid = await pid_of(executor)
    await leave_in_a_hanging_call(executor)
    await executor.aclose()
    assert not psutil.pid_exists(pid)


async def test_close_kills_a_process_that_still_loads() -> None:
    executor = new_executor("hangs", shutdown_timeout_s=3600.0)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.start)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    await executor.aclose()


async def test_child_that_never_answers_its_load_is_killed() -> None:
    executor = new_executor("hangs", load_limit_s=0.1, shutdown_timeout_s=3600.0)
    with pytest.raises(EngineUnavailable) as caught:
        await executor.start()
    assert str(caught.value) == "the engine did not load within 0.1 s (engine_load_limit_s)"
    assert caught.value.may_pass
    await executor.aclose()
    assert [child for child in psutil.Process().children() if child.cmdline()[1:] == COMMAND[1:]] == []


@pytest.mark.parametrize(
    ("model", "message", "cause"),
    [
        ("unusable", "fake: unknown option", SettingError),
        ("missing", "fake: the model is missing", type(None)),
        ("crashes", "the engine's process was ended by SIGSEGV", RuntimeError),
    ],
)
async def test_failed_load_keeps_what_decides_about_another_attempt(model: str, message: str, cause: type) -> None:
    executor = new_executor(model)
    with pytest.raises(EngineUnavailable) as caught:
        await executor.start()
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, cause)
    await executor.aclose()


async def test_command_that_does_not_exist_makes_the_engine_unavailable(tmp_path: Path) -> None:
    executor = EngineProcess(
        "main", EngineConfig(engine="fake"), lambda: ChildProcess.start([str(tmp_path / "python")])
    )
    with pytest.raises(EngineUnavailable, match="cannot be started"):
        await executor.start()
    await executor.aclose()


async def test_prints_of_a_native_library_do_not_reach_the_answers() -> None:
    executor = new_executor()
    await executor.start()
    assert [t.text for t in await executor.transcribe(batch_of(PRINT, 2))] == [str(PRINT), "2"]
    await executor.aclose()


async def test_signals_to_the_process_group_leave_the_engine_alone() -> None:
    executor = new_executor()
    await executor.start()
    pid = await pid_of(executor)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert await pid_of(executor) == pid
    await executor.aclose()


async def test_lane_replaces_a_process_that_crashed_and_transcribes_the_other_jobs() -> None:
    lane = Lane("main", new_executor=new_executor, limits=limits(), job_deadline_s=lambda: 60.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        bad, good = lane.submit(final("a", CRASH)), lane.submit(final("b", 7))
        assert (await good.wait()).transcript.text == "7"
        with pytest.raises(EngineUnavailable, match="SIGSEGV"):
            await bad.wait()
        assert (await lane.submit(final("a", 8)).wait()).transcript.text == "8"
        nursery.cancel_scope.cancel()


async def test_hanging_process_does_not_count_as_a_hanging_thread() -> None:
    lane = Lane("main", new_executor=new_executor, limits=limits(), job_deadline_s=lambda: 0.3)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        with pytest.raises(EngineUnavailable, match="did not answer"):
            await lane.submit(final("a", HANG)).wait()
        assert (await lane.submit(final("a", 8)).wait()).transcript.text == "8"
        assert lane.statistics().engines.hung_threads == 0
        nursery.cancel_scope.cancel()


def test_child_reports_a_download_before_the_answer_to_its_load() -> None:
    def load(_: EngineConfig, unwanted: Callable[[], bool]) -> FakeEngine:
        assert not unwanted()
        return FakeEngine()

    answers = io.BytesIO()
    engine_child.serve(io.BytesIO(encode(Load(EngineConfig(engine="fake")))), answers, load)
    assert answers.getvalue() == encode(Downloading()) + encode(Loaded(FakeEngine.info))


def test_child_that_cannot_read_a_request_for_lack_of_memory_ends() -> None:
    class Requests(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise MemoryError

    ended = threading.Event()
    engine_child.serve(Requests(), io.BytesIO(), lambda *_: FakeEngine(), on_end_of_input=ended.set)
    ended.wait()


def test_download_of_a_child_ends_with_its_server() -> None:
    ended: list[bool] = []

    def load(_: EngineConfig, unwanted: Callable[[], bool]) -> FakeEngine:
        ended.append(unwanted())
        raise EngineUnavailable("not wanted any more")

    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as answers:
        engine_child.serve(io.BytesIO(encode(Load(EngineConfig(engine="fake")))), answers, load)
    assert ended == [True]


def test_child_ends_when_its_server_is_killed() -> None:
    script = f"""
import trio
from trio_stt.lanes.child_process import ChildProcess
async def main():
    child = await ChildProcess.start({COMMAND!r})
    print(child._process.pid, flush=True)
    await trio.sleep_forever()
trio.run(main)
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
    assert server.stdout is not None
    child = psutil.Process(int(server.stdout.readline()))
    server.kill()
    server.wait()
    child.wait(timeout=60)
    server.stdout.close()


def test_child_imports_neither_trio_nor_ray_nor_the_web_framework() -> None:
    script = (
        "import sys, trio_stt.lanes.engine_child; print({'trio', 'ray', 'quart', 'hypercorn'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    assert done.stdout.strip() == "set()"
