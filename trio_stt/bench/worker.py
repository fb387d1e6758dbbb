"""A process of talkers: `python -m trio_stt.bench.worker` reads a plan from standard input and writes a testimony.

It owns the two ends of the pipe and nothing else. Talkers live in processes of their own so that a server in the same
machine competes with them for cores, but never for an interpreter.
"""

import sys

import msgspec
import trio

from trio_stt.bench.simulated_client import run_clients
from trio_stt.bench.speech_plan import Plan


def main() -> None:
    """Carry out the plan on standard input; the testimony goes to standard output as JSON."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(run_clients, plan, plan.clients)))


if __name__ == "__main__":
    main()
