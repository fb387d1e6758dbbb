"""Real parts that tests need: models, sound files, a browser. Missing ones skip, but fail where CI=true."""

import importlib.util
import os
from pathlib import Path
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip with `reason` on a user's machine; fail under CI=true, where nothing real may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"real part missing in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        missing(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def moonshine_asset(name: str) -> Path:
    """A file of moonshine-voice's assets: `two_cities.wav`, `beckett.wav`, `tiny-en`."""
    path = package_folder("moonshine_voice") / "assets" / name
    if not path.exists():
        missing(f"moonshine-voice has no asset {name}")
    return path


def shared_sentences() -> list[tuple[Path, str]]:
    """The (sound file, words) pairs of the folder that TRIO_STT_TEST_AUDIO names, sorted by name."""
    folder = os.environ.get("TRIO_STT_TEST_AUDIO")
    if not folder:
        missing("TRIO_STT_TEST_AUDIO names no folder of sentences")
    pairs = [(p, p.with_suffix(".txt").read_text(encoding="utf-8").strip()) for p in sorted(Path(folder).glob("*.wav"))]
    if not pairs:
        missing(f"no sentences in TRIO_STT_TEST_AUDIO={folder}")
    return pairs


def shared_input(name: str) -> Path:
    """A file of a kind that once failed, from the folder `inputs` beside the one that TRIO_STT_TEST_AUDIO names."""
    folder = os.environ.get("TRIO_STT_TEST_AUDIO")
    path = Path(folder or "nowhere").parent / "inputs" / name
    if not path.exists():
        missing(f"{name} is not in a folder `inputs` beside TRIO_STT_TEST_AUDIO={folder}")
    return path
