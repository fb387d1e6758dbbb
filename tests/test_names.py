"""Private names that this project once used for terms of the field do not come back: see docs/glossary.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GONE = frozenset(
    """
    ahead announcer asked away conclude converse crew doomed doors ear ears ending entrance flow forsake garbage
    goodbye guard handover hear heard hearing here home house household hush introduce keeper lasting lend loan
    looks neighbours nobody notebook nuisance obey odd orphans pace passing provision rests rival ruler said
    scene shelf sheltered somebody stands stepwise stranger strangers talker tape tell testimony ties tracks
    turnstile verdict visit visitor visits waking watcher who whom wishes wording workbench yardstick
    """.split()  # noqa: SIM905 - a list of this length reads better as text
)
"""Words; a name that has one of them as a part fails."""


def names(path: Path) -> Iterator[str]:
    """The names that a module defines: its own, classes, functions, parameters, variables and attributes."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def words(name: str) -> set[str]:
    """The words of a name in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[a-z]+|[A-Z][a-z]*", name)}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "trio_stt").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_name_has_a_word_that_is_gone(path: Path) -> None:
    assert {name for name in names(path) if words(name) & GONE} == set()
