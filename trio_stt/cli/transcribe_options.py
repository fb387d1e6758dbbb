"""The arguments of `trio-stt transcribe` that are no settings. It imports nothing that would delay other commands."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from trio_stt.cli.server_options import ServerOptions, add_server_arguments, server_options
from trio_stt.errors import AudioFileError, SettingError
from trio_stt.sound.channels import MIX, SEPARATE, ChannelChoice, parse_channels

_SUBTITLES = frozenset(("srt", "vtt"))
_LAYOUT = ("max_line_width", "max_lines")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeRequest:
    """What to transcribe, and where the transcripts go.

    Attributes:
        files: Names of sound files; `-` is standard input.
        format_name: One of "text", "json", "srt" and "vtt".
        target: A file or a folder; None for standard output.
        channels: What becomes of several channels.
        layout: What was given of the layout of subtitles, by the names of `SubtitleLayout`.
    """

    files: Sequence[str]
    format_name: str
    target: str | None = None
    channels: ChannelChoice = MIX
    layout: Mapping[str, int] = field(default_factory=dict)


def add_transcribe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound or film file of any kind; - is standard input")
    parser.add_argument(
        "--server", metavar="URL", help="send the files to a running server, such as http://HOST:8010, with its models"
    )
    add_server_arguments(parser)
    parser.add_argument("--format", choices=("text", "json", "srt", "vtt"), default="text", help="default: text")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|FOLDER",
        help="write there, not to standard output; a folder (a new one ends in /) gets a file for each FILE",
    )
    parser.add_argument(
        "--channels",
        type=_channels,
        default=MIX,
        metavar=f"{MIX}|{SEPARATE}|N",
        help="of stereo and more: mix them, take each as a speaker of its own, or take channel N; default: mix",
    )
    parser.add_argument(
        "--max-line-width",
        type=partial(_number, low=10, high=200),
        metavar="N",
        help="columns of a line of subtitles; a wide character takes two; default: 42",
    )
    parser.add_argument(
        "--max-lines", type=partial(_number, low=1, high=10), metavar="N", help="lines of a subtitle; default: 2"
    )


_SENT_SETTINGS = ("language", "initial_prompt")
"""Settings that a server takes with a file."""


def remote_server(parsed: argparse.Namespace, given: Mapping[str, object]) -> ServerOptions | None:
    """The server to send the files to; None to transcribe them here.

    Args:
        parsed: The arguments.
        given: The settings among them, by name.

    Raises:
        SettingError: An argument has no effect with `--server`, or without it.
    """
    if parsed.server is not None:
        for name in given:
            if name not in _SENT_SETTINGS:
                raise SettingError(f"--{name.replace('_', '-')}: has no effect with --server, whose own settings apply")
        return server_options(parsed, parsed.server)
    for name in ("key", "key_file", "ca_file"):
        if getattr(parsed, name) is not None:
            raise SettingError(f"--{name.replace('_', '-')}: needs --server")
    return None


def transcribe_request(parsed: argparse.Namespace) -> TranscribeRequest:
    """What was given.

    Raises:
        SettingError: The layout of subtitles is given for another format.
        AudioFileError: Standard input is named twice.
    """
    if parsed.files.count("-") > 1:
        raise AudioFileError("-: standard input can be read once")
    layout = {name: value for name in _LAYOUT if (value := getattr(parsed, name)) is not None}
    if layout and parsed.format not in _SUBTITLES:
        raise SettingError(f"--{next(iter(layout)).replace('_', '-')}: needs --format srt or vtt")
    return TranscribeRequest(
        files=parsed.files, format_name=parsed.format, target=parsed.output, channels=parsed.channels, layout=layout
    )


def _channels(text: str) -> str | int:
    try:
        return parse_channels(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(text: str, *, low: int, high: int) -> int:
    if text.isascii() and text.isdecimal() and low <= int(text) <= high:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected {low} to {high}")
