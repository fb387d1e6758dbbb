"""Coverage report of the protocol: `python -m tests.contract_report` prints which tests cover which part of it.

A test names the parts it covers with `@pytest.mark.contract("4.4", "11/20")`. N.M is a section of the behaviour shared
with RealtimeSTT's server (docs/protocol.md describes it); 11/N is defect N of that server, which this server must lack.
The report gives each of them one line: what the section is about, or what went wrong in that server.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent

SECTIONS = {
    "1.1": "`GET /health`",
    "1.2": "`GET /api/config`",
    "1.3": "`PATCH /api/config`",
    "1.4": "`GET /api/metrics`",
    "1.5": "the scheduler object",
    "1.6": "the limits object",
    "1.7": "the session object and its counters",
    "2.1": "connecting, admission, `ready`",
    "2.2": "commands",
    "2.3": "audio packets",
    "2.4": "fields common to events; events reach their own session only",
    "2.5": "events",
    "2.6": "the segment object",
    "2.7": "the wakeWord object",
    "2.8": "order of events",
    "2.9": "disconnecting",
    "3": "settings: flags, environment, ranges, classes, effect",
    "3.1": "profiles",
    "4.1": "from packet to window",
    "4.2": "starting an utterance",
    "4.3": "pre-roll",
    "4.4": "ending an utterance",
    "4.5": "shortest utterance and gap",
    "4.6": "speculative finals",
    "4.7": "longest utterance",
    "4.8": "`stop`",
    "4.9": "`clear`",
    "4.10": "wake words",
    "4.11": "segment ids",
    "4.12": "speaker limit",
    "4.13": "backlog",
    "4.14": "fixed constants",
    "5.1": "fixed cadence of partials",
    "5.2": "partials at syllable boundaries",
    "5.3": "the boundary detector",
    "5.4": "pauses and bounds of partials",
    "6.1": "thresholds of stable text",
    "6.2": "text comparison",
    "6.3": "processing of one hypothesis",
    "6.4": "guarantees of stable text",
    "6.5": "what stable text must keep",
    "7.1": "lanes",
    "7.2": "the queue of a lane",
    "7.3": "effects of refusals and failures on clients",
    "7.4": "results and statistics",
    "7.5": "loading, warm-up, shutdown",
    "8.1": "engine names",
    "8.2": "behaviour common to engines; final text",
    "8.3": "each engine",
    "9.3": "the page's audio",
    "9.4": "the page's socket",
    "9.5": "the page's handling of messages",
    "9.6": "what the page needs from a server",
}
DEFECTS = (
    "`clear` during a pending final froze the server",
    "sessions that began or ended blocked all others for a while",
    "a sample rate chosen by a client cost seconds and gigabytes",
    "events for a client that does not read were queued without a bound",
    "a missing wake-word package made every connection fail",
    "a speculative final was published although speech continued",
    "finals of a slow engine were published for the wrong utterances",
    "the text of a rejected utterance was published as that of a later one",
    "after a `stop` in silence, the next final was published twice",
    "`stop` did not end an utterance that had just begun",
    "a minimum gap between utterances lost all later speech",
    "a failed or rejected final was lost",
    "dropped audio was neither counted nor reported",
    "`stop` and `clear` left audio in the queue, which joined the next utterance",
    "the cut at the maximum length lost audio",
    "a full backlog dropped the oldest utterance",
    "each packet was resampled on its own, with errors at every seam",
    "the cut of the wake word removed other audio",
    "`clear` did not stop an utterance that had just begun",
    "overlapping utterances shared a segment id",
    "`voice` and `silence` were sent without speech",
    "after a final, the status ignored the running utterance",
    "the pre-roll was reported as configured, not as it was",
    "a rejected utterance produced events",
    "a late partial appeared under the next utterance",
    "stable text lost spaces and punctuation",
    "no waiting event followed a wake-word timeout",
    "the page failed after a lost connection",
    "settings had no effect",
    "engines were not warmed up",
    "on a shared lane, partials were queued and counted as finals",
    "queued partials were never replaced",
    "the work of partials grew with the utterance",
    "PATCH failed on null in a list, and settings had no ranges",
    "each session had threads and file descriptors",
    "each session added a log handler",
    "memory grew over a session",
    "the boundary detector ran in Python and missed low voices",
    "waiting tasks polled",
    "segments depended on when the audio arrived",
    "there was no authentication, and no check of origins",
)
"""What each defect of RealtimeSTT's server was, numbered from 1."""
PARTS = SECTIONS | {f"11/{number}": about for number, about in enumerate(DEFECTS, 1)}

SCRIPTS = {
    "page/resumable-session.test.mjs": ("9.4", "11/28"),
    "page/resend-buffer.test.mjs": ("9.4", "11/28"),
    "page/server-connection-resume.test.mjs": ("9.4", "11/28"),
    "page/server-connection.test.mjs": ("9.4", "9.6", "11/28"),
    "page/capture.test.mjs": ("9.3",),
    "page/event-log.test.mjs": ("9.5", "11/28"),
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
"""Parts covered by the tests of the page's modules, which carry no marks."""


@cache
def coverage() -> dict[str, list[str]]:
    """The tests of each part, as file::function, in order."""
    covered: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for part, test in _marks(path):
            covered.setdefault(part, []).append(test)
    for name, parts in SCRIPTS.items():
        for part in parts:
            covered.setdefault(part, []).append(name)
    return covered


def report() -> str:
    """Each part with its tests, one test a line: first the sections, then the defects."""
    covered = coverage()
    lines = []
    for part, about in PARTS.items():
        if part == "11/1":
            lines.append("Defects of RealtimeSTT's server\n")
        lines += [f"{part} {about}\n", *(f"    {test}\n" for test in covered.get(part, ["(no test)"]))]
    return "".join(["Sections\n", *lines])


def _marks(path: Path) -> Iterator[tuple[str, str]]:
    """The parts that a file covers, each with the name of the test, or of the file if the mark covers all of it."""
    name = path.relative_to(TESTS).as_posix()
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


if __name__ == "__main__":
    print(report(), end="")  # noqa: T201 - the report is this command's output
