"""Runs clients of other projects, unmodified, each in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def dictated(folder: Path, package: str, script: Path, *arguments: str | Path) -> dict[str, Any]:
    """What a script prints as JSON in its last line, run with this package."""
    found: dict[str, Any] = json.loads(python_output(folder, [package], script, *arguments).splitlines()[-1])
    return found


def python_output(folder: Path, packages: Sequence[str], script: Path, *arguments: str | Path) -> str:
    """What a Python script prints, run in `folder` with these packages; ffmpeg comes from imageio-ffmpeg."""
    environment = folder / "environment"
    python = environment / "bin" / "python"
    _output(folder, "uv", "venv", "-q", environment)
    _output(folder, "uv", "pip", "install", "-q", "--python", python, *packages)
    for ffmpeg in environment.glob("lib/*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*"):
        (python.parent / "ffmpeg").symlink_to(ffmpeg)
    return _output(folder, python, script, *arguments)


def node_output(folder: Path, packages: Sequence[str], script: Path) -> str:
    """What a module of Node prints, run in `folder`, where it lies, with these packages."""
    _output(folder, "npm", "install", "--silent", *packages)
    return _output(folder, "node", script)


def _output(folder: Path, *command: str | Path) -> str:
    # Elsewhere and without the variables of this environment, which has other versions of the same packages.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    variables["PATH"] = os.pathsep.join((str(folder / "environment" / "bin"), variables["PATH"]))
    ended = subprocess.run(  # noqa: S603 - commands of the tests
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
