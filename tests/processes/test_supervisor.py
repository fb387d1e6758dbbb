"""The supervisor's rules, with processes that are small scripts: start, restart, replacement and end."""

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_stt.processes import supervised_process, supervisor
from trio_stt.processes.membership import socket_path
from trio_stt.processes.shared_table import SharedTable
from trio_stt.processes.supervised_process import SupervisedProcess
from trio_stt.processes.supervisor import Place, Supervisor, exit_status, restart_delay_s

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")

_PROCESS = """
import json, os, select, signal, socket, sys, time
me = json.loads(os.environ["_TRIO_STT_PROCESS"])
folder, link = sys.argv[1], socket.socket(fileno=me["link"])
def log(what): os.write(events, f"{what} {me['instance']} {os.getpid()}\\n".encode())
def mode(): return open(folder + "/mode").read()
events = os.open(folder + "/events", os.O_WRONLY | os.O_APPEND)
signal.signal(signal.SIGHUP, lambda *_: log("hangup"))
log("start")
if mode().startswith("status "): sys.exit(int(mode().split()[1]))
open(me["folder"] + f"/{me['instance']}.socket", "w").close()
log("ready")
link.send(b"R")
while True:
    if select.select([link], [], [], 0.05)[0]:
        message = link.recv(64)
        log({b"D": "drain", b"H": "hand-over", b"N": "end", b"": "orphan"}.get(message, repr(message)))
        if mode() != "stubborn" or message in (b"N", b""): sys.exit(0)
    elif mode() != "silent": link.send(b".")
"""


class Supervised:
    """A supervisor with scripts, and what they wrote."""

    def __init__(self, folder: Path, processes: int, grace_s: float) -> None:
        self.folder = folder
        self.status: int | None = None
        self.is_ready = trio.Event()
        (folder / "mode").write_text("serve")
        (folder / "events").touch()
        self.table = SharedTable.create(2 * processes, processes=processes)
        self.supervisor = Supervisor(
            [sys.executable, "-S", "-E", "-c", _PROCESS, str(folder)],
            [Place([]) for _ in range(processes)],
            table=self.table,
            rows=2 * processes,
            folder=str(folder),
            grace_s=grace_s,
            on_ready=self._note_ready,
        )

    async def _note_ready(self) -> None:
        self.is_ready.set()

    async def run(self) -> None:
        self.status = await self.supervisor.run()

    def mode(self, mode: str) -> None:
        """What the scripts do from now on."""
        (self.folder / "mode").write_text(mode)

    @property
    def events(self) -> list[tuple[str, int]]:
        return [(line.split()[0], int(line.split()[1])) for line in self._lines()]

    def pid(self, instance: int) -> int:
        return next(int(line.split()[2]) for line in self._lines() if int(line.split()[1]) == instance)

    def _lines(self) -> list[str]:
        return (self.folder / "events").read_text().splitlines()

    def has_socket(self, instance: int) -> bool:
        return Path(socket_path(str(self.folder), instance)).exists()

    async def end(self) -> None:
        """End all scripts at once, and with them the supervisor."""
        while self.status is None:
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.sleep(0.1)

    async def until_over(self) -> None:
        with trio.fail_after(20):
            while self.status is None:  # noqa: ASYNC110 - the supervisor has no event for its end
                await trio.sleep(0.02)

    async def until(self, *wanted: tuple[str, int]) -> None:
        with trio.fail_after(20):
            while not set(wanted) <= set(self.events):  # noqa: ASYNC110 - another process cannot set our events
                await trio.sleep(0.02)


@asynccontextmanager
async def supervised(tmp_path: Path, processes: int = 2, *, grace_s: float = 5.0) -> AsyncIterator[Supervised]:
    scripts = Supervised(tmp_path, processes, grace_s)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scripts.run)  # noqa: ASYNC113 - it takes over when it is ready, below
            with trio.fail_after(20):
                await scripts.is_ready.wait()
            try:
                yield scripts
            finally:
                with trio.CancelScope(shield=True):
                    await scripts.end()
    finally:
        os.close(scripts.table.descriptor)


async def test_processes_start_and_end_with_the_supervisor(tmp_path: Path) -> None:
    async with supervised(tmp_path, 3) as scripts:
        assert scripts.events[:2] == [("start", 1), ("ready", 1)], "the first starts alone"
        assert {("ready", number) for number in (1, 2, 3)} <= set(scripts.events)
        assert scripts.table.instances() == [1, 2, 3]
        os.kill(os.getpid(), signal.SIGTERM)
        await scripts.until_over()
        assert scripts.status == 0
        assert {("drain", number) for number in (1, 2, 3)} <= set(scripts.events)
        assert scripts.table.instances() == []


async def test_dead_process_is_replaced_and_leaves_nothing(tmp_path: Path) -> None:
    async with supervised(tmp_path) as scripts:
        assert scripts.has_socket(1)
        os.kill(scripts.pid(1), signal.SIGKILL)
        os.kill(scripts.pid(2), signal.SIGKILL)
        await scripts.until(("ready", 3), ("ready", 4))
        assert sorted(scripts.table.instances()) == [3, 4]
        assert not scripts.has_socket(1)


async def test_process_that_ends_at_each_start_is_started_until_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MAX_DELAY_S", 0.01)
    async with supervised(tmp_path) as scripts:
        scripts.mode("status 3")
        os.kill(scripts.pid(1), signal.SIGKILL)
        await scripts.until(*(("start", number) for number in (3, 4, 5)))
        assert 2 in scripts.table.instances(), "the other serves on"
        scripts.mode("serve")
        with trio.fail_after(20):
            while not any(event == "ready" and number > 2 for event, number in scripts.events):  # noqa: ASYNC110 - of others
                await trio.sleep(0.02)


async def test_process_that_the_system_cannot_start_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OSError(errno.EAGAIN, "Resource temporarily unavailable")] * 10)

    async def start(*arguments: Any) -> SupervisedProcess:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await supervised_process.start_process(*arguments)

    monkeypatch.setattr(supervisor, "_MAX_DELAY_S", 0.01)
    async with supervised(tmp_path) as scripts:
        monkeypatch.setattr(supervisor, "start_process", start)
        os.kill(scripts.pid(1), signal.SIGKILL)
        await scripts.until(("ready", 13))
        assert sorted(scripts.table.instances()) == [2, 13], "a failed start leaves no row of the table in use"
    assert "a process cannot be started: Resource temporarily unavailable" in caplog.text


async def test_process_that_hangs_is_killed_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised_process, "HUNG_S", 0.5)
    monkeypatch.setattr(supervised_process, "_SECOND_LOOK_S", 0.2)
    async with supervised(tmp_path) as scripts:
        os.kill(scripts.pid(2), signal.SIGSTOP)
        await scripts.until(("ready", 3))
        assert sorted(scripts.table.instances()) == [1, 3]


async def test_processes_are_replaced_one_by_one_each_after_its_successor_serves(tmp_path: Path) -> None:
    async with supervised(tmp_path) as scripts:
        os.kill(os.getpid(), signal.SIGUSR2)
        await scripts.until(("hand-over", 2))
        order = [event for event in scripts.events if event[0] in {"ready", "hand-over"}]
        assert order[2:] == [("ready", 3), ("hand-over", 1), ("ready", 4), ("hand-over", 2)]


async def test_replacement_stops_at_a_successor_that_does_not_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path) as scripts:
        scripts.mode("status 2")
        os.kill(os.getpid(), signal.SIGUSR2)
        await scripts.until(("start", 3))
        with trio.fail_after(20):
            while "did not start" not in caplog.text:  # noqa: ASYNC110 - a log line sets no event
                await trio.sleep(0.02)
        assert sorted(scripts.table.instances()) == [1, 2], "the old ones serve on"
        assert not [event for event in scripts.events if event[0] == "hand-over"]


@pytest.mark.parametrize(("mode", "status"), [("status 2", 2), ("status 1", 1), ("status 0", 1)])
async def test_first_process_that_cannot_start_ends_all_with_its_status(tmp_path: Path, mode: str, status: int) -> None:
    scripts = Supervised(tmp_path, 3, 5.0)
    scripts.mode(mode)
    with trio.fail_after(20):
        await scripts.run()
    assert scripts.status == status
    assert scripts.events == [("start", 1)]
    os.close(scripts.table.descriptor)


async def test_second_signal_ends_processes_that_drain(tmp_path: Path) -> None:
    async with supervised(tmp_path, grace_s=600.0) as scripts:
        scripts.mode("stubborn")
        os.kill(os.getpid(), signal.SIGINT)
        await scripts.until(("drain", 1), ("drain", 2))
        os.kill(os.getpid(), signal.SIGTERM)
        await scripts.until_over()
        assert {("end", 1), ("end", 2)} <= set(scripts.events)


async def test_stopped_process_is_killed_when_the_server_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised_process, "_FORCE_S", 0.2)
    async with supervised(tmp_path, grace_s=0.2) as scripts:
        os.kill(scripts.pid(1), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)
        await scripts.until_over()
        assert scripts.status == 0


async def test_sighup_reaches_all_processes(tmp_path: Path) -> None:
    async with supervised(tmp_path) as scripts:
        os.kill(os.getpid(), signal.SIGHUP)
        await scripts.until(("hangup", 1), ("hangup", 2))


def test_delay_before_a_restart_grows_to_a_limit() -> None:
    assert [restart_delay_s(failures) for failures in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert restart_delay_s(500) == supervisor._MAX_DELAY_S
    assert exit_status(-9) == 137


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder in which a socket's path is not too long, as it is in pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_folder_of_a_killed_supervisor_is_removed_and_that_of_a_living_one_is_not(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trio_stt.cli import supervise  # noqa: PLC0415 - only of Linux

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    script = "from trio_stt.cli.supervise import private_folder; print(private_folder(), flush=True); input()"
    with subprocess.Popen(  # noqa: S603 - the interpreter of these tests
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        assert folder.parent == short_folder
        assert folder.stat().st_mode & 0o777 == 0o700
        first = Path(supervise.private_folder())
        assert folder.exists()
        other.kill()
    second = Path(supervise.private_folder())
    assert sorted(short_folder.iterdir()) == sorted([first, second])


def test_listening_socket_of_another_server_is_not_shared() -> None:
    from trio_stt.cli.supervise import bind_all  # noqa: PLC0415 - only of Linux
    from trio_stt.errors import SettingError  # noqa: PLC0415 - as above

    listeners = bind_all(socket.AF_INET, ("127.0.0.1", 0), 2, "port")
    try:
        port = listeners[0].getsockname()[1]
        assert listeners[1].getsockname()[1] == port
        with pytest.raises(SettingError, match=rf"cannot listen on 127.0.0.1:{port} \(port\): "):
            bind_all(socket.AF_INET, ("127.0.0.1", port), 2, "port")
    finally:
        for listener in listeners:
            listener.close()
