"""The TCP server for Wyoming's clients: admits connections and serves each until it ends. See docs/wyoming.md.

`conversation` understands the events. This module owns sockets and admission: the protocol has no keys, so the
port is closed unless `wyoming_port` opens it.
"""

import logging
import socket
from functools import partial
from typing import Any

import trio

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.api.wyoming import messages
from trio_stt.api.wyoming.conversation import Conversation
from trio_stt.api.wyoming.discovery import advertise, check_installed
from trio_stt.api.wyoming.messages import ErrorCode
from trio_stt.api.wyoming.wire import WyomingWire
from trio_stt.errors import SettingError
from trio_stt.processes.counts import ClientCount, Count
from trio_stt.processes.membership import Membership
from trio_stt.server.server_state import ServerState
from trio_stt.session.connection import ConnectionClosed
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 128


class _Connection:
    """A connection, for its limits."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def close_waiting(self) -> None:
        """Close it: it has no audio, so nothing is lost."""
        self.scope.cancel()


class WyomingServer:
    """The server.

    Args:
        server_state: What it shares with all others.
        membership: Of this process, if it is one of several: the supervisor has bound the listening sockets.

    Raises:
        SettingError: It cannot listen on the address, or the package for `wyoming_zeroconf` is missing.
    """

    def __init__(self, server_state: ServerState, membership: Membership | None = None) -> None:
        settings = server_state.settings
        if settings.wyoming_zeroconf:
            check_installed()
        self._membership = membership
        if membership is None:
            # Tried here, because what fails once a host has started the app is a traceback for its users.
            for address in _addresses(settings):
                _listener(address).close()
        self._advertises = settings.wyoming_zeroconf and (membership is None or membership.leader)
        self._server_state = server_state
        self._limits = ConnectionLimits(
            lambda: server_state.settings,
            server_state.counts,
            count=Count.WYOMING_CONNECTIONS,
            client_count=ClientCount.WYOMING_CONNECTIONS,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled.

        Raises:
            SettingError: It cannot listen on the address.
        """
        settings = self._server_state.settings
        host, port = wyoming_host(settings), settings.wyoming_port
        if self._membership is None:
            sockets = [_listener(address) for address in _addresses(settings)]
        else:
            sockets = [socket.socket(fileno=each) for each in self._membership.wyoming_listeners]
            for each in sockets:
                each.listen(_BACKLOG)
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
        if settings.keys or settings.keys_file:
            logger.warning(
                "Wyoming has no keys: everyone who can connect to %s:%d may transcribe (wyoming_port)", host, port
            )
        async with trio.open_nursery() as nursery:
            if self._advertises:
                nursery.start_soon(advertise, host, port)
            await nursery.start(partial(trio.serve_listeners, self._serve, listeners))
            logger.info("Wyoming clients connect to tcp://%s:%d", host, port)
            task_status.started()

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection, wire = _Connection(), WyomingWire(stream, stream.socket.close)
        async with stream:
            with connection.scope:
                try:
                    await self._admit(connection, wire, stream.socket.getpeername()[0])
                except ConnectionClosed as closed:
                    logger.debug("a Wyoming connection ended: %s", closed)
                except OSError as error:  # the client was gone before it was served
                    logger.debug("a Wyoming connection failed: %s", error)
                except Exception:
                    logger.exception("a Wyoming connection failed")
                finally:
                    self._limits.remove(connection)

    async def _admit(self, connection: _Connection, wire: WyomingWire, address: str) -> None:
        rejection = self._limits.admit(connection, address)
        if rejection is not None:
            self._server_state.traffic.reject("wyoming", "connections")
            await wire.send(messages.error(rejection.detail, ErrorCode.FULL))
        else:
            conversation = Conversation(
                self._server_state, wire, lambda is_waiting: self._limits.note(connection, is_waiting=is_waiting)
            )
            await conversation.run()
        await wire.finish()


def _addresses(settings: Settings) -> list[tuple[socket.AddressFamily, Any]]:
    """The addresses to listen on: a name may have several.

    Raises:
        SettingError: The name is unknown.
    """
    host, port = wyoming_host(settings), settings.wyoming_port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingError(f"cannot listen on {host}:{port} (wyoming_host): {error}") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listener(where: tuple[socket.AddressFamily, Any]) -> socket.socket:
    """A socket that listens.

    Raises:
        SettingError: It cannot.
    """
    family, address = where
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingError(f"cannot listen on {address[0]}:{address[1]} (wyoming_port): {error.strerror}") from None


def wyoming_host(settings: Settings) -> str:
    """The address that Wyoming's clients connect to."""
    return settings.wyoming_host or settings.host
