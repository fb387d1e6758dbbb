"""What a script of faults measured: it runs as a process of its own and reports a line for each fault."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Measured = dict[str, dict[str, Any]]


def measured_by(command: Sequence[str], *, timeout_s: float, output: Path | None = None) -> Measured:
    """Run a script, and keep what it prints in a file if one is given; its lines by their `what`."""
    done = subprocess.run(  # noqa: S603 - our own script
        command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=Path(__file__).parents[2]
    )
    if output is not None:
        output.write_text(done.stdout)
    assert done.returncode == 0, done.stderr[-3_000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"what"')]
    return {line["what"]: line for line in lines}


def report(what: str, **facts: Any) -> None:
    """Write a line for `measured_by`."""
    sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
    sys.stdout.flush()


def expect_every_word(measured: Measured, fault: str, *, clients: int) -> None:
    """Each client has the text of the run without a fault, and no job failed."""
    (undisturbed,) = set(measured["none"]["texts"])
    assert undisturbed
    assert measured[fault]["texts"] == [undisturbed] * clients
    assert measured[fault]["failed"] == 0
