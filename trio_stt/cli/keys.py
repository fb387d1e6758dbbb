"""`trio-stt keys`: make, list and revoke API keys. A running server sees the file change; nothing else is told.

It owns what people read and type. What a key is, `doors.keys` knows.
"""

import argparse
import sys
from pathlib import Path

from trio_stt.access.keys import KeyScope, add_to_file, create_key, parse_entries, read_lines, remove_from_file
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings


def add_keys_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and print it, once", allow_abbrev=False)
    create.add_argument(
        "--scope",
        required=True,
        choices=[str(scope) for scope in KeyScope],
        help="talk: transcribe and read the configuration; admin: also change it, and see metrics and sessions",
    )
    create.add_argument("--name", default="", help="who it is for; shown by `list`")
    listing = actions.add_parser("list", help="show what keys there are", allow_abbrev=False)
    revoke = actions.add_parser("revoke", help="make a key worthless", allow_abbrev=False)
    revoke.add_argument("id", metavar="ID", help="as `list` shows it: the 8 characters in the middle of the key")
    for action in (create, listing, revoke):
        action.add_argument(
            "--keys-file",
            metavar="FILE",
            help="the file that `trio-stt serve --keys-file` reads; default: TRIO_STT_KEYS_FILE",
        )


def keys(parsed: argparse.Namespace) -> int:
    """Carry out one action; returns the exit status.

    Raises:
        SettingError: There is no such file or key, or the file cannot be written.
    """
    named = parsed.keys_file or load_settings().keys_file
    path = Path(named).expanduser() if named else None
    if parsed.action == "create":
        return _create(path, KeyScope(parsed.scope), parsed.name)
    if path is None:
        raise SettingError("--keys-file: name the file of the keys, here or in TRIO_STT_KEYS_FILE")
    if parsed.action == "list":
        return _list(path)
    remove_from_file(path, parsed.id)
    print(f"{parsed.id} opens nothing any more.", file=sys.stderr)
    return 0


def _create(path: Path | None, scope: KeyScope, name: str) -> int:
    """The key goes to standard output, alone, so that scripts can take it."""
    key, record = create_key(scope, name)
    if path is None:
        note = f"This entry lets it in; add it to TRIO_STT_KEYS, after a comma:\n{record.entry}"
    else:
        add_to_file(path, record)
        note = f"Its entry was added to {path}."
    print(key, flush=True)
    print(f"The key above is shown this once. {note}", file=sys.stderr)
    return 0


def _list(path: Path) -> int:
    records, faults = parse_entries(read_lines(path))
    print(f"{'ID':8}  {'SCOPE':5}  {'CREATED':10}  NAME")
    for record in records.values():
        print(f"{record.id}  {record.scope:5}  {record.created}  {record.name}")
    for line in faults:
        print(f"trio-stt: line {line} of {path} is not an entry of a key", file=sys.stderr)
    return 1 if faults else 0
