"""docs/settings.md is generated from the declarations of the settings: `python -m tests.test_docs` rewrites it."""

import re
from pathlib import Path

import pytest

from tests.support.declared import bounds
from trio_stt.settings import PROFILES, Declaration, RuntimeClass, declarations

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
ROOT = Path(__file__).parents[1]
PROSE = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("install.md", "security.md", "deploy.md", "architecture.md", "clients.md")),
]
OTHER_FLAGS = frozenset(
    {
        *("--scope", "--name", "--format"),  # flags of other commands of trio-stt
        *("--channels", "--max-line-width", "--max-lines", "--server"),  # of transcribe
        *("--key-file", "--key", "--ca-file", "--list-devices"),  # of listen and transcribe
        *("--group", "--extra"),  # of uv
        *("--no-cache-dir", "--upgrade", "--force"),  # of pip, pipx and uv
        *("--rm", "--data-binary"),  # of docker and curl
        *("--bind", "--graceful-timeout"),  # of hypercorn
        *("--pipe", "--deploy-hook"),  # of systemd-run and certbot
    }
)
WHEN = {
    RuntimeClass.ACTIVE: "at once",
    RuntimeClass.NEW_SESSIONS: "new sessions",
    RuntimeClass.STARTUP: "restart",
}
HEAD = """# Settings

Every setting is a flag of the command line and an environment variable. A flag overrides the environment, the
environment overrides the profile, and the profile overrides the default. The flag of a boolean takes no value and
inverts the default.

*Changes* says when a change made by `PATCH /api/config` takes effect: at once, for sessions that begin later, or only
after a restart. In such a request, a value of another type or outside the allowed range is rejected, and the other
values are applied.

| setting | flag | default | allowed | changes | meaning |
| --- | --- | --- | --- | --- | --- |
"""
PROFILE_HEAD = """
## Profiles

`--profile` replaces these defaults.
"""


def page() -> str:
    return HEAD + "".join(row(declaration) for declaration in declarations()) + PROFILE_HEAD + profiles()


def row(declaration: Declaration) -> str:
    cells = (
        f"`{declaration.env}`" if declaration.is_settable else f"`{declaration.name}`",
        ", ".join(f"`{flag}`" for flag in declaration.flags),
        shown_default(declaration),
        allowed(declaration),
        WHEN[declaration.runtime],
        declaration.help,
    )
    return f"| {' | '.join(cells)} |\n"


def shown_default(declaration: Declaration) -> str:
    text = declaration.default_text
    return text if declaration.is_flag_only or not declaration.is_settable or not text else f"`{text}`"


def allowed(declaration: Declaration) -> str:
    if declaration.choices:
        return ", ".join(f"`{choice}`" for choice in declaration.choices)
    limits = bounds(declaration)
    if limits.low is None:
        return ""
    above, each = "above " if limits.above_low else "", " each" if declaration.value_type is tuple else ""
    return f"{above}{limits.low:g} to {limits.high:.9g}{each}"


def profiles() -> str:
    names = [name for name in PROFILES if PROFILES[name].values]
    lines = ["", *(f"- `{name}`: {PROFILES[name].description}" for name in names), ""]
    lines += [f"| setting | {' | '.join(f'`{name}`' for name in names)} |", "| --- " * (len(names) + 1) + "|"]
    for setting in PROFILES[names[0]].values:
        lines.append(f"| `{setting}` | {' | '.join(f'{PROFILES[name].values[setting]:g}' for name in names)} |")
    return "\n".join(lines) + "\n"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.test_docs"


def test_every_setting_has_a_row_with_a_help_sentence() -> None:
    for declaration in declarations():
        assert declaration.help.endswith("."), declaration.name
        assert row(declaration) in page()


@pytest.mark.parametrize("document", PROSE, ids=lambda document: document.name)
def test_flags_and_variables_in_prose_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    flags = {flag for declaration in declarations() for flag in declaration.flags}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= flags | OTHER_FLAGS
    variables = {declaration.env for declaration in declarations()} | {"TRIO_STT_KEY"}  # of listen and transcribe
    assert set(re.findall(r"TRIO_STT_[A-Z_]*[A-Z]\b(?!_?…)", text)) <= variables


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
