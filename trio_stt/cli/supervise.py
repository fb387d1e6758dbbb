"""`trio-stt serve --processes N`: runs N servers on one port, under a supervisor in this process.

It owns what all of them share: the listening sockets, the shared counts and the private folder of their sockets. Each
process is this very command again (`cli.serve`).
"""

import fcntl
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import trio

from trio_stt.errors import SettingError
from trio_stt.processes.membership import socket_path
from trio_stt.processes.shared_table import MAX_INSTANCE, SharedTable
from trio_stt.processes.supervisor import Place, Supervisor
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.runtime.systemd import keep_alive, notify
from trio_stt.settings import Settings

_BACKLOG = 4096
"""See `cli.serve`."""
_MAX_SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket on Linux: `sun_path` of unix(7), with its zero byte."""
_PREFIX = "trio-stt-processes-"
_LOCK = "supervisor.lock"
_AFTER_DRAIN_S = 6.0
"""Seconds from the end of a drain to the end of a process: last answers, Hypercorn's own grace period, engines."""


def supervise(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status.

    Raises:
        SettingError: This system has no port for several processes, the address cannot be bound, or there is no memory
            or folder for what the processes share.
    """
    if sys.platform != "linux":
        raise SettingError("processes: several need Linux, whose SO_REUSEPORT spreads connections; leave it at 1 here")
    start_logging(settings.log_level, settings.log_format)
    with ExitStack() as stack:
        places = _bind_places(settings)
        for place in places:
            for listener in (*place.listeners, *place.wyoming_listeners):
                stack.enter_context(listener)
        rows = 2 * settings.processes  # a process that ends and its successor each have one
        table = SharedTable.create(rows, processes=settings.processes)
        folder = private_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        supervisor = Supervisor(
            [sys.executable, *sys.orig_argv[1:]],  # with the interpreter's own flags, and whatever wraps this command
            places,
            table=table,
            rows=rows,
            folder=folder,
            grace_s=settings.shutdown_grace_s + _AFTER_DRAIN_S,
            on_ready=partial(_announce, settings, places[0].listeners[0]),
        )
        return trio.run(_run, supervisor, strict_exception_groups=True)


async def _run(supervisor: Supervisor) -> int:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_alive, _is_serving(supervisor))
        status = await supervisor.run()
        nursery.cancel_scope.cancel()
    return status


def _is_serving(supervisor: Supervisor) -> Callable[[], bool]:
    return lambda: supervisor.is_serving


async def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.certfile else "http"
    await notify("READY=1")
    with suppress(OSError):  # the file that the output goes to may be full
        print(f"trio-stt is ready on {scheme}://{shown}:{port}, with {settings.processes} processes", flush=True)


def bind_all(
    family: socket.AddressFamily, address: tuple[object, ...], number: int, setting: str
) -> Sequence[socket.socket]:
    """Sockets on one address; the kernel spreads connections over those that listen.

    The first listens, which keeps others from the port; each further one does once its process serves.

    Raises:
        SettingError: The address cannot be bound.
    """
    with ExitStack() as stack:
        try:
            # Without SO_REUSEPORT first: with it, another server of the same user would go on sharing its port.
            with _bound(family, address, socket.SO_REUSEADDR) as probe:
                probe.listen(1)
                address = (address[0], probe.getsockname()[1], *address[2:])  # of the port that 0 has chosen
            listeners = [
                stack.enter_context(_bound(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT))
                for _ in range(number)
            ]
            listeners[0].listen(_BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            raise SettingError(f"cannot listen on {address[0]}:{address[1]} ({setting}): {reason}") from None
        stack.pop_all()
    return listeners


def _bound(family: socket.AddressFamily, address: tuple[object, ...], *options: int) -> socket.socket:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        for option in options:
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by its connections
        listener.bind(address)
        stack.pop_all()
    return listener


def _bind_places(settings: Settings) -> list[Place]:
    """The places with their listening sockets, bound as Hypercorn and `api.wyoming` bind theirs."""
    with ExitStack() as stack:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listeners = bind_all(family, (settings.host, settings.port), settings.processes, "port")
        places = [Place([stack.enter_context(listener)]) for listener in listeners]
        for wyoming_family, address in _wyoming_addresses(settings):
            bound = bind_all(wyoming_family, address, settings.processes, "wyoming_port")
            for place, listener in zip(places, bound, strict=True):
                place.wyoming_listeners = [*place.wyoming_listeners, stack.enter_context(listener)]
        stack.pop_all()
    return places


def _wyoming_addresses(settings: Settings) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    if not settings.wyoming_port:
        return []
    host, port = settings.wyoming_host or settings.host, settings.wyoming_port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingError(f"cannot listen on {host}:{port} (wyoming_host): {error}") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _lock(folder: Path) -> None:
    """Lock the folder for as long as this process lives."""
    unnamed = folder / "lock.part"  # a lock file that is not locked yet must not be found
    descriptor = os.open(unnamed, os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)


def _remove_stale(parent: Path) -> None:
    """Remove folders of supervisors that were killed: those whose lock is free."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is in use, of another user, or gone meanwhile
            descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if folder.stat().st_uid == os.geteuid():
                    shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def private_folder() -> str:
    """A new folder that only this user may enter, for the sockets between the processes.

    Raises:
        SettingError: It cannot be created, or its path is too long for a socket.
    """
    parents = [os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], os.environ.get("XDG_RUNTIME_DIR"), None]
    error: OSError | None = None
    for parent in parents:
        if parent == "":
            continue
        with suppress(FileNotFoundError, PermissionError):
            try:
                folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
            except OSError as failure:
                error = failure
                continue
            if len(os.fsencode(socket_path(folder, MAX_INSTANCE))) <= _MAX_SOCKET_PATH_BYTES:
                _remove_stale(Path(folder).parent)
                _lock(Path(folder))
                return folder
            os.rmdir(folder)  # noqa: PTH106 - a name as `mkdtemp` gives it
    reason = error.strerror if error else "its path is too long; set TMPDIR to a shorter one"
    raise SettingError(f"processes: no folder for the sockets between them: {reason}")
