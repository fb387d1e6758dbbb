"""Runs a client of another project, unmodified, in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any


def dictated(folder: Path, package: str, script: Path, *arguments: str | Path) -> dict[str, Any]:
    """What a script prints as JSON in its last line, run with this package."""
    python = folder / "environment" / "bin" / "python"
    # Elsewhere and without the variables of this environment, which has other versions of the same packages.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}

    def run(*command: str | Path) -> str:
        return subprocess.run(  # noqa: S603 - the commands below
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, timeout=600, check=True
        ).stdout

    run("uv", "venv", "-q", python.parents[1])
    run("uv", "pip", "install", "-q", "--python", python, package)
    found: dict[str, Any] = json.loads(run(python, script, *arguments).splitlines()[-1])
    return found
