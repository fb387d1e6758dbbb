"""The arguments of `trio-stt cluster`. It must not import what starts Ray: `--help` answers at once."""

import argparse
import sys

from trio_stt.cli.bench_options import whole

_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Address of a head for this machine alone. Ray replaces 127.0.0.1 by the machine's address in the network."""


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start the head of a Ray cluster on this machine, with a token")
    up.add_argument(
        "--host",
        default=_LOOPBACK,
        metavar="ADDRESS",
        help=f"this machine's address for other nodes and servers; default: {_LOOPBACK}, for this machine alone",
    )
    up.add_argument("--port", type=whole(1, 65_535), default=6379, help="where nodes join; default: 6379")
    up.add_argument(
        "--client-port", type=whole(1, 65_535), default=10_001, help="where servers connect; default: 10001"
    )
    join = actions.add_parser("join", help="make this machine a node of a cluster, with the token of its head")
    join.add_argument("head", metavar="HOST:PORT", help="the head's address, as `cluster up` prints it")
    join.add_argument("--host", metavar="ADDRESS", help="this machine's address for the head; default: Ray finds it")
    for action in (up, join):
        action.add_argument("--num-cpus", type=whole(0, 10_000), metavar="N", help="CPUs for engines; default: all")
        action.add_argument("--num-gpus", type=whole(0, 1_000), metavar="N", help="GPUs for engines; default: all")
        action.add_argument("--resources", metavar="JSON", help='names of your own with amounts, such as {"stt": 4}')
