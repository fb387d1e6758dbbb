"""The app for an ASGI host: `hypercorn trio_stt.app:app`, with the asyncio or the Trio worker.

Settings come from the environment. Importing this module builds the server; import `trio_stt.service` to build one
with other settings.
"""

import logging
import sys

from trio_stt.asgi import HostBridge
from trio_stt.configuration import load
from trio_stt.errors import TrioSttError
from trio_stt.service import build_app, build_house


def _build() -> HostBridge:
    try:
        settings = load()
        logging.basicConfig(level=settings.log_level)
        return HostBridge(build_app(build_house(settings)))
    except TrioSttError as error:
        sys.exit(f"trio-stt: {error}")


app = _build()
