"""What a supervisor asks of the server: whether it should be restarted, and whether new clients should come.

It must not change what it looks at.
"""

from trio_stt.lanes.lane_state import LaneState
from trio_stt.lanes.worker_pool import MAX_HUNG_THREADS
from trio_stt.server.server_state import House


def fault(house: House) -> str | None:
    """Why only a restart of the process helps, in one line; None while it would not."""
    for lane in house.lanes.statistics().lanes:
        if lane.state is LaneState.FAILED and lane.engines.hung_threads >= MAX_HUNG_THREADS:
            return f"{lane.name} lane: {lane.error}"
    return None


def unready(house: House) -> str | None:
    """Why a client that came now would be refused or not heard, in one line; None if it would not."""
    if house.is_closing:
        return "the server shuts down"
    if not house.lanes.ready:
        return "models are loading"
    for lane, why in house.lanes.startup_errors.items():
        return f"{lane} lane: {why}"
    if house.is_full:
        return f"the server is full: max_sessions is {house.settings.max_sessions}"
    return None
