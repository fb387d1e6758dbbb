"""The app for an ASGI host: `hypercorn trio_stt.app:app`, with the asyncio or the Trio worker.

Settings come from the environment. Importing this module builds the server; `trio_stt.service` and `trio_stt.serving`
build one with other settings.
"""

import sys

from trio_stt.asgi import HostBridge, shelter_trio_worker
from trio_stt.configuration import load
from trio_stt.doors.wire import WireLimits, guard_wire
from trio_stt.errors import TrioSttError
from trio_stt.logs import start_logging
from trio_stt.service import build_house
from trio_stt.serving import build_app


def _build() -> HostBridge:
    try:
        settings = load()
        start_logging(settings.log_level, settings.log_format)
        shelter_trio_worker()
        house = build_house(settings)
        guard_wire(lambda: WireLimits.of(house.settings))
        return HostBridge(build_app(house))
    except TrioSttError as error:
        sys.exit(f"trio-stt: {error}")


app = _build()
