"""`trio-stt keys`: creates, lists and revokes API keys. A running server notices the change of the file.

It owns arguments and output. The format of keys is in `access.keys`.
"""

import argparse
import sys
from pathlib import Path

from trio_stt.access.keys import KeyScope, add_to_file, create_key, parse_entries, read_lines, remove_from_file
from trio_stt.errors import SettingError
from trio_stt.settings import load_settings


def add_keys_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a key and print it once")
    create.add_argument(
        "--scope",
        required=True,
        choices=[str(scope) for scope in KeyScope],
        help="talk: transcribe and read the configuration; admin: also change it, and see metrics and sessions",
    )
    create.add_argument("--name", default="", help="a note, such as the owner; shown by `list`")
    listing = actions.add_parser("list", help="list all keys")
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id", metavar="ID", help="the ID that `list` shows: the 8 characters in the middle of the key")
    for action in (create, listing, revoke):
        action.add_argument(
            "--keys-file",
            metavar="FILE",
            help="the file that `trio-stt serve --keys-file` reads; default: TRIO_STT_KEYS_FILE",
        )


def keys(parsed: argparse.Namespace) -> int:
    """Carry out one action; return the exit status.

    Raises:
        SettingError: The file or key does not exist, or the file cannot be written.
    """
    named = parsed.keys_file or load_settings().keys_file
    try:
        path = Path(named).expanduser() if named else None
    except RuntimeError:
        raise SettingError(
            f"--keys-file: {named!r} begins with the home folder of a user that does not exist"
        ) from None
    if parsed.action == "create":
        return _create(path, KeyScope(parsed.scope), parsed.name)
    if path is None:
        raise SettingError("--keys-file: required, here or as TRIO_STT_KEYS_FILE")
    if parsed.action == "list":
        return _list(path)
    remove_from_file(path, parsed.id)
    print(f"Key {parsed.id} is revoked.", file=sys.stderr)
    return 0


def _create(path: Path | None, scope: KeyScope, name: str) -> int:
    """Print the key alone to standard output, so that scripts can read it."""
    key, record = create_key(scope, name)
    if path is None:
        note = f"To accept it, add this entry to TRIO_STT_KEYS, separated by a comma:\n{record.entry}"
    else:
        add_to_file(path, record)
        note = f"Its entry was added to {path}."
    print(key, flush=True)
    print(f"The key above is not shown again. {note}", file=sys.stderr)
    return 0


def _list(path: Path) -> int:
    records, faults = parse_entries(read_lines(path))
    print(f"{'ID':8}  {'SCOPE':5}  {'CREATED':10}  NAME")
    for record in records.values():
        print(f"{record.id}  {record.scope:5}  {record.created}  {record.name}")
    for line in faults:
        print(f"trio-stt: line {line} of {path} is not a valid entry", file=sys.stderr)
    return 1 if faults else 0
