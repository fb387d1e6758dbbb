"""The documentation of the settings is generated from their declaration: `python -m tests.test_docs` rewrites it."""

from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le

from trio_stt.configuration import Declaration, declarations
from trio_stt.settings import RuntimeClass

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
WHEN = {
    RuntimeClass.ACTIVE: "at once",
    RuntimeClass.NEW_SESSIONS: "new sessions",
    RuntimeClass.STARTUP: "restart",
}
HEAD = """# Settings

Each setting can be given as a flag or in the environment; flags win. A boolean's flag takes no value and turns it away
from its default. *Changes* says when a change of the running server could take effect.

| setting | flag | default | allowed | changes | what it does |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    return HEAD + "".join(row(declaration) for declaration in declarations())


def row(declaration: Declaration) -> str:
    default = declaration.field.default
    if isinstance(default, bool):
        shown = "on" if default else "off"
    else:
        shown = "" if default in (None, "") else f"`{default}`"
    flags = ", ".join(f"`{flag}`" for flag in declaration.option.flags)
    cells = (
        f"`{declaration.env}`",
        flags,
        shown,
        allowed(declaration),
        WHEN[declaration.option.runtime],
        declaration.help,
    )
    return f"| {' | '.join(cells)} |\n"


def allowed(declaration: Declaration) -> str:
    rules = declaration.field.metadata
    if get_origin(declaration.field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(declaration.field.annotation))
    low = [f"{rule.ge:g}" for rule in rules if isinstance(rule, Ge)]
    low += [f"above {rule.gt:g}" for rule in rules if isinstance(rule, Gt)]
    high = [f"{rule.le:g}" for rule in rules if isinstance(rule, Le)]
    return f"{low[0]} to {high[0]}" if low and high else ""


def test_every_setting_is_documented_as_it_is_declared() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.test_docs"


def test_every_setting_has_a_flag_and_a_sentence_of_help() -> None:
    for declaration in declarations():
        assert declaration.option.flags
        assert declaration.help.endswith("."), declaration.name


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
