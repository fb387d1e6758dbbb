"""The arguments of `trio-stt models`. It must not look at a model: `--help` has to answer at once."""

import argparse

from trio_stt.cli.options import add_settings
from trio_stt.settings import declarations

_ACTIONS = {
    "list": "show the models that can be fetched, and which of them are here",
    "pull": "fetch a model; one that is here is checked",
    "path": "print where a model lies",
    "rm": "delete a model that was fetched",
}


def add_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `trio-stt models`."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in _ACTIONS.items():
        command = commands.add_parser(action, help=text, allow_abbrev=False)
        if action == "list":
            command.add_argument("--json", action="store_true", help="as JSON, with addresses and other names")
        else:
            command.add_argument("name", metavar="NAME", help="as after --model")
        command.add_argument("--engine", metavar="ENGINE", help="of this engine only")
        add_settings(command, without={each.name for each in declarations()} - {"download_root"})
