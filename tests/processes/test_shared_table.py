"""Limits of several processes: the sum never exceeds the limit, and a dead process counts no more."""

import os
import subprocess
import sys
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.errors import ServerFull
from trio_stt.processes.counts import ClientCount, Count
from trio_stt.processes.shared_table import SharedTable
from trio_stt.server.session_registry import SessionRegistry
from trio_stt.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")

_GREEDY = """
import random, sys
from trio_stt.processes.counts import Count
from trio_stt.processes.shared_table import SharedTable
descriptor, row, limit = map(int, sys.argv[1:])
table, mine, most = SharedTable(descriptor, rows=4, row=row, processes=4), 0, 0
print("ready", flush=True)
sys.stdin.readline()
for turn in range(4000):
    with table.exclusive() as exclusive:
        if exclusive and mine + table.others(Count.SESSIONS) < limit:
            mine += 1
            table.publish(Count.SESSIONS, mine)
        if exclusive:  # otherwise places may be freed and taken again while the rows are added up
            most = max(most, mine + table.others(Count.SESSIONS))
    while mine and random.random() < 0.4:
        mine -= 1
        table.publish(Count.SESSIONS, mine)
print(most, flush=True)
"""


class _Processes:
    """Several processes in this one: each has its row, its sessions and its connections."""

    def __init__(self, number: int, **settings: int) -> None:
        self.settings = Settings(**settings)  # type: ignore[arg-type]  # pydantic checks them
        self.supervisor = SharedTable.create(number, processes=number)
        descriptor = self.supervisor.descriptor
        for row in range(number):
            self.supervisor.assign(row, row + 1)
        self.tables = [SharedTable(descriptor, rows=number, row=row, processes=number) for row in range(number)]
        self.registries = [SessionRegistry(lambda: self.settings.max_sessions, table) for table in self.tables]
        self.limits = [ConnectionLimits(lambda: self.settings, table) for table in self.tables]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.supervisor.descriptor)


class _Connected:
    def close_waiting(self) -> None:
        raise AssertionError("nothing waits")


def test_processes_that_race_for_places_never_exceed_the_limit() -> None:
    table, limit = SharedTable.create(4, processes=4), 5
    racers = []
    try:
        for row in range(4):
            table.assign(row, row + 1)
            racers.append(
                subprocess.Popen(  # noqa: S603 - the interpreter of these tests
                    [sys.executable, "-c", _GREEDY, str(table.descriptor), str(row), str(limit)],
                    pass_fds=[table.descriptor],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        most = [int(racer.communicate(timeout=60)[0]) for racer in racers]
        assert max(most) == limit
        assert [racer.returncode for racer in racers] == [0] * 4
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
        os.close(table.descriptor)


@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "leave", "die"])), max_size=40))
def test_sessions_of_all_processes_together_stay_within_the_limit(steps: list[tuple[int, str]]) -> None:
    with _Processes(3, max_sessions=4) as processes:
        held: list[list[str]] = [[], [], []]
        for index, step in steps:
            registry = processes.registries[index]
            if step == "take" and sum(map(len, held)) == 4:
                with pytest.raises(ServerFull):
                    registry.reserve()
            elif step == "take":
                session_id = registry.reserve()
                assert len(session_id) == 32
                assert int(session_id[:6], 16) == index + 1
                held[index].append(session_id)
            elif step == "leave" and held[index]:
                registry.remove(held[index].pop())
            elif step == "die":
                processes.supervisor.clear(index)
                processes.supervisor.assign(index, index + 1)
                processes.registries[index] = SessionRegistry(lambda: 4, processes.tables[index])
                held[index] = []


def test_connections_of_all_processes_together_stay_within_both_limits() -> None:
    with _Processes(2, max_connections=10, max_connections_per_address=1) as processes:
        first, second = processes.limits
        connections = [_Connected() for _ in range(12)]
        for index, connection in enumerate(connections[:5]):  # half of all may come from one address
            limits = processes.limits[index % 2]
            assert limits.admit(connection, "10.0.0.1") is None
            limits.note(connection, is_waiting=False)
        refused = first.admit(connections[5], "10.0.0.1")
        assert refused is not None
        assert "at most 5" in refused.detail
        for index, connection in enumerate(connections[6:11]):
            limits = processes.limits[index % 2]
            assert limits.admit(connection, f"10.0.1.{index}") is None
            limits.note(connection, is_waiting=False)
        assert second.admit(connections[11], "10.0.2.1") is not None
        first.remove(connections[0])
        assert second.admit(connections[11], "10.0.0.1") is None


def test_clients_of_many_addresses_are_counted_apart() -> None:
    with _Processes(2) as processes:
        one, other = processes.tables
        for number in range(2000):
            one.add_client(ClientCount.WEBSOCKETS, f"10.{number // 256}.{number % 256}.1", 1)
        counted = [other.others_of_client(ClientCount.WEBSOCKETS, f"10.{n // 256}.{n % 256}.1") for n in range(2000)]
        assert min(counted) == 1
        assert max(counted) <= 3
        assert other.others_of_client(ClientCount.CONNECTIONS, "10.0.0.1") == 0


def test_lock_of_a_stopped_process_is_not_waited_for() -> None:
    table = SharedTable.create(1, processes=1)
    script = "import fcntl, sys; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(  # noqa: S603 - the interpreter of these tests
        [sys.executable, "-c", script, str(table.descriptor)],
        pass_fds=[table.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        registry = SessionRegistry(lambda: 9, SharedTable(table.descriptor, rows=1, row=0, processes=1))
        with pytest.raises(ServerFull):
            registry.reserve()
        holder.kill()
        holder.wait()
        assert registry.reserve()
    finally:
        holder.kill()
        holder.communicate()
        os.close(table.descriptor)


def test_figures_of_a_cleared_row_are_gone() -> None:
    with _Processes(2) as processes:
        processes.tables[0].publish(Count.SPEAKERS, 3)
        processes.tables[0].add_client(ClientCount.WEBSOCKETS, "10.0.0.1", 2)
        assert processes.tables[1].others(Count.SPEAKERS) == 3
        processes.supervisor.clear(0)
        assert processes.tables[1].others(Count.SPEAKERS) == 0
        assert processes.tables[1].others_of_client(ClientCount.WEBSOCKETS, "10.0.0.1") == 0
        assert processes.supervisor.instances() == [2]
