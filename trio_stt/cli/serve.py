"""`trio-stt serve`: runs the server on Hypercorn's Trio worker until a signal ends it.

It owns the process: the listening socket, signals and the messages of the start. `server.build` builds the server.
"""

import logging
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TextIO
from urllib.parse import urlsplit

import structlog
import trio
from hypercorn.trio import serve as serve_app

from trio_stt.access.connection_limits import ConnectionLimits
from trio_stt.access.host_and_origin import is_loopback
from trio_stt.api.web_app import build_app
from trio_stt.api.wyoming.server import wyoming_host
from trio_stt.cli.error_groups import unwrap_errors, unwrap_group
from trio_stt.cli.tls import ServerConfig
from trio_stt.errors import HostError, SettingError, TrioSttError
from trio_stt.hypercorn_adapter.replacements import HostHooks, install_replacements, install_websocket_class
from trio_stt.hypercorn_adapter.verification import verify_replacements
from trio_stt.hypercorn_adapter.websocket_limits import WebSocketLimits
from trio_stt.lanes.job import JobKind
from trio_stt.processes.counts import SINGLE_PROCESS, ProcessCounts
from trio_stt.processes.membership import Membership, take_membership
from trio_stt.processes.peers import NO_PEERS, Peers, ProcessPeers
from trio_stt.processes.shared_table import SharedTable
from trio_stt.processes.supervisor_link import SupervisorLink
from trio_stt.runtime.logging_setup import start_logging
from trio_stt.runtime.systemd import keep_alive, notify
from trio_stt.server.build import build_server, fetch_wake_words
from trio_stt.server.probes import restart_reason
from trio_stt.server.server_state import ServerState
from trio_stt.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 4096
"""Connections that the kernel queues until they are accepted. Beyond it, the kernel drops the first packet and clients
retry after a second: with Hypercorn's 100, the last of 200 simultaneous clients waits 3 s for its `hello`."""


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM, or until the supervisor of several processes ends this one; return the status.

    Raises:
        SettingError: The settings exclude each other, or the address cannot be bound, or no engine for finals can be
            loaded until a setting, a package or a model changes.
        EngineUnavailable: No engine for finals could be loaded for another reason, so a restart may help.
        ModelError: The models of wake words cannot be downloaded.
        HostError: The installed Hypercorn or Quart is not one that this server can be hosted with.
    """
    membership = take_membership()
    start_logging(settings.log_level, settings.log_format)
    if membership is not None:
        structlog.contextvars.bind_contextvars(process=membership.instance)
    config = ServerConfig()
    config.use_certificate(settings)
    fetch_wake_words(settings)
    counts: ProcessCounts = SINGLE_PROCESS
    peers: Peers = NO_PEERS
    if membership is not None:
        counts = table = SharedTable.of(membership)
        peers = ProcessPeers(membership, table)
    server_state = build_server(settings, counts, peers)
    install_replacements(
        HostHooks(
            websocket_limits=lambda: WebSocketLimits.of(server_state.settings),
            connection_limits=ConnectionLimits(lambda: server_state.settings, counts),
        )
    )
    with unwrap_errors(SettingError, HostError):
        failure = trio.run(_serve, server_state, config, membership, strict_exception_groups=True)
    if failure is not None:
        raise failure
    return 0


async def _serve(server_state: ServerState, config: ServerConfig, membership: Membership | None) -> TrioSttError | None:
    """Serve until a signal, or until it is known that no engine for finals can be loaded; returns that error."""
    await verify_replacements()
    app = build_app(server_state, membership=membership)
    settings = server_state.settings
    install_websocket_class(app)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    own = [] if membership is None else [f"fd://{descriptor}" for descriptor in membership.listeners]
    config.bind = own or [f"{host}:{settings.port}"]
    config.errorlog = logging.getLogger("trio_stt.hypercorn")  # in the format of all other log lines
    config.backlog = _BACKLOG
    stop, stop_now, down = trio.Event(), trio.Event(), trio.Event()
    failure: TrioSttError | None = None

    link = None if membership is None else SupervisorLink(membership)
    speaks = membership is None or membership.first  # for all processes

    async def announce(addresses: list[str]) -> None:
        nonlocal failure
        failure = await _load_error(server_state)
        if failure is not None:
            stop.set()
        elif server_state.lanes.ready:  # not stopped while loading
            await _announce(server_state, addresses, link, speaks=speaks)

    async with trio.open_nursery() as watch:
        watch.start_soon(_watch_signals, stop, stop_now)
        watch.start_soon(keep_alive, lambda: restart_reason(server_state) is None)
        watch.start_soon(_watch_sighup, config)
        if link is not None:
            watch.start_soon(link.report_alive, lambda: restart_reason(server_state) is None)
            watch.start_soon(link.follow, server_state.registry.peer_sessions.abort_all, stop.set, stop_now.set)
        async with trio.open_nursery() as nursery:
            # Cancelling the scope of a nursery that has closed does nothing.
            watch.start_soon(_cancel_at, stop_now, nursery.cancel_scope)  # noqa: ASYNC111
            serving = partial(serve_app, app, config, shutdown_trigger=down.wait)
            try:
                addresses = await nursery.start(serving)
            except* OSError as group:
                reason = unwrap_group(group)
                raise SettingError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from None
            if speaks:
                _warn_if_public(addresses, settings)
            nursery.start_soon(announce, addresses)
            await stop.wait()
            await notify("STOPPING=1")
            await server_state.registry.drain(server_state.settings.shutdown_grace_s)
            down.set()
            nursery.cancel_scope.deadline = trio.current_time() + config.graceful_timeout + 1
        watch.cancel_scope.cancel()
    return failure


def _warn_if_public(addresses: list[str], settings: Settings) -> None:
    if settings.wyoming_port and not is_loopback(wyoming_host(settings)):
        _warn(
            f"Wyoming on {wyoming_host(settings)}:{settings.wyoming_port} is open to the network: everyone who can"
            " reach it may transcribe, without a key and without encryption."
        )
    public = [address for address in addresses if not is_loopback(urlsplit(address).hostname or "")]
    has_keys, is_encrypted = bool(settings.keys_file or settings.keys), bool(settings.certfile)
    if not public or (has_keys and is_encrypted):
        return
    if has_keys:
        risk = "keys and speech travel without encryption unless a proxy in front adds it (see --certfile)"
    else:
        lacks = "without a key" if is_encrypted else "without a key and without encryption"
        risk = f"everyone who can reach it may use it and read its settings, {lacks} (see --keys-file)"
    _warn(f"{' and '.join(public)} is open to the network: {risk}.")


def _warn(message: str) -> None:
    _print(f"Warning: {message}", sys.stderr)


def _print(line: str, target: TextIO | None = None) -> None:
    """Print a line. A server does not end because the file that its output goes to is full."""
    with suppress(OSError):
        print(line, file=target, flush=True)


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _watch_signals(stop: trio.Event, stop_now: trio.Event) -> None:
    """The first signal stops the server after its sessions have finished, a second one at once."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stop.is_set():
                stop_now.set()
            stop.set()


async def _watch_sighup(config: ServerConfig) -> None:
    """Reload the certificate on SIGHUP. Open connections keep the old one."""
    if not hasattr(signal, "SIGHUP"):  # Windows has none
        return
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            if not config.ssl_enabled:  # without a handler, the signal would end the server and cut its sessions off
                logger.info("SIGHUP ignored: there is no certificate to reload (certfile)")
                continue
            try:
                config.reload_certificate()
                logger.info("certificate reloaded")
            except SettingError as error:
                logger.error("certificate not reloaded, the old one stays in use: %s", error)  # noqa: TRY400 - the message says it all


async def _load_error(server_state: ServerState) -> TrioSttError | None:
    """Wait until the lanes are loaded; the error if there is no engine for finals."""
    lanes = server_state.lanes
    await lanes.wait_loaded()
    if not lanes.ready or (error := lanes.lane_for(JobKind.FINAL).load_error) is None:
        return None
    return error if error.may_pass else SettingError(str(error))


def _print_lanes(server_state: ServerState) -> None:
    """Print what each lane runs."""
    shared = server_state.lanes.mode == "low-memory-one-model"
    for lane in server_state.lanes.statistics().lanes:
        use = "Finals and partials" if shared else {"main": "Finals", "realtime": "Partials"}[lane.name]
        if lane.engine:
            _print(f"{use}: {lane.engine.engine}, model {lane.engine.model}, on {lane.engine.device}")
        else:
            _print(f"{use}: not available. {lane.error}")


async def _announce(
    server_state: ServerState, addresses: list[str], link: SupervisorLink | None, *, speaks: bool
) -> None:
    """Report that the server is ready, and print what each lane runs, and its address; of several, the supervisor does.

    Args:
        server_state: The server.
        addresses: Its addresses.
        link: To the supervisor, if this process is one of several.
        speaks: Whether this process speaks for all.
    """
    if speaks:
        _print_lanes(server_state)
    if link is not None:
        link.report_ready()
        return
    await notify("READY=1")
    where = " and ".join(addresses)
    if server_state.lanes.ok:
        _print(f"trio-stt is ready on {where}")
    else:
        _print(f"trio-stt listens on {where}, but shows no partials: see above")
