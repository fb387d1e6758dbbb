"""A real engine in child processes that are killed while sessions speak."""

from contextlib import suppress

import psutil
import trio

from tests.faults.fixtures import sentence
from tests.support.dictation import Dictation, dictate, real_server_state, texts


def engine_children() -> list[psutil.Process]:
    children = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if "trio_stt.lanes.engine_child" in process.cmdline():
                children.append(process)
    return children


async def test_no_word_is_lost_when_an_engine_process_is_killed() -> None:
    async with real_server_state(lane_executor="process", lane_workers=1) as server_state:
        undisturbed = texts(await dictate(server_state, Dictation(sentence())))
        dictations = [Dictation(sentence(), speed=3.0) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for dictation in dictations:
                nursery.start_soon(dictate, server_state, dictation)
            await trio.sleep(1)  # of audio, 3 s: the first words are being transcribed
            (child,) = engine_children()
            child.kill()
        assert undisturbed
        assert [texts(dictation.finals) for dictation in dictations] == [undisturbed] * 3
        (main,) = server_state.lanes.statistics().lanes
        assert main.engines.restarts == 1
    assert not engine_children()
