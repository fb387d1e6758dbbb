"""Command-line flags derived from the declared settings. It must not declare or check a setting itself."""

import argparse
from collections.abc import Collection

from trio_stt.settings import declarations

_PREFIX = "setting_"  # keeps settings apart from a command's own arguments


def add_settings(parser: argparse.ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Add a flag for every setting except those named in `without`."""
    group = parser.add_argument_group("settings", "Each can also be set in the environment, as TRIO_STT_NAME.")
    for declaration in declarations():
        if declaration.name in without or not declaration.is_settable:
            continue
        flags, destination = declaration.flags, _PREFIX + declaration.name
        help_text = declaration.help + (f" Default: {declaration.default_text}." if declaration.default_text else "")
        if declaration.is_flag_only:
            group.add_argument(
                *flags,
                dest=destination,
                action="store_const",
                const=not declaration.field.default,
                default=argparse.SUPPRESS,
                help=_escaped(help_text),
            )
        else:
            group.add_argument(
                *flags, dest=destination, metavar="VALUE", default=argparse.SUPPRESS, help=_escaped(help_text)
            )


def given_settings(parsed: argparse.Namespace) -> dict[str, object]:
    """The settings given as flags, by name, unparsed."""
    return {name.removeprefix(_PREFIX): value for name, value in vars(parsed).items() if name.startswith(_PREFIX)}


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
