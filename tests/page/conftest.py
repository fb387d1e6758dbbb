"""One server and one recording, shared by the page tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page import ServerProcess, microphone_recording


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "output.txt") as served:
        yield served


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short sentences."""
    return microphone_recording(tmp_path_factory.mktemp("speech") / "speech.wav", "beckett.wav")
