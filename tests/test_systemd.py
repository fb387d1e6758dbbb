"""Notifications to systemd, over a real Unix socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trio_stt.runtime.systemd import keep_alive, notify


class Systemd:
    """The supervisor's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0)

    def received(self) -> list[str]:
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


async def test_notifications_arrive_in_order(systemd: Systemd) -> None:
    await notify("READY=1")
    await notify("STOPPING=1")
    assert systemd.received() == ["READY=1", "STOPPING=1"]


async def test_nothing_is_sent_without_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    await notify("READY=1")


async def test_missing_socket_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    await notify("READY=1")
    assert "sd_notify('READY=1') failed" in caplog.text


async def test_watchdog_is_notified_twice_per_limit_while_healthy(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    assert autojump_clock is not None
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    healthy = True
    with trio.move_on_after(22.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_alive, lambda: healthy)
            await trio.sleep(12.0)
            assert systemd.received() == ["WATCHDOG=1"] * 3
            healthy = False
            await trio.sleep_forever()
    assert systemd.received() == []


@pytest.mark.parametrize("changes", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "100", "WATCHDOG_PID": "1"}])
async def test_watchdog_of_another_process_is_not_notified(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    await keep_alive(lambda: True)
    assert systemd.received() == []
