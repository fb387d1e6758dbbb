"""Memory that loading an engine freed is returned to the system."""

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from tests.lanes.fakes import FakeEngine
from trio_stt.lanes.engine_thread import EngineThread

PIECE_BYTES = 60_000  # small enough to come from the thread's arena
PIECES = 2000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
async def test_memory_that_loading_freed_is_returned_to_the_system() -> None:
    kept = []

    def load() -> FakeEngine:
        pieces = [np.ones(PIECE_BYTES, np.uint8) for _ in range(PIECES)]
        kept.append(pieces[-1])  # at the arena's end, so that glibc keeps the freed memory before it
        return FakeEngine()

    thread = EngineThread("main", load)
    before = resident_bytes()
    try:
        await thread.start()
        assert resident_bytes() - before < PIECE_BYTES * PIECES / 4
    finally:
        await thread.aclose()
