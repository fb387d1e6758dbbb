"""The README's pictures of the page: `python -m tests.page.pictures` takes them anew, of a real server and model."""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.page import Served, connection_is, for_microphone, open_page

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_MS = 180_000
SETTLED_AND_NEW = """() => [...document.querySelectorAll('.segment[data-phase=live]')].some(
  (e) => e.querySelector('.stable').textContent.length > 0 && e.querySelector('.unstable').textContent.length > 0)"""


def talk_until(page: Page, finals: int) -> None:
    """Wait for so many final texts, and for a sentence that is half settled."""
    expect(page.locator("[data-testid=segment][data-final=true]").nth(finals - 1)).to_be_attached(timeout=PATIENCE_MS)
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {PATIENCE_MS}, new Error('no sentence was half settled'));
      const look = () => ({SETTLED_AND_NEW})() ? done() : requestAnimationFrame(look);
      look();
    }})""")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = for_microphone(folder / "speech.wav", "two_cities.wav")
        with Served(folder / "output.txt") as server:
            with open_page(server.url, speech, repeat=True, size=(1600, 1000)) as page:
                connection_is(page, "Ready")
                page.get_by_test_id("talk").click()
                talk_until(page, 4)
                page.screenshot(path=DOCS / "page-talk.png")
                page.get_by_test_id("operations-open").click()
                page.wait_for_timeout(30_000)  # charts of something
                page.screenshot(path=DOCS / "page-operations.png")
            with open_page(server.url, speech, repeat=True, size=(360, 740), scheme="dark") as page:
                connection_is(page, "Ready")
                page.get_by_test_id("talk").click()
                talk_until(page, 2)
                page.screenshot(path=DOCS / "page-phone.png")


if __name__ == "__main__":
    main()
