"""Connections that are admitted, rejected, or closed to make room, without sockets."""

import pytest

from trio_stt.access import connection_limits
from trio_stt.access.connection_limits import ConnectionLimits, automatic_limit
from trio_stt.settings import Settings


class Connected:
    def __init__(self) -> None:
        self.is_closed = False

    def close_waiting(self) -> None:
        self.is_closed = True


class Server:
    def __init__(self, **settings: object) -> None:
        self.settings = Settings(**settings)  # type: ignore[arg-type]  # pydantic checks them
        self.limits = ConnectionLimits(lambda: self.settings)

    def connect(self, address: str | None, *, busy: bool = False) -> Connected | str:
        """The new connection, or the reason why it is rejected."""
        connection = Connected()
        rejection = self.limits.admit(connection, address)
        if rejection is not None:
            assert rejection.status == 503
            return rejection.detail
        if busy:
            self.limits.note(connection, is_waiting=False)
        return connection

    def open(self, address: str | None, *, busy: bool = False) -> Connected:
        connection = self.connect(address, busy=busy)
        assert isinstance(connection, Connected), connection
        return connection


def test_connection_that_waits_longest_makes_room() -> None:
    server = Server(max_connections=4)
    first, second = server.open("10.0.0.1"), server.open("10.0.0.1", busy=True)
    third, fourth = server.open("10.0.0.2", busy=True), server.open("10.0.0.2", busy=True)
    fifth = server.open("10.0.0.3")
    assert [each.is_closed for each in (first, second, third, fourth, fifth)] == [True, False, False, False, False]
    assert server.open("10.0.0.4")
    assert fifth.is_closed


def test_client_with_most_waiting_connections_makes_room() -> None:
    server = Server(max_connections=8)
    victim = server.open("10.0.0.9")
    attackers = [server.open("10.0.0.1") for _ in range(7)]
    assert sum(each.is_closed for each in attackers) == 3, "one address never has more than half"
    others = [server.open(f"10.0.0.{number}") for number in range(20, 25)]
    assert sum(each.is_closed for each in attackers) == 5
    assert not any(each.is_closed for each in (victim, *others))


def test_new_connection_is_refused_where_all_others_have_a_request() -> None:
    server = Server(max_connections=4)
    for number in range(4):
        server.open(f"10.0.0.{number}", busy=True)
    assert server.connect("10.0.0.9") == "too many connections (max_connections; at most 4)"


def test_closed_connection_makes_room() -> None:
    server = Server(max_connections=1)
    busy = server.open("10.0.0.1", busy=True)
    server.limits.remove(busy)
    server.limits.remove(busy)
    server.open("10.0.0.1", busy=True)
    assert isinstance(server.connect("10.0.0.1"), str)


def test_connection_that_waits_again_goes_behind_the_others() -> None:
    server = Server(max_connections=2, max_connections_per_address=1)
    first = server.open("10.0.0.1", busy=True)
    second = server.open("10.0.0.2")
    server.limits.note(first, is_waiting=True)
    server.open("10.0.0.3")
    assert (first.is_closed, second.is_closed) == (False, True)


@pytest.mark.parametrize(
    ("one", "another", "is_same"),
    [("10.0.0.1", "::ffff:10.0.0.1", True), ("2001:db8::1", "2001:db8::2", True), ("10.0.0.1", "10.0.0.2", False)],
)
def test_addresses_of_one_client_count_together(one: str, another: str, is_same: bool) -> None:
    server = Server(max_connections=4)
    for _ in range(2):
        server.open(one, busy=True)
    assert isinstance(server.connect(another), str) is is_same


def test_limit_of_an_address_counts_http_and_sockets() -> None:
    server = Server(max_connections=1000, max_connections_per_address=8)
    for _ in range(8 + 64):
        server.open("10.0.0.1", busy=True)
    assert server.connect("10.0.0.1") == (
        "too many connections from an address (max_connections_per_address; at most 72)"
    )
    server.open("10.0.0.2")


@pytest.mark.parametrize("address", ["10.0.0.1", None], ids=["trusted proxy", "unix socket"])
def test_connections_of_many_clients_have_no_limit_by_address(address: str | None) -> None:
    server = Server(max_connections=1000, max_connections_per_address=1, trusted_proxies="10.0.0.0/8")
    for _ in range(1000):
        server.open(address, busy=True)
    assert isinstance(server.connect(address), str)


@pytest.mark.parametrize(
    ("descriptors", "records", "connections"),
    [(128, False, 64), (1024, False, 960), (1024, True, 320), (32, False, 16)],
)
def test_limit_follows_from_the_descriptors(descriptors: int, records: bool, connections: int) -> None:
    assert automatic_limit(descriptors, records=records) == connections


def test_automatic_limit_is_in_force_unless_the_setting_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "raise_descriptor_limit", lambda: 0)
    server = Server(max_connections_per_address=100)
    for number in range(16):
        server.open(f"10.0.0.{number}", busy=True)
    assert isinstance(server.connect("10.0.1.1"), str)
    server.settings = Settings(max_connections=17)
    server.open("10.0.1.1")
