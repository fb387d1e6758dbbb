"""A loop that stands still, on the real clock and with the real watchdog."""

import faulthandler
import threading
import time
from functools import partial

import pytest
import trio

from trio_stt.stalls import watch_for_stalls

LIMIT_S = 0.2


def hold_the_loop_up(for_s: float) -> None:
    time.sleep(for_s)


async def watched(for_s: float) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_for_stalls, LIMIT_S)
        await trio.sleep(0.1)
        hold_the_loop_up(for_s)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def test_a_late_loop_is_logged_with_what_ran(caplog: pytest.LogCaptureFixture) -> None:
    await watched(1.0)
    assert "the event loop was late by" in caplog.text
    assert "in hold_the_loop_up" in caplog.text
    assert "Timeout" not in caplog.text


async def test_where_the_watchdog_saw_nothing_nothing_is_promised(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: None)
    await watched(1.0)
    assert [record.getMessage().endswith(" ms") for record in caplog.records] == [True]


async def test_the_loop_is_shown_however_deep_other_threads_are(caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    def deep(calls: int) -> None:
        if calls:
            deep(calls - 1)
        else:
            over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, deep, 60)
        await watched(1.0)
        over.set()
    assert "in hold_the_loop_up" in caplog.text


async def test_stalls_soon_after_one_have_no_line_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(watch_for_stalls, LIMIT_S, quiet_s=600.0))
        for _ in range(3):
            await trio.sleep(0.1)
            hold_the_loop_up(0.5)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert len(caplog.records) == 1


async def test_two_stalls_have_a_line_each_with_their_own_stacks(caplog: pytest.LogCaptureFixture) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(watch_for_stalls, LIMIT_S, quiet_s=0.0))
        for _ in range(2):
            await trio.sleep(0.1)
            hold_the_loop_up(1.0)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    stalls = [record.getMessage() for record in caplog.records if "late by" in record.getMessage()]
    assert [stall.count("in hold_the_loop_up") for stall in stalls if "hold_the_loop_up" in stall] == [1, 1]


async def test_a_loop_that_keeps_up_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    with trio.move_on_after(0.5):
        await watch_for_stalls(60.0)  # no machine is that busy
    assert caplog.text == ""
