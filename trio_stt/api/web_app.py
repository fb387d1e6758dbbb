"""The web app: all routes of one server, with its lanes running while it is served.

It owns what starts and ends with the server, and in which order. It must not know sessions.
"""

import math
from collections.abc import Awaitable, Callable, Iterable

import trio
from quart_trio import QuartTrio

from trio_stt.access.cors import Cors
from trio_stt.access.host_and_origin import Access, frame_ancestors
from trio_stt.access.keyring import Keyring
from trio_stt.access.middleware import AccessMiddleware
from trio_stt.access.proxies import Proxies
from trio_stt.access.security_headers import SecurityHeaders
from trio_stt.api.deepgram.route import listen_routes, listen_spec
from trio_stt.api.dialect_route import DialectSpec, dialect_routes
from trio_stt.api.http import http_routes
from trio_stt.api.openai.route import openai_routes
from trio_stt.api.openai_realtime.route import realtime_spec
from trio_stt.api.openapi.route import openapi_routes
from trio_stt.api.operations import operations_routes
from trio_stt.api.realtimestt.route import WS_PATH, ws_routes
from trio_stt.api.request_ids import RequestIds
from trio_stt.api.request_metrics import RequestMetrics
from trio_stt.api.subtitles import subtitle_routes
from trio_stt.api.vosk.route import VOSK_SPEC
from trio_stt.api.websocket_admission import WebSocketAdmission
from trio_stt.api.whisper.route import whisper_routes
from trio_stt.api.wyoming.server import WyomingServer
from trio_stt.errors import SettingError
from trio_stt.processes.membership import Membership
from trio_stt.runtime.gc_tuning import tune_gc
from trio_stt.runtime.loop_stalls import LoopStallMonitor
from trio_stt.server.all_processes import AllProcesses
from trio_stt.server.build import prepare_process
from trio_stt.server.history import ServerHistory
from trio_stt.server.server_state import ServerState
from trio_stt.server.traffic import NATIVE, OTHER
from trio_stt.settings import Settings, split_list
from trio_stt.settings.access_settings import DIALECTS


def dialect_specs(server_state: ServerState) -> dict[str, DialectSpec]:
    """Every dialect on the server's port, by its name in the setting `dialects`."""
    return {
        "openai-realtime": realtime_spec(server_state),
        "deepgram": listen_spec(server_state),
        "vosk": VOSK_SPEC,
    }


def _wanted_dialects(settings: Settings) -> list[str]:
    wanted = split_list(settings.dialects)
    for name in wanted:
        if name not in DIALECTS:
            raise SettingError(f"dialects: {name[:80]!r} is not a dialect; known are {', '.join(DIALECTS)}")
    return wanted


async def _start_dialects(specs: Iterable[DialectSpec]) -> None:
    for spec in specs:
        await spec.start()


def _failed_logins_per_address(server_state: ServerState) -> int:
    """The share of this process: the connections of an address are spread over all processes."""
    return math.ceil(server_state.settings.max_failed_logins_per_address / server_state.counts.processes)


def build_app(
    server_state: ServerState,
    *,
    before_start: Callable[[], Awaitable[None]] | None = None,
    membership: Membership | None = None,
) -> QuartTrio:
    """Build the app.

    Args:
        server_state: What its sessions share.
        before_start: Awaited when the host starts the app, before the lanes load; what it raises ends the start.
        membership: Of this process, if it is one of several.

    Raises:
        SettingError: A setting of the group access is invalid, or the Wyoming port cannot be opened.
    """
    app = QuartTrio("trio_stt", static_folder=None)
    keyring = Keyring(server_state.settings, lambda: _failed_logins_per_address(server_state))
    access = Access(server_state.settings)
    specs = dialect_specs(server_state)
    dialects = {WS_PATH: NATIVE} | {spec.path: name for name, spec in specs.items()}
    middleware = AccessMiddleware(
        app.asgi_app,
        access,
        Proxies(server_state.settings),
        keyring,
        lambda path: server_state.traffic.reject(dialects.get(path, OTHER), "access"),
    )
    with_headers = SecurityHeaders(Cors(middleware, access), frame_ancestors(server_state.settings))
    counted = RequestMetrics(RequestIds(with_headers), app, server_state.http_traffic)
    app.asgi_app = counted  # type: ignore[method-assign]  # Quart's way of wrapping
    app.config["MAX_CONTENT_LENGTH"] = server_state.settings.max_upload_bytes
    history = ServerHistory(server_state)
    processes = AllProcesses(server_state, history)
    app.register_blueprint(http_routes(server_state, processes))
    app.register_blueprint(operations_routes(processes))
    app.register_blueprint(subtitle_routes())
    if server_state.settings.openai_api:
        app.register_blueprint(openai_routes(server_state))
        app.register_blueprint(whisper_routes(server_state))
    admission = WebSocketAdmission(server_state, keyring)
    app.register_blueprint(ws_routes(server_state, admission))
    wanted = _wanted_dialects(server_state.settings)
    if "deepgram" in wanted:
        app.register_blueprint(listen_routes(server_state))
    for name, spec in specs.items():
        if name in wanted:
            app.register_blueprint(dialect_routes(name, spec, server_state, admission))
    app.register_blueprint(openapi_routes(app, has_keys=keyring.is_needed))
    wyoming = WyomingServer(server_state, membership) if server_state.settings.wyoming_port else None

    @app.before_serving
    async def start() -> None:
        if before_start is not None:
            await before_start()
        prepare_process()
        await app.nursery.start(server_state.run)
        await processes.start()
        await _start_dialects(specs.values())
        app.nursery.start_soon(processes.run)
        if wyoming is not None:
            await app.nursery.start(wyoming.run)
        app.nursery.start_soon(history.run)
        app.nursery.start_soon(tune_gc, server_state.lanes.wait_loaded)
        if server_state.settings.stall_warning_ms:
            limit_s, stalls = server_state.settings.stall_warning_ms / 1000, server_state.latencies.loop_stalls
            trio.lowlevel.add_instrument(LoopStallMonitor(limit_s, on_stall=stalls.add))

    @app.after_serving
    async def end() -> None:
        app.nursery.cancel_scope.cancel()

    return app
