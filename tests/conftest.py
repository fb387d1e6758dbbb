"""What holds for all tests.

- pytest-xdist begins with files that have long tests, and gives files that share a server to one worker.
- No test depends on the machine's speed: Hypothesis sets no deadlines.
- No test leaves logging changed.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

FIRST = ("page", "words", "engines", "faults", "server", "bench", "api")
"""Folders with long tests."""

GROUPS = {
    "tests/page": re.compile("tests/page/"),
    "tests of clients": re.compile(r"tests/api/(\w+/)?test_\w+_clients?\.py"),
}
"""Files that share one server: those of the page, whose browsers would slow each other down, and those of clients."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a server or command in the test's own process set; with its handler, `caplog` would see nothing."""
    yield
    logger = logging.getLogger("trio_stt")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    folder = Path(__file__).parent
    items.sort(key=lambda item: ranks.get(item.path.relative_to(folder).parts[0], len(FIRST)))


class GroupsTogether(LoadFileScheduling):
    """Gives each file to one worker, and all files of a group to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        groups = (name for name, pattern in GROUPS.items() if pattern.match(nodeid))
        return next(groups, None) or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return GroupsTogether(config, log) if config.getvalue("dist") == "loadfile" else None
