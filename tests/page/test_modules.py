"""Runs the `.test.mjs` files beside this one, unit tests of the page's modules, with Node's test runner."""

import shutil
import subprocess
from pathlib import Path

from tests.support.real import missing

PAGE_TESTS = Path(__file__).parent


def test_page_modules_pass_their_unit_tests() -> None:
    node = shutil.which("node")
    if node is None:
        missing("no Node.js is installed (20 or newer)")
    files = sorted(PAGE_TESTS.glob("*.test.mjs"))
    assert files
    run = subprocess.run(  # noqa: S603 - the project's own files, run by the installed Node
        [node, "--test", *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
