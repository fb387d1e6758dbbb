"""The order of the tests: folders with long files come first, so that no worker ends with one while the others wait."""

from pathlib import Path

import pytest

FIRST = ("words", "page", "engines", "faults", "server", "bench", "api")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = Path(__file__).parent
    ranks = {folders / name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.parent, len(FIRST)))
