"""Texts that would break a careless page, and a browser without room, in a real Chromium with a scripted server."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.page import ScriptedServer, ServerProcess, expect_connection, open_page

MARKUP = "<img src=x onerror=alert(1)><script>alert(1)</script> & &amp; </p>"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
LONG = "x" * 10_000
NO_ROOM = "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
LEAVES_AT_ONCE = "() => window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"


@pytest.mark.long
def test_texts_of_the_server_stay_texts_within_the_window(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(390, 800)) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        scripted.final(1, MARKUP)
        scripted.final(2, f"{HEBREW} {LONG}")
        scripted.partial(3, 1, LONG, f" {MARKUP}")
        scripted.send("warning", message=MARKUP + LONG)
        scripted.send("error", where=LONG, message=HEBREW + LONG)
        scripted.send("status", state=MARKUP + LONG, queueDepth=1e300, degraded=True)
        expect(page.locator(".segment-text").first).to_have_text(MARKUP)
        expect(page.locator(".segment-text").nth(2)).to_have_text(f"{LONG} {MARKUP}")
        expect(page.get_by_test_id("state")).to_contain_text("<img")
        assert page.locator("#transcript, #notices, .chips").locator("img, script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        # Without room, the page says so, keeps the words, and no longer leaves without a question.
        page.evaluate(NO_ROOM)
        scripted.final(4, "Still here.")
        expect(page.get_by_test_id("notices")).to_contain_text("This browser has no room left")
        expect(page.locator(".segment-text").last).to_have_text("Still here.")
        assert not page.evaluate(LEAVES_AT_ONCE)


@pytest.mark.parametrize(
    "query",
    [
        "color=red;background:url(//evil)&lines=1e9&size=NaN&position=__proto__&align=constructor&hold=-1&start=2",
        "lines=<script>alert(1)</script>&size=%F0%9F%92%A9&background=url(//evil)",
    ],
)
@pytest.mark.long
def test_values_of_the_captions_address_that_are_not_valid_have_no_effect(
    server: ServerProcess, speech: Path, query: str
) -> None:
    with open_page("about:blank", speech) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{server.url}captions?{query}#key=%00%ff")
        expect(page.get_by_test_id("message")).to_be_empty()
        assert page.evaluate("document.documentElement.getAttribute('style')") is None
        assert [error for error in errors if "MutationObserver" not in error] == []
