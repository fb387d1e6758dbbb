"""Liveness and readiness: whether only a restart helps, and whether the server can take new clients."""

from trio_stt.errors import HIDDEN_CAUSE
from trio_stt.lanes.lane_health import MAX_HUNG_THREADS
from trio_stt.lanes.lane_state import LaneState
from trio_stt.server.server_state import ServerState


def restart_reason(server_state: ServerState, *, shows_causes: bool = True) -> str | None:
    """Why only a restart of the process helps, in one line; None while it would not.

    Args:
        server_state: The server.
        shows_causes: Whether the line contains the engine's own message.
    """
    for lane in server_state.lanes.statistics().lanes:
        if lane.state is LaneState.FAILED and lane.engines.hung_threads >= MAX_HUNG_THREADS:
            cause = lane.error if shows_causes else f"{lane.engines.hung_threads} engines hang"
            return f"{lane.name} lane: {cause}"
    return None


def unready_reason(server_state: ServerState, *, shows_causes: bool = True) -> str | None:
    """Why a new client would be refused or not transcribed, in one line; None if it would be served."""
    if server_state.registry.is_closing:
        return "the server shuts down"
    if not server_state.lanes.ready:
        return "models are loading"
    for lane, why in server_state.lanes.startup_errors.items():
        return f"{lane} lane: {why if shows_causes else HIDDEN_CAUSE}"
    if server_state.registry.is_full:
        return f"the server is full: max_sessions is {server_state.settings.max_sessions}"
    return None
