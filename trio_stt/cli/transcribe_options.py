"""The arguments of `trio-stt transcribe` that are no settings. It imports nothing that would delay other commands."""

import argparse
from functools import partial

from trio_stt.errors import SettingError

MIX, SEPARATE = "mix", "separate"
_SUBTITLES = frozenset(("srt", "vtt"))
_LAYOUT = ("max_line_width", "max_lines")


def add_transcribe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound or film file of any kind; - is standard input")
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


def subtitle_layout(parsed: argparse.Namespace) -> dict[str, int]:
    """What was given of the layout of subtitles, by the names of `SubtitleLayout`.

    Raises:
        SettingError: The format is not one of subtitles.
    """
    given = {name: value for name in _LAYOUT if (value := getattr(parsed, name)) is not None}
    if given and parsed.format not in _SUBTITLES:
        raise SettingError(f"--{next(iter(given)).replace('_', '-')}: needs --format srt or vtt")
    return given


def _channels(text: str) -> str | int:
    return text if text in (MIX, SEPARATE) else _number(text, low=1, high=8, others=f"{MIX}, {SEPARATE} or ")


def _number(text: str, *, low: int, high: int, others: str = "") -> int:
    if text.isascii() and text.isdecimal() and low <= int(text) <= high:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected {others}{low} to {high}")
