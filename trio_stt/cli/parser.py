"""The argument parser of every command: errors in one line, with suggestions for names that were misspelt.

It knows no command; `trio_stt.cli` declares them.
"""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from trio_stt.runtime.similar import did_you_mean

_INVALID_CHOICE = re.compile(r"argument (.+): invalid choice: (.*) \(choose from (.*)\)")
_FLAG = re.compile(r"--[a-z][a-z-]*")


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the whole usage, and suggests what may have been meant."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Without abbreviations, a new flag never changes what an old command means.
        super().__init__(*arguments, **{"allow_abbrev": False, **options})
        self._commands: Any = None

    def add_subparsers(self, **options: Any) -> Any:
        """Add sub-commands; see `argparse.ArgumentParser.add_subparsers`."""
        self._commands = super().add_subparsers(**options)
        return self._commands

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse a command line, by default that of this process; ends the process with status 2 if it is wrong."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            command = self._command(parsed)
            flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
            if not flag:
                command.error(f"unexpected argument {unknown[0]!r}")
            command.error(f"unknown flag {flag}{did_you_mean(flag, _FLAG.findall(command.format_usage()))}")
        return parsed

    def error(self, message: str) -> Any:
        """Report an error in one line, and end the process with status 2."""
        if wrong := _INVALID_CHOICE.fullmatch(message):
            argument, given, choices = wrong.groups()
            known = re.findall(r"[\w-]+", choices)
            suggestion = did_you_mean(given.strip("'\""), known) or f"; there are {', '.join(known)}"
            message = f"{argument}: there is no {given}{suggestion}"
        self.exit(2, f"{self.prog}: {message}\n")

    def _command(self, parsed: argparse.Namespace) -> "Parser":
        """The parser of the command, or of its action, that was given."""
        if self._commands is None:
            return self
        chosen: Parser = self._commands.choices[getattr(parsed, self._commands.dest)]
        return chosen._command(parsed)
