"""Format of log lines."""

import json
import logging

import pytest
import structlog
import trio
import trio.lowlevel

from trio_stt.runtime.logging_setup import start_logging

log = logging.getLogger("trio_stt.somewhere")


def fail_with_a_secret() -> None:
    secret = "what was said"  # noqa: S105 - a made-up secret
    raise RuntimeError(str(len(secret)))


def test_json_line_has_bound_values(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO", "json")
    with structlog.contextvars.bound_contextvars(session="abc"):
        log.info("segment %d: %s", 3, "naïve\ntext")
    log.debug("unseen")
    first, *others = capsys.readouterr().err.splitlines()
    assert others == []
    line = json.loads(first)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "segment 3: naïve\ntext",
        "session": "abc",
        "level": "info",
        "logger": "trio_stt.somewhere",
    }


@pytest.mark.parametrize("form", ["json", "console"])
def test_traceback_shows_frames_without_local_variables(capsys: pytest.CaptureFixture[str], form: str) -> None:
    start_logging("INFO", form)  # type: ignore[arg-type] # both are forms
    try:
        fail_with_a_secret()
    except RuntimeError:
        log.exception("it broke")
    text = capsys.readouterr().err
    assert "fail_with_a_secret" in text
    assert "what was said" not in text.replace('secret = "what was said"', "")


def test_console_line_is_aligned_text_without_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("WARNING")
    with structlog.contextvars.bound_contextvars(session="abc"):
        log.info("unseen")
        log.warning("the lane is slow")
    (line,) = capsys.readouterr().err.splitlines()
    assert "[warning  ] the lane is slow [trio_stt.somewhere] session=abc" in line
    assert "\x1b" not in line


async def test_child_tasks_inherit_the_session_id(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO", "json")

    async def session(name: str) -> None:
        with structlog.contextvars.bound_contextvars(session=name):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(task)
                await trio.lowlevel.checkpoint()

    async def task() -> None:
        await trio.lowlevel.checkpoint()
        log.info("here")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session, "a")
        nursery.start_soon(session, "b")
    log.info("outside")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted(line.get("session", "") for line in lines) == ["", "a", "b"]
