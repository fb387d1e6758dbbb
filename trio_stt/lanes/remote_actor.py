"""What runs in an actor of a Ray cluster: an engine, and the messages of its executor as bytes.

It imports neither Ray nor Trio: Ray makes an actor of the class, and calls one method at a time.
"""

import platform

from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_messages import HEADER, decode_request, encode
from trio_stt.lanes.remote_engine import RemoteEngine
from trio_stt.runtime.logging_setup import start_logging


class RemoteActor:
    """One engine in an actor.

    Args:
        log_level: Of the actor's log lines, which go to Ray's log files of the node.
        log_format: Of these lines.
    """

    def __init__(self, log_level: str, log_format: str) -> None:
        start_logging(log_level, "json" if log_format == "json" else "console")
        self._engine = RemoteEngine(model_resolver.load)

    def host(self) -> str:
        """The name of the node's machine."""
        return platform.node()

    def answer(self, message: bytes) -> bytes:
        """Carry out one request, see `RemoteEngine.answer`. Both are messages with their headers."""
        return encode(self._engine.answer(decode_request(message[HEADER.size :])))

    def close(self) -> None:
        """Free the engine. Raises whatever the engine raises."""
        self._engine.close()
