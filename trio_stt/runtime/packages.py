"""Finds installed packages without importing them, and says how to install missing ones in this environment.

Some packages carry models that we read, and code whose import would pull in whole frameworks.
"""

import shlex
import shutil
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def package_folder(name: str) -> Path | None:
    """The folder of an importable package; None if it is not installed."""
    spec = find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return Path(folders[0]) if folders else None


def install_command(*arguments: str) -> str:
    """The command, quoted for a shell, that installs packages in the environment of this process.

    Args:
        arguments: Of `pip install`: packages and options that `uv pip install` has, too.
    """
    if find_spec("pip") is None:  # environments that uv makes have no pip of their own
        return shlex.join(["uv", "pip", "install", *arguments, "-p", sys.prefix])
    pip = shutil.which("pip")
    own = pip is not None and Path(pip).parent == Path(sys.executable).parent
    return shlex.join([*(["pip"] if own else [sys.executable, "-m", "pip"]), "install", *arguments])


def install_hint(extra: str) -> str:
    """The command, quoted for a shell, that installs an extra of trio-stt in the environment of this process.

    `pip install 'trio-stt[extra]'` would look for trio-stt in a package index. So it names what the extra requires or,
    in a checkout that uv manages, lets uv install the locked versions.
    """
    if (_ROOT / "pyproject.toml").is_file() and Path(sys.prefix) == _ROOT / ".venv" and shutil.which("uv"):
        project = [] if Path.cwd() == _ROOT else ["--project", str(_ROOT)]
        command = shlex.join(["uv", "sync", "--inexact", "--extra", extra, *project])
        if extra != "transformers":
            return command
        # uv excludes torch in a checkout, because other dependencies declare it without using it.
        return f"{command} && {shlex.join(['uv', 'pip', 'install', '--no-config', 'torch', '-p', sys.prefix])}"
    parts = (line.partition(";") for line in requires("trio-stt") or ())
    packages = [name.strip() for name, _, marker in parts if f'extra == "{extra}"' in marker.replace("'", '"')]
    return install_command(*(packages or [extra]))  # an extra that is empty now has the name of its former package
