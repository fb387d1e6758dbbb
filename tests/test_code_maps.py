"""docs/where.md and docs/glossary.md name code that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = re.findall(r"`(trio_stt/[\w/]+\.py):([\w.]+)`", (ROOT / "docs" / "where.md").read_text(encoding="utf-8"))
TERMS = re.findall(
    r"^\| [^|]+ \| [^|]+ \| `(\w+)` \|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE
)


def defined(tree: ast.AST, prefix: str = "") -> set[str]:
    """Qualified names of the classes and functions of a module."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names |= {prefix + node.name} | defined(node, f"{prefix}{node.name}.")
    return names


@cache
def names_in_the_code() -> frozenset[str]:
    """Every name in the package, and the names of its modules."""
    names: set[str] = set()
    for path in (ROOT / "trio_stt").rglob("*.py"):
        names |= {path.stem, *re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    return frozenset(names)


def test_there_are_enough_of_both() -> None:
    assert len(PLACES) >= 40
    assert len(TERMS) >= 40


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_a_function_is_where_the_map_says(file: str, name: str) -> None:
    assert name in defined(ast.parse((ROOT / file).read_text(encoding="utf-8"))), f"{file}:{name}"


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_the_glossary_is_in_the_code(term: str) -> None:
    assert term in names_in_the_code()


def test_every_line_of_the_tables_is_read() -> None:
    for page, read in (("where.md", PLACES), ("glossary.md", TERMS)):
        lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
        heads = 2 * sum(line.startswith("| ---") for line in lines)
        assert sum(line.startswith("|") for line in lines) - heads == len(read), page
