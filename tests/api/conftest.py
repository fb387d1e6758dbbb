"""One real server, with the default engine, for the tests of all clients that are not changed for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.real import shared_sentences
from tests.support.server import RunningServer, free_port, output_of_one_test, shared_server


@dataclass(frozen=True)
class ClientServer:
    """A running server and its Wyoming port; `running.port` serves all other protocols."""

    running: RunningServer
    wyoming_port: int


@pytest.fixture(scope="package")
def started_for_clients() -> Iterator[ClientServer]:
    """The server; tests/conftest.py gives the modules that use it to one worker."""
    wyoming_port = free_port()
    flags = ["--wyoming-port", str(wyoming_port), "--wyoming-zeroconf", "--max-audio-speed", "0"]
    with shared_server(["-m", "trio_stt", "serve", "--port", "{port}", *flags]) as running:
        yield ClientServer(running, wyoming_port)


@pytest.fixture
def client_server(started_for_clients: ClientServer) -> Iterator[ClientServer]:
    """The same server, whose output during this test is printed."""
    with output_of_one_test(started_for_clients.running):
        yield started_for_clients


@pytest.fixture(scope="session")
def sentence() -> tuple[Path, str]:
    """A sound file of one sentence, and its words."""
    return shared_sentences()[0]
