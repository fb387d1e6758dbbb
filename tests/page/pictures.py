"""Takes the screenshots of the page in `docs/`, with a real server and model: `python -m tests.page.pictures`."""

import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.page import ServerProcess, chromium, expect_connection, microphone_recording, open_page

DOCS = Path(__file__).parents[2] / "docs"
TIMEOUT_MS = 180_000
HAS_STABLE_AND_UNSTABLE = """() => [...document.querySelectorAll('.segment[data-phase=live]')].some(
  (e) => e.querySelector('.stable').textContent.length > 0 && e.querySelector('.unstable').textContent.length > 0)"""


def talk_until(page: Page, finals: int) -> None:
    """Wait for this many final texts, and then for live words with a stable part."""
    expect(page.locator("[data-testid=segment][data-final=true]").nth(finals - 1)).to_be_attached(timeout=TIMEOUT_MS)
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {TIMEOUT_MS}, new Error('no live words were partly stable'));
      const look = () => ({HAS_STABLE_AND_UNSTABLE})() ? done() : requestAnimationFrame(look);
      look();
    }})""")


def main() -> None:
    with closing(chromium), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = microphone_recording(folder / "speech.wav", "two_cities.wav")
        with ServerProcess(folder / "output.txt") as server:
            with open_page(server.url, speech, repeat=True, size=(1600, 1000)) as page:
                expect_connection(page, "Ready")
                page.get_by_test_id("talk").click()
                talk_until(page, 4)
                page.screenshot(path=DOCS / "page-talk.png")
                page.get_by_test_id("operations-open").click()
                page.wait_for_timeout(30_000)  # so that the charts show something
                page.screenshot(path=DOCS / "page-operations.png")
            with open_page(server.url, speech, repeat=True, size=(360, 740), scheme="dark") as page:
                expect_connection(page, "Ready")
                page.get_by_test_id("talk").click()
                talk_until(page, 2)
                page.screenshot(path=DOCS / "page-phone.png")


if __name__ == "__main__":
    main()
