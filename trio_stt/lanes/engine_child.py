"""The child process of `EngineProcess`: reads requests from its standard input, runs the engine, writes answers.

It ends when its input ends, so it never outlives its server. It imports no Trio. Run as a module, with the log level
and the log format as arguments.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import outcome

from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_messages import HEADER, Downloading, Load, Transcribe, decode_request, encode
from trio_stt.lanes.engines.base import Engine, EngineConfig
from trio_stt.lanes.executor import ENGINE_NICENESS
from trio_stt.lanes.remote_engine import RemoteEngine
from trio_stt.runtime.logging_setup import start_logging

logger = logging.getLogger(__name__)

_ORPHAN_GRACE_S = 15.0
"""Seconds for which a running call may go on after the server is gone. The server itself waits for 10 s at most."""

_REPORT_INTERVAL_S = 1.0
"""Seconds between two reports that a model is still being downloaded; the limit of a load counts from the last one."""

LoadEngine = Callable[[EngineConfig, Callable[[], bool]], Engine]
"""Loads an engine. Calls its second argument during a download, and ends it when that returns True."""


def serve(
    requests: BinaryIO,
    answers: BinaryIO,
    load: LoadEngine,
    *,
    on_end_of_input: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests in order until the input ends, then close the engine.

    Args:
        requests: Where they come from; another thread reads it, so that its end is seen during a call.
        answers: Where the answers go.
        load: Loads the engine of a configuration.
        on_end_of_input: Called on that other thread when the input has ended, or cannot be read for lack of memory.
    """
    waiting: SimpleQueue[Load | Transcribe | None] = SimpleQueue()

    def read_all() -> None:
        try:
            with suppress(OSError, ValueError):  # ValueError: the file was closed meanwhile
                while message := _read(requests):
                    waiting.put(message)
        except MemoryError:
            logger.error("no memory is left for a request: this process ends")  # noqa: TRY400 - the cause is known
        finally:
            waiting.put(None)
            on_end_of_input()

    next_report_s = 0.0

    def report_download() -> bool:
        """Report the download, on the thread that loads; True if the server is gone and does not want it."""
        nonlocal next_report_s
        if time.monotonic() >= next_report_s:
            next_report_s = time.monotonic() + _REPORT_INTERVAL_S
            try:
                answers.write(encode(Downloading()))
                answers.flush()
            except BrokenPipeError:
                return True
        return False

    threading.Thread(target=read_all, name="engine-requests", daemon=True).start()
    engine = RemoteEngine(lambda config: load(config, report_download))
    with suppress(BrokenPipeError):
        while (message := waiting.get()) is not None:
            answers.write(encode(engine.answer(message)))
            answers.flush()
            del message  # it holds clips, which would stay in memory until the next request
    closed = outcome.capture(engine.close)
    if isinstance(closed, outcome.Error):
        logger.error("closing the engine failed", exc_info=closed.error)


def _read(requests: BinaryIO) -> Load | Transcribe | None:
    """The next request; None at the end of the input."""
    header = requests.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    content = requests.read(length)
    return decode_request(content) if len(content) == length else None


def _load(config: EngineConfig, unwanted: Callable[[], bool]) -> Engine:
    return model_resolver.load(config, unwanted=unwanted)


def main(load: LoadEngine = _load) -> None:
    """Serve the server that started this process, with the engine that `load` loads."""
    # A signal to the whole process group, from Ctrl-C or systemd, is for the server, which still needs its engines.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    level, log_format = sys.argv[1:]
    start_logging(level, "json" if log_format == "json" else "console")
    # Copies of the pipes: a native library that prints to standard output must not write into the answers.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            os.nice(ENGINE_NICENESS)

    def end_later() -> None:  # on the thread that read requests: a process without memory cannot start another one
        time.sleep(_ORPHAN_GRACE_S)
        os._exit(1)

    serve(requests, answers, load, on_end_of_input=end_later)
    os._exit(0)  # without the teardown of native libraries, which may crash


if __name__ == "__main__":
    main()
