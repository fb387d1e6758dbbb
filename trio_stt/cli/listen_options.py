"""The arguments of `trio-stt listen`."""

import argparse

from trio_stt.cli.server_options import add_server_arguments


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the command."""
    parser.add_argument(
        "url", nargs="?", default="http://127.0.0.1:8010", metavar="URL", help="of the server; default: %(default)s"
    )
    add_server_arguments(parser)
    parser.add_argument("--language", metavar="CODE", help="language of the speech; default: the server's")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl", "srt"),
        default="text",
        help="text: finals, with live text on a terminal; jsonl: live texts and finals as they come; srt: at the end",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, not to standard output")
    parser.add_argument("--device", metavar="NAME|N", help="microphone, by its name or number")
    parser.add_argument("--list-devices", action="store_true", help="print the microphones with their numbers, and end")
