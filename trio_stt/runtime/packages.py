"""Where an installed package keeps its files, found without importing it; nothing else.

Some packages carry models that we read and code that we do not want: importing it would pull in whole frameworks.
"""

from importlib.util import find_spec
from pathlib import Path


def package_folder(name: str) -> Path | None:
    """The folder of an importable package; None where there is none."""
    spec = find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return Path(folders[0]) if folders else None
