"""The page's pure modules, tested by Node's own runner in the `.test.mjs` files beside this one."""

import shutil
import subprocess
from pathlib import Path

from tests.support.real import missing

HERE = Path(__file__).parent


def test_the_pages_modules_pass_their_own_tests() -> None:
    node = shutil.which("node")
    if node is None:
        missing("no Node.js is installed (20 or newer)")
    files = sorted(HERE.glob("*.test.mjs"))
    assert files
    run = subprocess.run(  # noqa: S603 - our own files, by the Node that the user installed
        [node, "--test", *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
