"""Which tests cover which part of the reference's protocol: read from their `contract` marks.

`python -m tests.test_contract` writes the table of `docs/protocol.md` anew.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "protocol.md"
TITLE = "## Which tests cover which part of the reference's protocol\n"
HEAD = f"""{TITLE}
Sections are those of the reference server's behaviour; 11/N is a defect of it that this server must not have. Paths
begin at `tests/`.

| part | what it is about | tests |
| --- | --- | --- |
"""

SECTIONS = {
    "1.1": "`/health`",
    "1.2": "`GET /api/config`",
    "1.3": "`PATCH /api/config`",
    "1.4": "`/api/metrics`",
    "1.5": "the `scheduler` object",
    "1.6": "the `limits` object",
    "1.7": "a session's report and counters",
    "2.1": "connecting, admission, `ready`",
    "2.2": "commands",
    "2.3": "audio packets",
    "2.4": "fields that events share, and whose events they are",
    "2.5": "events",
    "2.6": "the `segment` object",
    "2.7": "the `wakeWord` object",
    "2.8": "order of events",
    "2.9": "disconnecting",
    "3": "settings: flags, environment, ranges, classes, effect",
    "3.1": "profiles",
    "4.1": "from packet to windows",
    "4.2": "what starts a recording",
    "4.3": "pre-roll",
    "4.4": "what ends a recording",
    "4.5": "shortest recording, least gap",
    "4.6": "finals computed ahead",
    "4.7": "longest recording",
    "4.8": "`stop`",
    "4.9": "`clear`",
    "4.10": "wake words",
    "4.11": "numbers of segments",
    "4.12": "limit of active speakers",
    "4.13": "backlog",
    "4.14": "fixed constants",
    "5.1": "fixed cadence of partials",
    "5.2": "partials at syllable boundaries",
    "5.3": "the boundary detector",
    "5.4": "when partials rest, and their bounds",
    "6.1": "thresholds of stable text",
    "6.2": "how text is compared",
    "6.3": "what one hypothesis does",
    "6.4": "promises of stable text",
    "6.5": "what stable text must not lose",
    "7.1": "lanes",
    "7.2": "the queue of a lane",
    "7.3": "what clients see of refusals and failures",
    "7.4": "results and statistics",
    "7.5": "loading, warm-up, shutdown",
    "8.1": "names of engines",
    "8.2": "what all engines do, and how a final is tidied",
    "8.3": "each engine",
    "9.3": "the page's audio",
    "9.4": "the page's socket",
    "9.5": "how the page shows messages",
    "9.6": "what the page needs of a server",
}
DEFECTS = (
    "`clear` during a pending final froze the server",
    "coming and going sessions held up all others",
    "a sample rate chosen by a client cost seconds and gigabytes",
    "events piled up for a client that does not read",
    "a missing wake-word package closed the door to everybody",
    "a final computed ahead came out although speech went on",
    "finals swapped behind a slow engine",
    "a refused recording's text came out later",
    "`stop` in silence doubled the next final",
    "`stop` did not end a young recording",
    "a gap between recordings made the session deaf",
    "a failed or refused final was lost",
    "shed audio was not told",
    "`stop` and `clear` left audio behind",
    "a cut lost audio",
    "the backlog dropped the oldest utterance",
    "resampling packet by packet",
    "the cut of the wake word took something else",
    "`clear` did not stop a young recording",
    "utterances that overlap shared a number",
    "voice and silence that nobody heard",
    "a status that was not so after a final",
    "a pre-roll that was not so",
    "a refused recording left traces",
    "a partial under the next utterance",
    "stable text lost spaces and punctuation",
    "no wait was told after a timeout",
    "the page after a lost connection",
    "settings without effect",
    "no warm-up took place",
    "partials became finals on a shared lane",
    "partials that wait were never replaced",
    "the work of partials grew with the utterance",
    "nulls broke PATCH, and nothing had a range",
    "threads and descriptors for each session",
    "log handlers for each session",
    "memory grew with a session",
    "the boundary detector in Python, deaf to low voices",
    "waiting was polling",
    "segments depended on when audio came",
    "anybody could reach everything",
)
PARTS = SECTIONS | {f"11/{number}": about for number, about in enumerate(DEFECTS, 1)}

SCRIPTS = {
    "page/continuity.test.mjs": ("9.4", "11/28"),
    "page/journal.test.mjs": ("9.4", "11/28"),
    "page/link-sessions.test.mjs": ("9.4", "11/28"),
    "page/link.test.mjs": ("9.4", "9.6", "11/28"),
    "page/log.test.mjs": ("9.5", "11/28"),
    "page/messages.test.mjs": ("9.5", "11/28"),
    "page/packets.test.mjs": ("2.3", "9.3"),
    "page/pacer.test.mjs": ("9.3",),
    "page/protocol.test.mjs": ("9.5", "11/28"),
    "page/session-losses.test.mjs": ("9.4", "11/28"),
    "page/session.test.mjs": ("9.3", "9.4", "9.6", "11/28"),
    "page/timeline.test.mjs": ("9.5",),
    "page/transcript.test.mjs": ("9.5", "11/28"),
    "page/worklet.test.mjs": ("9.3",),
}
"""Tests of the page's modules, which carry no marks."""
UNNUMBERED = frozenset({"11/28", "11/41"})
"""Defects whose tests are named otherwise: the page's, and those of who may reach the server."""


def marks(path: Path) -> Iterator[tuple[str, str]]:
    """The parts that a file covers, each with the name of the test, or of the file where all of it does."""
    name = path.relative_to(ROOT / "tests").as_posix()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            marked, test = node.decorator_list, f"{name}::{node.name}"
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marked, test = node.value.elts if isinstance(node.value, ast.List) else [node.value], name
        else:
            continue
        for mark in marked:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("contract"):
                for part in mark.args:
                    yield str(ast.literal_eval(part)), test


@cache
def coverage() -> dict[str, list[str]]:
    """The tests of each part, as file::function, in order."""
    covered: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for part, test in marks(path):
            covered.setdefault(part, []).append(test)
    for name, parts in SCRIPTS.items():
        for part in parts:
            covered.setdefault(part, []).append(name)
    return covered


def table() -> str:
    covered = coverage()
    rows = (f"| {part} | {about} | {'<br>'.join(covered.get(part, []))} |\n" for part, about in PARTS.items())
    return HEAD + "".join(rows)


def written() -> str:
    """The page with a new table at its end."""
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(TITLE)
    return f"{before.rstrip()}\n\n{table()}"


def test_every_part_has_a_test_and_every_mark_names_a_part() -> None:
    assert set(coverage()) == set(PARTS)


def test_every_defect_has_a_test_that_is_named_after_it() -> None:
    for number in range(1, len(DEFECTS) + 1):
        part = f"11/{number}"
        if part not in UNNUMBERED:
            assert any(f"11_{number:02}_" in test for test in coverage()[part]), part


def test_every_script_of_the_page_is_there() -> None:
    found = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests" / "page").glob("*.test.mjs")}
    assert set(SCRIPTS) <= found


def test_the_table_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(), "run: python -m tests.test_contract"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
