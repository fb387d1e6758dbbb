"""The flags of `trio-stt plan`. It must not import what simulates: `--help` answers at once."""

import argparse
from pathlib import Path

from trio_stt.cli.bench_options import number, whole
from trio_stt.cli.options import add_settings
from trio_stt.settings import declarations

_ENGINE_SETTINGS = frozenset(
    {
        *("transcription_engine", "model", "language", "device", "compute_type", "gpu_device_index", "beam_size"),
        *("transcription_engine_options", "download_root", "offline", "lane_workers", "post_speech_silence_duration"),
    }
)


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `trio-stt plan`."""
    parser.add_argument(
        "--talkers", dest="clients", type=whole(1, 1_000_000), default=100, metavar="N", help="people; default: 100"
    )
    parser.add_argument(
        "--share",
        type=number(0.01, 1.0),
        default=0.3,
        metavar="SHARE",
        help="part of the time in which each speaks, 0.01 to 1; default: 0.3",
    )
    parser.add_argument(
        "--slack-ms",
        type=number(0, 60_000),
        default=500.0,
        metavar="MS",
        help="how much later than the server's silence the 95th percentile of finals may come; default: 500",
    )
    parser.add_argument(
        "--bench",
        type=Path,
        metavar="FILE",
        help="figures of `trio-stt bench --json` on such a machine, for the cost of a session; default: an estimate",
    )
    add_settings(parser, without={each.name for each in declarations()} - _ENGINE_SETTINGS)
