"""The inbox: order, bounds, and what is shed."""

import numpy as np
import pytest
import trio
import trio.testing

from tests.lanes.fakes import virtual_time
from trio_stt.protocol.commands import Command, Start
from trio_stt.session.inbox import SHED_AFTER_S, Audio, Gap, Inbox


def audio(number: int, windows: int = 1) -> Audio:
    return Audio(np.full(512 * windows, number, np.int16), 16000)


async def numbers(inbox: Inbox, count: int) -> list[object]:
    items = [await inbox.get() for _ in range(count)]
    return [int(item.samples[0]) if isinstance(item, Audio) else item for item in items]


@pytest.mark.contract("4.1")
async def test_audio_and_commands_come_out_in_order() -> None:
    inbox = Inbox(10)
    inbox.put_marker(Start())
    await inbox.put_audio(audio(1))
    inbox.put_marker(Command.STOP)
    await inbox.put_audio(audio(2))
    assert inbox.queued_windows == 2
    assert await numbers(inbox, 4) == [Start(), 1, Command.STOP, 2]
    assert inbox.queued_windows == 0


@virtual_time
async def test_audio_waits_for_room_while_the_reader_makes_progress() -> None:
    inbox = Inbox(4)
    shed: list[int] = []

    async def send() -> None:
        shed.extend([await inbox.put_audio(audio(number)) for number in range(1, 21)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        read = []
        for _ in range(20):
            await trio.sleep(SHED_AFTER_S / 2)
            read += await numbers(inbox, 1)
    assert read == list(range(1, 21))
    assert shed == [0] * 20


@pytest.mark.contract("4.1", "11/13")
@virtual_time
async def test_oldest_audio_is_shed_and_counted_when_the_reader_stalls() -> None:
    inbox = Inbox(3)
    for number in (1, 2, 3):
        await inbox.put_audio(audio(number))
    inbox.put_marker(Command.STOP)
    assert await inbox.put_audio(audio(4)) == 1
    assert trio.current_time() == SHED_AFTER_S
    assert await numbers(inbox, 5) == [Gap.GAP, 2, 3, Command.STOP, 4]


async def test_nothing_is_shed_when_the_event_loop_was_held_up(mock_clock: trio.testing.MockClock) -> None:
    inbox = Inbox(2)
    for number in (1, 2):
        await inbox.put_audio(audio(number))
    shed: list[int] = []

    async def send() -> None:
        shed.append(await inbox.put_audio(audio(3)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10 * SHED_AFTER_S)  # the deadline passes before another task has its turn
        await trio.testing.wait_all_tasks_blocked()
        assert await numbers(inbox, 1) == [1]
    assert shed == [0]


@virtual_time
async def test_inbox_that_does_not_shed_waits() -> None:
    inbox = Inbox(1, sheds=False)
    await inbox.put_audio(audio(1))
    with trio.move_on_after(10_000) as scope:
        await inbox.put_audio(audio(2))
    assert scope.cancelled_caught
    assert await numbers(inbox, 1) == [1]


async def test_packet_longer_than_the_bound_is_queued_alone() -> None:
    inbox = Inbox(2)
    assert await inbox.put_audio(audio(1, windows=50)) == 0
    assert await numbers(inbox, 1) == [1]


async def test_drop_audio_keeps_commands() -> None:
    inbox = Inbox(10)
    await inbox.put_audio(audio(1))
    inbox.put_marker(Command.STOP)
    inbox.drop_audio()
    inbox.put_marker(Command.CLEAR)
    assert await numbers(inbox, 2) == [Command.STOP, Command.CLEAR]
    assert inbox.queued_windows == 0


async def test_reading_a_full_inbox_does_not_block_other_tasks() -> None:
    inbox = Inbox(100)
    for number in range(20):
        await inbox.put_audio(audio(number))
    left: list[int] = []

    async def watch() -> None:
        while inbox.queued_windows:
            left.append(inbox.queued_windows)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        assert await numbers(inbox, 20) == list(range(20))
    assert len(left) >= 10
