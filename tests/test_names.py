"""Private names that this project once used for terms of the field do not come back: see docs/glossary.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GONE = frozenset(
    """
    ahead announcer asked away complaint conclude converse crew doomed doors ear ears ending entrance farewell
    flow forsake garbage goodbye guard handover hear heard hearing here home house household hush introduce
    keeper knock lasting lend loan looks neighbours nobody notebook nuisance obey odd orphans pace passing
    provision rests rival ruler said scene shelf sheltered somebody stands stepwise stranger strangers talker
    talkers tape tell testimony ties told tracks turnstile verdict visit visitor visits waking watcher who whom
    wishes wording workbench yardstick
    """.split()  # noqa: SIM905 - a long list reads better as text
)
"""Retired words. A name with one of them as a part fails the test."""
ALLOWED = {
    "neighbours": "the command `python -m benchmarks.neighbours`",
    "scene": "the flag `--scene` of the benchmarks",
    "scenes": "the same",
    "measure_scene": "the same",
    "getTracks": "a method of the Web API",
    "getAudioTracks": "a method of the Web API",
    "stopTracks": "stops the tracks of a MediaStream",
    "TRACKS": "the rows of the timeline",
    "KEEP_TRACKS": "keeps the tracks of a MediaStream",
    "GOING_AWAY": "RFC 6455's name of close code 1001",
    "CLOSE_GOING_AWAY": "the same",
    "tell": "a method of Python's files",
    "Home": "a key of the keyboard",
    "home_folder": "the user's, named by $HOME",
    "test_nothing_is_written_to_the_home_folder": "the same",
    "test_tilde_is_the_home_folder": "the same",
    "test_garbage_is_still_collected": "Python's garbage collection",
    "test_dropped_job_and_its_waiters_are_freed_without_garbage_collection": "the same",
    "test_downmix_accepts_any_bytes_even_at_an_odd_offset": "an odd number of bytes",
}
SCRIPT_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL)
"""Comments and strings of JavaScript."""


def names(path: Path) -> Iterator[str]:
    """The names that a module of Python defines, or all names in one of JavaScript, and the module's own."""
    yield path.stem
    if path.suffix == ".js":
        yield from re.findall(r"[A-Za-z_$][\w$]*", SCRIPT_TEXT.sub(" ", path.read_text(encoding="utf-8")))
        return
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
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


MODULES = sorted(
    path
    for folder, suffix in (("trio_stt", ".py"), ("benchmarks", ".py"), ("tests", ".py"), ("web", ".js"))
    for path in (ROOT / folder).rglob(f"*{suffix}")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_has_a_word_that_is_gone(path: Path) -> None:
    assert {name for name in names(path) if words(name) & GONE} - ALLOWED.keys() == set()
