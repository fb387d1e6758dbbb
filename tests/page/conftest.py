"""One server, one browser and one recording, shared by the page tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page import ServerProcess, chromium, microphone_recording


@pytest.fixture(scope="package", autouse=True)
def shared_chromium() -> Iterator[None]:
    """End the browser before other tests run an event loop."""
    yield
    chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "output.txt") as served:
        yield served


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short sentences."""
    return microphone_recording(tmp_path_factory.mktemp("speech") / "speech.wav", "beckett.wav")
