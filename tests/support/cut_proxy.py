"""A TCP proxy on 127.0.0.1 that drops data, cuts connections and refuses new ones when a test tells it to.

It does not know the protocol that it forwards.
"""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_POLL_S = 0.05


class CutProxy:
    """Forwards bytes between its own port and another one, on its own threads.

    Args:
        port: The port to which connections are forwarded.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._links_lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._discards = threading.Event()
        self._holds = threading.Event()
        self._is_last: Callable[[bytes], bool] = lambda _: False
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """The server's URL through this proxy."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def discard_uploads(self) -> None:
        """Read and discard what clients send, until `restore`."""
        self._discards.set()

    def hold_downloads_after(self, is_last: Callable[[bytes], bool]) -> None:
        """Discard what servers send after the first bytes that are the last ones to be forwarded, until `restore`."""
        self._is_last = is_last

    def cut(self) -> None:
        """Close every connection on both sides without a close frame, and accept none until `restore`."""
        self._open.clear()
        with self._links_lock:
            links, self._links = self._links, []
        for link in links:
            for side in link:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
                side.close()

    def restore(self, port: int | None = None) -> None:
        """Forward connections and data again; new connections to another port, if one is given."""
        self._target = port or self._target
        self._is_last = lambda _: False
        self._discards.clear()
        self._holds.clear()
        self._open.set()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            ready, _, _ = select.select([self._listener], [], [], _POLL_S)
            if not ready:
                continue
            client, _ = self._listener.accept()
            if not self._open.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._links_lock:
                self._links.append((client, server))
            for source, sink, discards in ((client, server, self._discards), (server, client, self._holds)):
                thread = threading.Thread(target=self._forward, args=(source, sink, discards))
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket, discards: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not discards.is_set():
                    sink.sendall(data)
                if discards is self._holds and self._is_last(data):
                    discards.set()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
