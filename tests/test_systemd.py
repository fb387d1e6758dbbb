"""What systemd hears, on a real socket as systemd's own."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trio_stt.runtime.systemd import keep_alive, notify


class Systemd:
    """The other end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    name = f"trio-stt-test-{os.getpid()}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    listener = Systemd(address if request.param == "path" else f"\0{name}")
    yield listener
    listener.close()


async def test_it_hears_what_it_is_told(systemd: Systemd) -> None:
    await notify("READY=1")
    await notify("STOPPING=1")
    assert systemd.heard() == ["READY=1", "STOPPING=1"]


async def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    await notify("READY=1")


async def test_a_socket_that_is_gone_is_logged_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    await notify("READY=1")
    assert "systemd was not told 'READY=1'" in caplog.text


async def test_the_watchdog_hears_from_a_server_that_is_well_twice_within_its_limit(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    assert autojump_clock is not None
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    well = True
    with trio.move_on_after(22.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_alive, lambda: well)
            await trio.sleep(12.0)
            assert systemd.heard() == ["WATCHDOG=1"] * 3
            well = False
            await trio.sleep_forever()
    assert systemd.heard() == []


@pytest.mark.parametrize("changes", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "100", "WATCHDOG_PID": "1"}])
async def test_a_watchdog_that_is_not_ours_hears_nothing(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    await keep_alive(lambda: True)
    assert systemd.heard() == []
