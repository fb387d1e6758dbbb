"""Format of this package's log lines: aligned text for a terminal, or one JSON object a line.

Modules log with the standard library, through loggers of their own names. No log line may contain transcript text.
"""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["console", "json"]


def start_logging(level: str, form: LogFormat = "console") -> None:
    """Write this package's log lines to standard error; the logging of a host application is left alone.

    Each line has a time in UTC, a level, the module and the message. Lines of a session have its id: values bound with
    `structlog.contextvars` are in every line of the task that bound them and of its child tasks.

    Args:
        level: Lowest level to write, as `logging` names it.
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
        # Without local variables: they may hold transcript text or API keys.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain, pad_event_to=0)]
