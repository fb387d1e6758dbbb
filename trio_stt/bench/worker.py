"""A worker process: `python -m trio_stt.bench.worker` reads a plan from standard input and writes its result.

It owns the two ends of the pipe. Clients run in processes of their own so that they compete with a server on the same
machine for cores only, never for its interpreter.
"""

import sys

import msgspec
import trio

from trio_stt.bench.simulated_client import run_clients
from trio_stt.bench.speech_plan import Plan


def main() -> None:
    """Run the clients of the plan on standard input; write the `WorkerResult` to standard output as JSON."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(run_clients, plan, plan.clients)))


if __name__ == "__main__":
    main()
