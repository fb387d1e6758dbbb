"""The executor on a thread, with real threads on the real clock."""

import os
import sys
import threading
import time
from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.lowlevel import current_trio_token

from tests.lanes.fakes import Batch, FakeEngine, batch_of, lengths
from trio_stt.errors import EngineUnavailable, TranscriptionFailed
from trio_stt.lanes.engine_thread import EngineThread
from trio_stt.lanes.engines.base import Transcript

TIMEOUT_S = 30.0
_LOWEST_PRIORITY = 19
"""Seconds until a blocked call ends by itself, so that a defect fails a test instead of hanging it."""


class NativeCall:
    """A stand-in for a native call: it sets `begun` on Trio's side and blocks its thread until it is released."""

    def __init__(self) -> None:
        self._token = current_trio_token()
        self._released = threading.Event()
        self.begun = trio.Event()

    def block(self) -> None:
        self._token.run_sync_soon(self.begun.set)
        assert self._released.wait(TIMEOUT_S)

    def release(self) -> None:
        self._released.set()


def blocking_on_one_sample(call: NativeCall) -> Callable[[Batch], list[Transcript]]:
    def answer(batch: Batch) -> list[Transcript]:
        if len(batch[0]) == 1:
            call.block()
        return lengths(batch)

    return answer


async def after(event: trio.Event, action: Callable[[], None]) -> None:
    await event.wait()
    action()


async def test_one_thread_makes_all_calls_and_ends_with_the_executor() -> None:
    before = threading.enumerate()
    engines: list[FakeEngine] = []

    def load() -> FakeEngine:
        engines.append(FakeEngine())
        return engines[0]

    executor = EngineThread("main", load)
    await executor.start()
    for samples in (1, 2, 3):
        await executor.transcribe(batch_of(samples))
    await executor.aclose()
    assert len(engines[0].threads) == 5  # load, three clips, close
    assert len(set(engines[0].threads)) == 1
    assert engines[0].threads[0] not in before
    assert threading.enumerate() == before


async def test_thread_of_a_failed_load_ends_at_close() -> None:
    before = threading.enumerate()
    executor = EngineThread("main", lambda: FakeEngine(on_close=1 / 0))  # type: ignore[arg-type] # raises before that
    with pytest.raises(EngineUnavailable, match="could not be loaded"):
        await executor.start()
    await executor.aclose()
    assert threading.enumerate() == before


async def test_event_loop_runs_while_an_engine_holds_the_gil() -> None:
    token = current_trio_token()
    begun, loop_lives = trio.Event(), threading.Event()

    def spin(_: Batch) -> None:
        token.run_sync_soon(begun.set)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not loop_lives.is_set():
            assert time.monotonic() < deadline_s
        raise ZeroDivisionError("after much work")

    executor = EngineThread("main", lambda: FakeEngine(spin))
    await executor.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(after, begun, loop_lives.set)
        with pytest.raises(TranscriptionFailed, match="fake raised ZeroDivisionError: after much work"):
            await executor.transcribe(batch_of(1))
    await executor.aclose()


async def test_cancelled_call_returns_at_once_and_the_next_call_waits_for_the_thread() -> None:
    call = NativeCall()
    engine = FakeEngine(blocking_on_one_sample(call))
    executor = EngineThread("main", lambda: engine)
    await executor.start()
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(after, call.begun, scope.cancel)
        with scope:
            await executor.transcribe(batch_of(1))
    assert scope.cancelled_caught  # the native call still runs, because it was not released
    with trio.CancelScope() as cancelled:
        cancelled.cancel()
        await executor.transcribe(batch_of(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(after, call.begun, call.release)
        assert [t.text for t in await executor.transcribe(batch_of(3))] == ["3"]
    assert engine.clips == [1, 3]  # the call for 2 was cancelled before its turn
    await executor.aclose()


async def test_close_waits_for_a_running_call() -> None:
    before = threading.enumerate()
    call = NativeCall()
    engine = FakeEngine(blocking_on_one_sample(call))
    executor = EngineThread("main", lambda: engine)
    await executor.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.transcribe, batch_of(1))
        await call.begun.wait()
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.aclose)
        nursery.start_soon(executor.aclose)
        await trio.testing.wait_all_tasks_blocked()
        closed = [engine.closed]
        call.release()
    assert [*closed, engine.closed] == [0, 1]
    assert threading.enumerate() == before


async def test_close_waits_in_a_cancelled_scope() -> None:
    before = threading.enumerate()
    call = NativeCall()
    executor = EngineThread("main", lambda: FakeEngine(on_close=call.block))
    await executor.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(after, call.begun, call.release)
        with trio.CancelScope() as scope:
            scope.cancel()
            await executor.aclose()
        assert threading.enumerate() == before


@pytest.mark.parametrize("where", ["transcribe", "close"])
async def test_hung_thread_is_left_behind_and_ends_when_its_call_returns(
    where: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    call = NativeCall()
    engine = FakeEngine(blocking_on_one_sample(call)) if where == "transcribe" else FakeEngine(on_close=call.block)
    executor = EngineThread("main", lambda: engine)
    await executor.start()  # without a deadline virtual time stands still until the thread answers
    if where == "transcribe":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.transcribe, batch_of(1))
            await call.begun.wait()
            nursery.cancel_scope.cancel()
    await executor.aclose()
    assert autojump_clock.current_time() == 10.0
    await executor.aclose()
    assert autojump_clock.current_time() == 10.0
    assert [record.getMessage() for record in caplog.records] == [
        "main lane: the engine did not close within 10 s; its thread is left behind"
    ]
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    call.release()
    left.join(TIMEOUT_S)
    assert set(threading.enumerate()) == before
    assert engine.closed == 1


async def test_abandoned_thread_reports_its_return(caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    call, returned = NativeCall(), trio.Event()
    engine = FakeEngine(blocking_on_one_sample(call))
    executor = EngineThread("main", lambda: engine)
    await executor.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.transcribe, batch_of(1))
        await call.begun.wait()
        nursery.cancel_scope.cancel()
    executor.abandon(returned.set)
    with pytest.raises(EngineUnavailable):
        await executor.transcribe(batch_of(2))
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    assert not returned.is_set()
    call.release()
    await returned.wait()
    left.join(TIMEOUT_S)
    assert set(threading.enumerate()) == before
    assert (engine.clips, engine.closed) == ([1], 1)
    assert "main lane: the engine hangs; its thread is left behind" in caplog.messages


def test_thread_may_outlive_the_event_loop() -> None:
    before = set(threading.enumerate())
    calls: list[NativeCall] = []
    engines: list[FakeEngine] = []

    async def main() -> None:
        calls.append(NativeCall())
        engines.append(FakeEngine(on_close=calls[0].block))
        executor = EngineThread("main", lambda: engines[0], shutdown_timeout_s=0.01)
        await executor.start()
        await executor.aclose()

    trio.run(main)
    (left,) = set(threading.enumerate()) - before
    calls[0].release()
    left.join(TIMEOUT_S)
    # An exception in the thread would be a warning, which fails the test.
    assert set(threading.enumerate()) == before
    assert engines[0].closed == 1


async def test_executor_starts_once() -> None:
    executor = EngineThread("main", FakeEngine)
    await executor.start()
    with pytest.raises(RuntimeError, match="starts once"):
        await executor.start()
    await executor.aclose()
    with pytest.raises(RuntimeError, match="starts once"):
        await executor.start()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness belongs to the whole process")
async def test_engine_threads_have_a_lower_priority_than_the_event_loop() -> None:
    found: list[int] = []

    def note() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def load() -> FakeEngine:
        note()
        pool = threading.Thread(target=note)
        pool.start()
        pool.join()
        return FakeEngine()

    executor = EngineThread("main", load)
    await executor.start()
    await executor.aclose()
    note()
    of_engine, of_pool, of_loop = found
    # Where the tests themselves run at 19, nothing is lower.
    assert of_engine == of_pool == min(of_loop + 5, _LOWEST_PRIORITY)
