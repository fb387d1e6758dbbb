import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.lanes.fakes import virtual_time
from trio_stt.protocol.commands import Command
from trio_stt.session.inbox import SHED_AFTER_S, Audio, Gap, Inbox


def audio(number: int, windows: int = 1) -> Audio:
    return Audio(np.full(512 * windows, number, np.int16), 16000)


async def numbers(inbox: Inbox, count: int) -> list[object]:
    items = [await inbox.get() for _ in range(count)]
    return [int(item.samples[0]) if isinstance(item, Audio) else item for item in items]


@pytest.mark.contract("4.1")
async def test_audio_and_commands_come_out_in_order() -> None:
    inbox = Inbox(10)
    inbox.put_marker(Command.START)
    await inbox.put_audio(audio(1))
    inbox.put_marker(Command.STOP)
    await inbox.put_audio(audio(2))
    assert inbox.windows == 2
    assert await numbers(inbox, 4) == [Command.START, 1, Command.STOP, 2]
    assert inbox.windows == 0


@virtual_time
async def test_audio_waits_for_room_and_nothing_is_shed_while_the_listener_moves() -> None:
    inbox = Inbox(4)
    shed: list[int] = []

    async def send() -> None:
        shed.extend([await inbox.put_audio(audio(number)) for number in range(1, 21)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        heard = []
        for _ in range(20):
            await trio.sleep(SHED_AFTER_S / 2)
            heard += await numbers(inbox, 1)
    assert heard == list(range(1, 21))
    assert shed == [0] * 20


@pytest.mark.contract("4.1", "11/13")
@virtual_time
async def test_when_the_listener_stands_still_the_oldest_audio_goes_and_is_counted() -> None:
    inbox = Inbox(3)
    for number in (1, 2, 3):
        await inbox.put_audio(audio(number))
    inbox.put_marker(Command.STOP)
    assert await inbox.put_audio(audio(4)) == 1
    assert trio.current_time() == SHED_AFTER_S
    assert await numbers(inbox, 5) == [Gap.GAP, 2, 3, Command.STOP, 4]


@virtual_time
async def test_a_patient_inbox_never_sheds() -> None:
    inbox = Inbox(1, sheds=False)
    await inbox.put_audio(audio(1))
    with trio.move_on_after(10_000) as scope:
        await inbox.put_audio(audio(2))
    assert scope.cancelled_caught
    assert await numbers(inbox, 1) == [1]


async def test_a_packet_longer_than_the_bound_passes_alone() -> None:
    inbox = Inbox(2)
    assert await inbox.put_audio(audio(1, windows=50)) == 0
    assert await numbers(inbox, 1) == [1]


async def test_dropped_audio_leaves_the_commands() -> None:
    inbox = Inbox(10)
    await inbox.put_audio(audio(1))
    inbox.put_marker(Command.STOP)
    inbox.drop_audio()
    inbox.put_marker(Command.CLEAR)
    assert await numbers(inbox, 2) == [Command.STOP, Command.CLEAR]
    assert inbox.windows == 0


async def test_a_reader_of_a_full_inbox_lets_others_have_their_turn() -> None:
    inbox = Inbox(100)
    for number in range(20):
        await inbox.put_audio(audio(number))
    left: list[int] = []

    async def watch() -> None:
        while inbox.windows:
            left.append(inbox.windows)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        assert await numbers(inbox, 20) == list(range(20))
    assert len(left) >= 10


@pytest.mark.contract("4.1")
@given(st.lists(st.sampled_from(["short", "long", "marker", "turns"]), max_size=30))
def test_what_is_heard_at_once_keeps_its_place(steps: list[str]) -> None:
    """Short audio that nothing stands before is heard where it is put; all else, and all behind it, waits its turn."""
    heard: list[object] = []
    sent: list[object] = []
    at_once = 0

    async def read(inbox: Inbox) -> None:
        def hear(audio: Audio) -> bool:
            nonlocal at_once
            if audio.samples.size > 512:
                return False
            at_once += 1
            heard.append(int(audio.samples[0]))
            return True

        while True:
            item = await inbox.get(hear)
            heard.append(int(item.samples[0]) if isinstance(item, Audio) else item)

    async def play() -> None:
        inbox = Inbox(10_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, inbox)
            for number, step in enumerate(steps):
                if step == "turns":
                    await trio.testing.wait_all_tasks_blocked()
                    continue
                sent.append(Command.STOP if step == "marker" else number)
                if step == "marker":
                    inbox.put_marker(Command.STOP)
                    continue
                reader_waits = inbox.windows == 0 and heard == sent[:-1] and "turns" in steps[:number]
                before = at_once
                await inbox.put_audio(audio(number, windows=1 if step == "short" else 2))
                assert at_once - before == (step == "short" and reader_waits)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await inbox.put_audio(audio(7)) == 0
        assert inbox.windows == 1  # nobody hears any more

    trio.run(play)
    assert heard == sent
