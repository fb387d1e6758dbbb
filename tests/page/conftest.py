"""One server and one recording for all tests of the page that need no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page import Served, for_microphone


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server") / "output.txt") as served:
        yield served


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short sentences."""
    return for_microphone(tmp_path_factory.mktemp("speech") / "speech.wav", "beckett.wav")
