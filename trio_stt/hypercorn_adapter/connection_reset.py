"""Resetting a TCP connection from beneath a web server that cannot be interrupted while it sends.

It owns that one act. Hypercorn 0.18 has no call for it; a client that stops reading would otherwise hold its handler,
its buffers and the server's shutdown for as long as it likes. Works where `/dev/fd` exists (Linux, macOS), else nothing
happens and the client is left to the operating system.
"""

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")
_LINGER_ZERO = struct.pack("ii", 1, 0)  # on, 0 s: what is unsent is thrown away, and the peer gets a reset


def reset_connection(host: str, port: int) -> bool:
    """Reset this process's connection to the client at `host` and `port`; returns whether there was one."""
    if not _DESCRIPTORS.is_dir():
        return False
    for entry in list(_DESCRIPTORS.iterdir()):
        with suppress(OSError):
            descriptor = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            # A socket of a copy: closing it leaves the server's own alone.
            with socket.socket(fileno=os.dup(descriptor)) as candidate:
                is_tcp = candidate.family in (socket.AF_INET, socket.AF_INET6) and candidate.type == socket.SOCK_STREAM
                if is_tcp and candidate.getpeername()[:2] == (host, port):
                    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                    candidate.shutdown(socket.SHUT_RDWR)
                    return True
    return False
