"""A reset ends both sides of one connection, touches no other, and leaves no descriptor behind."""

import socket
from pathlib import Path

from trio_stt.hypercorn_adapter.connection_reset import reset_connection


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def connect(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    return client, accepted


def test_the_named_peer_is_reset_and_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stalled, at_server = connect(listener)
        other, other_at_server = connect(listener)
        with stalled, at_server, other, other_at_server:
            before = open_descriptors()
            assert reset_connection(*stalled.getsockname())
            assert open_descriptors() == before
            assert at_server.recv(1) == b"", "the server's own end is over at once"
            assert stalled.recv(1) == b""
            other.sendall(b"hello")
            assert other_at_server.recv(5) == b"hello"


def test_an_unknown_peer_changes_nothing() -> None:
    before = open_descriptors()
    assert not reset_connection("127.0.0.1", 1)
    assert open_descriptors() == before
