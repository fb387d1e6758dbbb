"""How pytest-xdist shares the tests out: files with long tests first, and the page tests to one worker."""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

FIRST = ("page", "words", "engines", "faults", "server", "bench", "api")
"""Folders with long tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = Path(__file__).parent
    ranks = {folders / name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.parent, len(FIRST)))


class PagesTogether(LoadFileScheduling):
    """Gives each file to one worker, and all files of the page tests to the same one.

    They share a server and a browser, and several browsers at a time would slow each other's speech down.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "tests/page" if nodeid.startswith("tests/page/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return PagesTogether(config, log) if config.getvalue("dist") == "loadfile" else None
