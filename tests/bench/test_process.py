import os
from pathlib import Path

import pytest

from trio_stt.bench.process import process_use
from trio_stt.errors import SettingError


def test_process_is_measured() -> None:
    before = process_use(os.getpid())
    with Path(__file__).open():
        kept = bytearray(b"x" * 64 * 2**20)
        during = process_use(os.getpid())
    assert during.descriptors == before.descriptors + 1
    assert during.rss_bytes - before.rss_bytes > len(kept) // 2
    assert during.cpu_s >= before.cpu_s
    assert 0 < during.main_thread_cpu_s <= during.cpu_s
    assert during.threads >= 1


def test_missing_process_is_an_error() -> None:
    with pytest.raises(SettingError, match=r"--pid 999999999: cannot be measured"):
        process_use(999_999_999)
