"""Finds the files of an installed package without importing it.

Some packages carry models that we read, and code whose import would pull in whole frameworks.
"""

from importlib.util import find_spec
from pathlib import Path


def package_folder(name: str) -> Path | None:
    """The folder of an importable package; None if it is not installed."""
    spec = find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return Path(folders[0]) if folders else None
