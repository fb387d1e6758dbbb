"""Client commands: text frames to frozen commands. Contract: section 2.2.

It decides what is a command; it must not carry one out.
"""

from enum import StrEnum

from trio_stt.errors import CommandError
from trio_stt.protocol.json_text import json_object

MAX_COMMAND_BYTES = 65_536
"""Longest text frame that is looked at; every command of the contract is far shorter."""

_SHOWN_CHARACTERS = 60


class Command(StrEnum):
    """What a client may ask for; the value is the wire's `type`."""

    START = "start"
    STOP = "stop"
    CLEAR = "clear"
    PING = "ping"
    METRICS = "metrics"


def parse_command(text: str) -> Command:
    """The command in a text frame.

    Raises:
        CommandError: Not JSON, not an object, or an unknown type; the message says which.
    """
    if len(text) > MAX_COMMAND_BYTES:
        raise CommandError(f"command longer than {MAX_COMMAND_BYTES} characters")
    kind = json_object(text, "command", CommandError).get("type")
    try:
        return Command(kind)  # type: ignore[arg-type] # any JSON value may stand there; an unknown one raises
    except ValueError:
        shown = repr(kind)[:_SHOWN_CHARACTERS]
        raise CommandError(f"unknown command type {shown}; known are {', '.join(Command)}") from None
