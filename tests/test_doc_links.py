"""Links between the documents, and references to their headings in the code, have existing targets.

A reference is written "docs/protocol.md, Commands".
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "benchmarks" / "README.md"]
_REFERENCE = re.compile(r"docs/(?P<page>[a-z]+\.md),\s+(?P<rest>(?:GET |PATCH )?[\w/][^\n]*)")
_SOURCES = [
    path
    for folder in ("trio_stt", "benchmarks", "tests", "web", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".js", ".mjs", ".md"} and path != Path(__file__)
]


def headings(page: Path) -> list[str]:
    """The headings of a document."""
    return re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def references() -> list[tuple[str, str, str]]:
    """The file, the page, and the text after the comma of every reference."""
    return [
        (path.relative_to(ROOT).as_posix(), match["page"], match["rest"])
        for path in _SOURCES
        for match in _REFERENCE.finditer(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        path, _, wanted = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not wanted or wanted in {anchor(heading) for heading in headings(linked)}, target


def test_references_name_headings() -> None:
    for path, page, rest in references():
        named = headings(ROOT / "docs" / page)
        assert any(re.match(re.escape(heading) + r"(?![\w/])", rest) for heading in named), f"{path}: {rest}"


def test_the_code_refers_to_the_protocol() -> None:
    assert sum(page == "protocol.md" for _, page, _ in references()) > 30
