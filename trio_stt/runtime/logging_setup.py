"""Log lines of this package: for people on a terminal, or one JSON object a line for whatever collects them.

It owns their form. It must not log anything itself, and nobody may log what was said: the loggers are those of the
standard library, named as their modules are, so that hosts, libraries and we write in one form.
"""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["console", "json"]


def start_logging(level: str, form: LogFormat = "console") -> None:
    """Write this package's log lines to standard error; the host's own logging is the host's business.

    Each line has a time in UTC, a level, the module and the message. Lines from within a session name it: what a task
    bound with `structlog.contextvars` is part of every line that it and its child tasks write.

    Args:
        level: The least level that is written, as `logging` names it.
        form: `console` aligns the parts, in colour on a terminal; `json` writes the keys `timestamp`, `level`,
            `logger`, `event` and those that were bound.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form)],
        )
    )
    logger = logging.getLogger("trio_stt")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level)


def _renderers(form: LogFormat) -> list[structlog.typing.Processor]:
    if form == "json":
        # Without local variables, which may hold what was said, or keys.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain, pad_event_to=0)]
