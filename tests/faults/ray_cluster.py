"""Ray clusters for tests: nodes by `trio-stt cluster` in a network namespace, where nothing of Ray can be reached."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

Measured = dict[str, dict[str, Any]]


def run_in_namespace(module: str, folder: Path) -> Measured:
    """Run a module with the folder as its argument, in a network namespace of its own; its lines by their `what`.

    With the first process of the namespace all others end.
    """
    command = ["unshare", "-n", "-p", "--fork", "--mount-proc", "--kill-child", sys.executable]
    done = subprocess.run(  # noqa: S603 - our own script
        [*command, "-m", module, str(folder)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    (folder / "measured.jsonl").write_text(done.stdout)
    assert done.returncode == 0, done.stderr[-3_000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"what"')]
    return {line["what"]: line for line in lines}


def report(what: str, **facts: Any) -> None:
    """Write a line for `run_in_namespace`."""
    sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
    sys.stdout.flush()


def open_network(*addresses: str) -> None:
    """Start the loopback interface of the namespace, with these addresses of machines."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607 - where the system has it
    for address in addresses:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)  # noqa: S603, S607 - as above


@asynccontextmanager
async def cluster_process(
    folder: Path, name: str, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[trio.Process]:
    """`trio-stt cluster` with these arguments, once it has started; its output is in the folder under this name."""
    output = folder / f"{name}.log"
    with output.open("w") as file:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "trio_stt", "cluster", *arguments],
            stdout=file,
            stderr=file,
            env={**os.environ, **(env or {})},
        )
    try:
        with trio.fail_after(120):
            while "cluster" not in output.read_text() and "node" not in output.read_text():
                assert process.poll() is None, output.read_text()
                await trio.sleep(0.5)
        yield process
    finally:
        process.terminate()
