"""Ray clusters for tests: nodes by `trio-stt cluster` in a network namespace, where nothing of Ray can be reached."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.faults.measured import Measured, measured_by


def run_in_namespace(module: str, folder: Path) -> Measured:
    """Run a module with the folder as its argument, in a network namespace of its own; its lines by their `what`.

    With the first process of the namespace all others end.
    """
    command = ["unshare", "-n", "-p", "--fork", "--mount-proc", "--kill-child", sys.executable]
    return measured_by([*command, "-m", module, str(folder)], timeout_s=900, output=folder / "measured.jsonl")


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
