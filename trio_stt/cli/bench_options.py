"""The flags of `trio-stt bench`: declares and checks them, and returns them as data. It must not measure."""

import argparse
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from trio_stt.protocol.packets import MAX_RATE_HZ, MIN_RATE_HZ

_MAX_KEY_CHARACTERS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """The options of the command; see `add_bench_arguments`."""

    url: str | None
    serve: list[str]
    pid: int | None
    api_key: str
    clients: int
    ramp: int | None
    talking: list[float]
    duration_s: float
    stagger_s: float
    rate_hz: int
    packet_ms: float
    slack_ms: float
    files: list[str]
    json: Path | None
    plot: Path | None


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """The type of an argument that is a number in this range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed; expected a number from {minimum:g} to {maximum:g}"
            )
        return value

    return parse


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number in this range."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed; expected a whole number from {minimum} to {maximum}"
            )
        return int(text)

    return parse


def _socket_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_socket = parts.scheme in {"ws", "wss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_socket = False
    if not is_socket:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the URL of a WebSocket, such as ws://127.0.0.1:8010/ws/transcribe"
        )
    return text


def _api_key(text: str) -> str:
    try:
        key = Path(text).read_text(encoding="ascii").strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        key = ""
    if not key.isprintable() or not 0 < len(key) <= _MAX_KEY_CHARACTERS:
        raise argparse.ArgumentTypeError(
            f"{text} must contain one key: a line of 1 to {_MAX_KEY_CHARACTERS} ASCII characters"
        )
    return key


def _shares(text: str) -> list[float]:
    share = number(0, 1)
    return [share(item) for item in text.split(",")]


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--url", type=_socket_url, help="WebSocket of a running server, such as ws://127.0.0.1:8010/ws/transcribe"
    )
    where.add_argument(
        "--serve",
        metavar="FLAGS",
        type=shlex.split,
        default=[],
        help="without --url, a server is started with these flags of trio-stt serve, given as one argument",
    )
    parser.add_argument(
        "--pid",
        type=whole(1, 2**31),
        help="process id of a running server on this machine, to measure its CPU time and memory",
    )
    parser.add_argument(
        "--api-key-file",
        metavar="FILE",
        dest="api_key",
        type=_api_key,
        help="file with the API key that clients send; a key on the command line would be visible to all users",
    )
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--clients", type=whole(1, 1000), default=1, help="number of clients; default: 1")
    how_many.add_argument(
        "--ramp",
        metavar="MAX",
        type=whole(1, 1000),
        help="search for the most clients that the server carries, up to this number",
    )
    parser.add_argument(
        "--talking",
        metavar="SHARES",
        type=_shares,
        default=[1.0],
        help="share of the time in which clients speak, 0 to 1; several, as in 0.5,1, take turns; default: 1",
    )
    parser.add_argument("--duration", type=number(1, 86_400), default=30.0, help="seconds to measure; default: 30")
    parser.add_argument(
        "--stagger", type=number(0, 600), default=5.0, help="seconds over which clients connect; default: 5"
    )
    parser.add_argument(
        "--rate", type=whole(MIN_RATE_HZ, MAX_RATE_HZ), default=48_000, help="sample rate; default: 48000 Hz"
    )
    parser.add_argument("--packet-ms", type=number(5, 1000), default=40.0, help="length of a packet; default: 40")
    parser.add_argument(
        "--slack-ms",
        type=number(0, 60_000),
        default=500.0,
        help="for --ramp: how much later than the silence setting 95 of 100 finals may arrive; default: 500",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a chart to this file, as SVG")
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="sound files of speech, or folders; transcripts beside them in .txt; default: two included readings",
    )


def bench_options(parsed: argparse.Namespace) -> BenchOptions:
    """Convert parsed flags to options."""
    return BenchOptions(
        url=parsed.url,
        serve=parsed.serve,
        pid=parsed.pid,
        api_key=parsed.api_key or "",
        clients=parsed.clients,
        ramp=parsed.ramp,
        talking=parsed.talking,
        duration_s=parsed.duration,
        stagger_s=parsed.stagger,
        rate_hz=parsed.rate,
        packet_ms=parsed.packet_ms,
        slack_ms=parsed.slack_ms,
        files=parsed.files,
        json=parsed.json,
        plot=parsed.plot,
    )
