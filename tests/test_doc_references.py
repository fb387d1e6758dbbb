"""Every reference to a heading of the documents, such as "docs/protocol.md, Commands", names one that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_REFERENCE = re.compile(r"docs/(?P<page>[a-z]+\.md),\s+(?P<rest>(?:GET |PATCH )?[\w/][^\n]*)")
_SOURCES = [
    path
    for folder in ("trio_stt", "benchmarks", "tests", "web", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".js", ".mjs", ".md"} and path != Path(__file__)
]


def headings(page: str) -> list[str]:
    """The headings of a document, longest first."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return sorted(re.findall(r"^#+ (.+)$", text, re.MULTILINE), key=len, reverse=True)


def references() -> list[tuple[str, str, str]]:
    """File, page and the text after the comma of every reference."""
    return [
        (path.relative_to(ROOT).as_posix(), match["page"], match["rest"])
        for path in _SOURCES
        for match in _REFERENCE.finditer(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("reference", references(), ids=lambda reference: f"{reference[0]}: {reference[2][:24]}")
def test_a_reference_names_a_heading(reference: tuple[str, str, str]) -> None:
    _, page, rest = reference
    assert any(re.match(re.escape(heading) + r"(?![\w/])", rest) for heading in headings(page)), rest


def test_the_code_refers_to_the_protocol() -> None:
    assert sum(page == "protocol.md" for _, page, _ in references()) > 30
