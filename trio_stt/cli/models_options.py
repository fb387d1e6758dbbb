"""The arguments of `trio-stt models`. It must not import the models: `--help` answers at once."""

import argparse

from trio_stt.cli.options import add_settings
from trio_stt.settings import declarations

_ACTIONS = {
    "recommend": "measure this machine for some seconds, and list the models that it runs in real time",
    "list": "list the models of the catalogue, and which of them are downloaded",
    "pull": "download a model; check one that is already here",
    "path": "print the path of a model",
    "rm": "delete a downloaded model",
}


def add_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `trio-stt models`."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in _ACTIONS.items():
        command = commands.add_parser(action, help=text)
        settings = {"download_root"}
        if action == "recommend":
            command.add_argument("--json", action="store_true", help="print JSON, with sources")
            settings.add("language")
        elif action == "list":
            command.add_argument("--json", action="store_true", help="print JSON, with URLs and other names")
        else:
            command.add_argument("name", metavar="NAME", help="a name as for --model")
        if action != "recommend":
            command.add_argument("--engine", metavar="ENGINE", help="only models of this engine")
        add_settings(command, without={each.name for each in declarations()} - settings)
