"""A client process for tests to kill: it streams to a server over several sockets, as fast as they accept data.

    python tests/support/killed_client.py PORT SOCKETS FRAMES_FILE

The file holds the bytes to send after the handshake. The client uses only the standard library, because
many of them have to start fast.
"""

import contextlib
import socket
import sys
from pathlib import Path


def main(port: int, count: int, frames: bytes) -> None:
    """Connect all sockets, print `connected`, and stream."""
    head = (
        f"GET /ws/transcribe HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for each in sockets:
        each.sendall(head.encode())
        each.recv(4096)
        each.setblocking(False)
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    remaining = [frames] * count
    while True:
        for number, each in enumerate(sockets):
            with contextlib.suppress(BlockingIOError):
                remaining[number] = remaining[number][each.send(remaining[number][:4096]) :] or frames
            with contextlib.suppress(BlockingIOError):
                each.recv(65_536)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).read_bytes())
