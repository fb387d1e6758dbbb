"""Announces the Wyoming port in the local network, so that Home Assistant finds it: multicast DNS, by zeroconf."""

import importlib
import importlib.util
import logging
import socket
import uuid
from typing import Any

import trio

from trio_stt.access.host_and_origin import is_loopback
from trio_stt.errors import SettingError
from trio_stt.runtime.packages import install_hint

logger = logging.getLogger(__name__)

_TYPE = "_wyoming._tcp.local."
_MULTICAST = ("224.0.0.251", 5353)
"""The address of multicast DNS (RFC 6762); a route to it tells which of this machine's addresses others see."""
_END_TIMEOUT_S = 3.0
_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


def check_installed() -> None:
    """Check that the package is there.

    Raises:
        SettingError: It is missing.
    """
    if importlib.util.find_spec("zeroconf") is None:
        hint = install_hint("zeroconf")
        raise SettingError(f"wyoming_zeroconf: the package zeroconf is missing; run `{hint}`")


async def advertise(host: str, port: int) -> None:
    """Announce the port until cancelled. A network that does not allow it is only logged.

    Args:
        host: The address that the server listens on.
        port: The port.
    """
    library = importlib.import_module("zeroconf")
    try:
        # In a thread, because it resolves names and waits for the network; it then runs in a thread of its own.
        service, announced = await trio.to_thread.run_sync(_register, library, host, port)
    except (OSError, library.Error) as error:
        logger.error("the Wyoming port is not announced (wyoming_zeroconf): %s", str(error) or type(error).__name__)  # noqa: TRY400 - the message says it all
        return
    try:
        logger.info("the Wyoming port is announced as %s", announced.name)
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _END_TIMEOUT_S):
            await trio.to_thread.run_sync(_unregister, service, announced, abandon_on_cancel=True)


def _register(library: Any, host: str, port: int) -> tuple[Any, Any]:
    address = _address(host)
    interfaces = [address] if is_loopback(address) else library.InterfaceChoice.Default
    service = library.Zeroconf(interfaces=interfaces)
    announced = library.ServiceInfo(
        _TYPE,
        f"{uuid.getnode():012x}.{_TYPE}",  # the MAC address: the same after a restart
        port=port,
        parsed_addresses=[address],
    )
    try:
        service.register_service(announced, allow_name_change=True)
    except BaseException:
        service.close()
        raise
    return service, announced


def _unregister(service: Any, announced: Any) -> None:
    service.unregister_service(announced)
    service.close()


def _address(host: str) -> str:
    """An address of this machine that others can connect to."""
    if host not in _ANY:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_MULTICAST)
        return str(probe.getsockname()[0])
