"""The page recognises every warning that the server sends by its text, and rewords it for users."""

import ast
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.real import missing

ROOT = Path(__file__).parents[2]
REWORD = """
import { warningMessage } from './web/shared/messages.js';
console.log(JSON.stringify(JSON.parse(process.argv[1]).map((message) => warningMessage(message).text)));
"""


def server_warnings() -> Iterator[str]:
    """Texts of all warnings that the package publishes, with 3 for each value."""
    for path in sorted((ROOT / "trio_stt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for text in warning_texts(node):
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "3" for part in parts)


def warning_texts(node: ast.AST) -> list[ast.expr]:
    """The texts in a call of `publisher.warning`, and those that `_warning` chooses from for one."""
    if isinstance(node, ast.FunctionDef) and node.name == "_warning":
        returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None]
        return [text for text in returned if ast.unparse(text) != "''"]
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "warning":
        return []
    publishes = "publisher" in ast.unparse(node.func.value)
    return [text for text in node.args if publishes and not isinstance(text, ast.Name)]


def test_page_rewords_every_server_warning() -> None:
    node = shutil.which("node")
    if node is None:
        missing("no Node.js is installed (20 or newer)")
    warnings = list(server_warnings())
    assert len(warnings) >= 8
    run = subprocess.run(  # noqa: S603 - the project's own script, run by the installed Node
        [node, "--input-type=module", "--eval", REWORD, "--", json.dumps(warnings)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    texts = json.loads(run.stdout)
    unchanged = [text for warning, text in zip(warnings, texts, strict=True) if text.rstrip(".") == warning.rstrip(".")]
    assert unchanged == []
