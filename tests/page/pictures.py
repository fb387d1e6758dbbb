"""Takes pictures of the page, with a real server and model.

`python -m tests.page.pictures` takes the three pictures of the README into `docs/`; run it on a quiet machine.
`python -m tests.page.pictures FOLDER` takes those of its states into a folder, to be looked at.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, expect

from tests.support.page import (
    ScriptedServer,
    ServerProcess,
    chromium,
    expect_connection,
    microphone_recording,
    open_page,
    setting,
)
from tests.support.real import moonshine_asset

DOCS = Path(__file__).parents[2] / "docs"
TIMEOUT_MS = 180_000
HAS_STABLE_AND_UNSTABLE = """() => [...document.querySelectorAll('.segment[data-phase=live]')].some(
  (e) => e.querySelector('.stable').textContent.length > 0 && e.querySelector('.unstable').textContent.length > 0)"""
DESK, PHONE, TABLET = (1440, 900), (390, 844), (900, 800)


def talk_until(page: Page, finals: int) -> None:
    """Wait for this many final texts, and then for live words with a stable part."""
    expect(page.locator("[data-testid=segment][data-final=true]").nth(finals - 1)).to_be_attached(timeout=TIMEOUT_MS)
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {TIMEOUT_MS}, new Error('no live words were partly stable'));
      const look = () => ({HAS_STABLE_AND_UNSTABLE})() ? done() : requestAnimationFrame(look);
      look();
    }})""")


@contextmanager
def shown(
    server: ServerProcess, speech: Path, size: tuple[int, int], *, dark: bool = False, repeat: bool = False
) -> Iterator[Page]:
    """The page, connected; narrow windows are those of phones."""
    scheme: Literal["light", "dark"] = "dark" if dark else "light"
    with open_page(server.url, speech, repeat=repeat, size=size, scheme=scheme, touch=size[0] < TABLET[0]) as page:
        expect_connection(page, "Ready")
        yield page


@contextmanager
def talking(server: ServerProcess, speech: Path, size: tuple[int, int], *, dark: bool = False) -> Iterator[Page]:
    """The page while the recording is spoken to it."""
    with shown(server, speech, size, dark=dark, repeat=True) as page:
        page.get_by_test_id("talk").click()
        yield page


def readme_pictures(server: ServerProcess, speech: Path) -> None:
    """The pictures of the README."""
    with talking(server, speech, (1600, 1000)) as page:
        talk_until(page, 4)
        page.screenshot(path=DOCS / "page-talk.png")
        page.get_by_test_id("operations-open").click()
        page.wait_for_timeout(60_000)  # so that the charts show something
        page.screenshot(path=DOCS / "page-operations.png")
    with talking(server, speech, (360, 740), dark=True) as page:
        talk_until(page, 2)
        page.screenshot(path=DOCS / "page-phone.png")


def states(server: ServerProcess, speech: Path, folder: Path) -> None:
    """The pictures of its states: twelve, and Operations on a phone."""
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.wait_for_timeout(500)  # panels slide in
        page.screenshot(path=folder / f"{name}.png")
        print(folder / f"{name}.png")  # noqa: T201 - a command that prints

    for size, dark in ((DESK, False), (PHONE, True)):
        with shown(server, speech, size, dark=dark) as page:
            take(page, f"welcome-{size[0]}")
    with talking(server, speech, DESK) as page:
        talk_until(page, 3)
        take(page, "talk-1440")
        page.get_by_test_id("details").click()
        page.get_by_test_id("search").fill("it was")
        take(page, "search-with-details-1440")
        page.get_by_test_id("settings-open").click()
        setting(page, "max_sessions").get_by_role("textbox").fill("0")
        take(page, "settings-1440")
        page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        page.wait_for_timeout(10_000)
        take(page, "operations-1440")
    phone_states(server, speech, take)
    with shown(server, speech, TABLET) as page:
        files = [moonshine_asset("two_cities.wav"), moonshine_asset("beckett.wav")]
        page.locator("[name=file]").set_input_files(files)
        expect(page.get_by_test_id("segment").nth(2)).to_be_attached(timeout=TIMEOUT_MS)
        take(page, "files-900")
        expect(page.get_by_test_id("files")).to_be_hidden(timeout=TIMEOUT_MS)
        page.get_by_test_id("clear").click()
        take(page, "cleared-900")
    with open_page(f"{server.url}captions?start=1&lines=2", speech, repeat=True, size=(1280, 720)) as page:
        expect(page.locator("#live")).not_to_be_empty(timeout=TIMEOUT_MS)
        page.wait_for_timeout(6_000)
        take(page, "captions-1280")


def phone_states(server: ServerProcess, speech: Path, take: Callable[[Page, str], None]) -> None:
    """Those of a phone."""
    with talking(server, speech, PHONE) as page:
        talk_until(page, 2)
        take(page, "talk-390")
        page.get_by_test_id("audio-open").click()
        take(page, "audio-390")
        page.keyboard.press("Escape")
        page.get_by_test_id("talk").click()
        page.get_by_test_id("operations-open").click()
        page.get_by_test_id("explain").click()
        take(page, "operations-explained-390")
    with open_page("about:blank", speech, size=PHONE, scheme="dark", touch=True) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        scripted.final(1, "Words that were said before the trouble.")
        scripted.send("ready", ok=False)
        scripted.send("error", where="main_engine", message="the model is not there")
        take(page, "failed-engine-390")


def main(folder: Path | None) -> None:
    with closing(chromium), tempfile.TemporaryDirectory() as name:
        speech = microphone_recording(Path(name) / "speech.wav", "two_cities.wav")
        with ServerProcess(Path(name) / "output.txt") as server:
            if folder:
                states(server, speech, folder)
            else:
                readme_pictures(server, speech)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
