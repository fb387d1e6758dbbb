"""The transcript outlives a reload, a closed tab and a Clear, in a real Chromium with a scripted server."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import ScriptedServer, ServerProcess, expect_connection, final_texts, open_page

LEAVES_AT_ONCE = "() => window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
FORBIDDEN = "Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('', 'SecurityError'); } })"

SLOW_DATABASE = """
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...args) {
    const request = open.apply(this, args);
    const set = (tell) => request.addEventListener('success', () => setTimeout(tell, 1800));
    Object.defineProperty(request, 'onsuccess', { set });
    return request;
  };
"""
"""A browser on a busy machine."""

STUCK_DATABASE = """
  const open = IDBFactory.prototype.open;
  const answers = [];
  window.answerDatabase = () => answers.splice(0).forEach((answer) => answer());
  IDBFactory.prototype.open = function (...args) {
    const request = open.apply(this, args);
    const set = (tell) => request.addEventListener('success', () => answers.push(tell));
    Object.defineProperty(request, 'onsuccess', { set });
    return request;
  };
"""
"""A browser that opens its database when it is told to."""

NO_TIMED_WRITES = """
  const later = window.setTimeout;
  window.setTimeout = (task, ms, ...args) => (ms === 400 ? 1 : later(task, ms, ...args));
"""
"""Changes are then written only when the page is about to be left."""

STORED_WORDS = """() => new Promise((resolve) => {
  const request = indexedDB.open('trio-stt');
  request.onsuccess = () => {
    const all = request.result.transaction('entries').objectStore('entries').getAll();
    all.onsuccess = () => resolve(all.result.map(({ entry }) => entry.stable));
  };
})"""

NO_WEB_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined })"
"""A page without HTTPS."""

HELD_LOCKS = "async () => (await navigator.locks.query()).held.filter(({ name }) => name.startsWith('trio-stt')).length"


def open_scripted(page: Page, server: ServerProcess) -> ScriptedServer:
    scripted = ScriptedServer(page)
    page.goto(server.url)
    expect_connection(page, "Ready")
    return scripted


def expect_texts(page: Page, *texts: str) -> None:
    expect(page.locator("[data-testid=segment] .segment-text")).to_have_text(list(texts))


@pytest.mark.contract("9.5")
def test_transcript_outlives_reload_closed_tab_and_clear(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        for number in (1, 3):
            scripted.final(number, f"Sentence {number}.")
        scripted.final(2, "Sentence 2.")  # late, so it is inserted
        scripted.partial(4, 1, "half a")
        expect_texts(page, "Sentence 1.", "Sentence 2.", "Sentence 3.", "half a")
        assert page.evaluate(LEAVES_AT_ONCE)
        page.add_init_script(SLOW_DATABASE)
        page.reload()
        expect_connection(page, "Ready")
        kept = ["Sentence 1.", "Sentence 2.", "Sentence 3.", "half a"]
        expect_texts(page, *kept)
        expect(page.locator("[data-phase=lost]")).to_contain_text("page closed: no final text")
        expect(page.locator(".break")).to_contain_text("Page opened")

        # A second tab has a transcript of its own; a tab opened after the first is closed goes on with its transcript.
        other = page.context.new_page()
        other_scripted = open_scripted(other, server)
        expect(other.get_by_test_id("segment")).to_have_count(0)
        other_scripted.final(1, "In the second tab.")
        expect_texts(other, "In the second tab.")
        page.close()
        third = other.context.new_page()
        third_scripted = open_scripted(third, server)
        expect_texts(third, *kept)
        expect(third.locator(".break")).to_have_count(1)

        third.get_by_test_id("clear").click()
        expect(third.get_by_test_id("segment")).to_have_count(0)
        third_scripted.send("clear", nextSegmentId=1)
        third_scripted.final(1, "After the clear.")
        expect_texts(third, "After the clear.")
        third.get_by_role("button", name="Undo").click()
        expect_texts(third, *kept, "After the clear.")
        third.reload()
        expect_connection(third, "Ready")
        expect_texts(third, *kept, "After the clear.")
        third.get_by_test_id("clear").click()
        third.reload()
        expect_connection(third, "Ready")
        expect(third.get_by_test_id("segment")).to_have_count(0)

        other.get_by_test_id("settings-open").click()
        other.get_by_role("switch", name="Keep the transcript").uncheck()
        assert not other.evaluate(LEAVES_AT_ONCE), "the browser asks before the words are lost"
        other.reload()
        expect_connection(other, "Ready")
        expect(other.get_by_test_id("segment")).to_have_count(0)


def test_page_works_where_the_browser_forbids_storage(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(FORBIDDEN)
        scripted = open_scripted(page, server)
        scripted.final(1, "Some words.")
        expect_texts(page, "Some words.")
        expect(page.get_by_test_id("notice")).to_have_count(0)
        assert not page.evaluate(LEAVES_AT_ONCE)
        page.get_by_test_id("clear").click()
        page.get_by_role("button", name="Undo").click()
        assert final_texts(page) == ["Some words."]


def test_late_database_brings_earlier_words_before_those_of_now(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = open_scripted(page, server)
        scripted.final(1, "Before.")
        expect_texts(page, "Before.")
        page.add_init_script(STUCK_DATABASE)
        page.reload()
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("notice")).to_contain_text("has not opened its storage yet")
        scripted.final(1, "Meanwhile.")
        expect_texts(page, "Meanwhile.")
        page.evaluate("window.answerDatabase()")
        expect_texts(page, "Before.", "Meanwhile.")
        expect(page.locator(".break")).to_contain_text("Page opened")
        expect(page.get_by_test_id("notice")).to_have_count(0)

        assert page.evaluate(LEAVES_AT_ONCE)  # written
        context = page.context
        page.close()
        other = context.new_page()
        open_scripted(other, server)
        expect_texts(other, "Before.", "Meanwhile.")


def test_page_that_is_left_writes_its_words_and_gives_up_its_lock(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(NO_TIMED_WRITES)
        scripted = open_scripted(page, server)
        words: list[str] = []
        for number, event in enumerate(("beforeunload", "pagehide"), start=1):
            words.append(f"Before {event}.")
            scripted.final(number, words[-1])
            expect_texts(page, *words)
            page.evaluate(f"window.dispatchEvent(new PageTransitionEvent('{event}', {{ persisted: true }}))")
            assert page.evaluate(STORED_WORDS) == words
            assert page.evaluate(HELD_LOCKS) == 1, "a page that may be shown again keeps its transcript"
        page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false }))")
        assert page.evaluate(HELD_LOCKS) == 0


def test_two_tabs_without_web_locks_keep_transcripts_of_their_own(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.context.add_init_script(NO_WEB_LOCKS)
        scripted = open_scripted(page, server)
        scripted.final(1, "In the first tab.")
        expect_texts(page, "In the first tab.")
        assert page.evaluate(LEAVES_AT_ONCE)  # written
        other = page.context.new_page()
        other_scripted = open_scripted(other, server)
        expect(other.get_by_test_id("segment")).to_have_count(0)
        other_scripted.final(1, "In the second tab.")
        expect_texts(other, "In the second tab.")
        other.reload()
        expect_connection(other, "Ready")
        expect_texts(other, "In the second tab.")

        copied = page.context.new_page()  # browsers copy the session storage into a duplicated tab
        tab = page.evaluate("sessionStorage.getItem('trio-stt.transcript')")
        copied.add_init_script(f"sessionStorage.setItem('trio-stt.transcript', '{tab}')")
        open_scripted(copied, server)
        expect(copied.get_by_test_id("notice")).to_contain_text("open in another tab")
        expect(copied.get_by_test_id("segment")).to_have_count(0)
        copied.close()
        page.close()
        third = other.context.new_page()
        open_scripted(third, server)
        expect_texts(third, "In the first tab.")
