"""A phone talks, locks, loses its network, comes back, and exports a subtitle file: one story in a real Chromium."""

from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
from playwright.sync_api import expect

from tests.support.cut_proxy import CutProxy
from tests.support.page import SPEECH_TIMEOUT_MS, ServerProcess, expect_connection, expect_talk, final_texts, open_page
from tests.support.wer import BECKETT, word_error_rate

PHONE = (390, 844)
FINAL = "[data-testid=segment][data-final=true]"
LIVE = "[data-testid=segment][data-final=false]"

# Counts the wake locks that the page has asked for: a phone gives one up as soon as it locks.
WAKE_LOCKS = """
window.wakeLocks = [];
navigator.wakeLock.request = async () => {
  const lock = Object.assign(new EventTarget(), { released: false, release: async () => { lock.released = true; } });
  window.wakeLocks.push(lock);
  return lock;
};
"""
SET_HIDDEN = """(isHidden) => {
  Object.defineProperty(document, 'visibilityState', { value: isHidden ? 'hidden' : 'visible', configurable: true });
  Object.defineProperty(document, 'hidden', { value: isHidden, configurable: true });
  if (isHidden) for (const lock of window.wakeLocks) { lock.released = true; lock.dispatchEvent(new Event('release')); }
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.mark.long
def test_phone_that_locks_and_loses_its_network_exports_all_its_words(server: ServerProcess, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page("about:blank", speech, size=PHONE, scheme="dark") as page:
        page.add_init_script(WAKE_LOCKS)
        page.goto(proxy.url)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(LIVE).first).to_be_attached(timeout=SPEECH_TIMEOUT_MS)
        assert page.evaluate("window.wakeLocks.length") == 1

        page.evaluate(SET_HIDDEN, True)
        proxy.discard_uploads()  # what the phone sends no longer arrives, and nothing tells it
        proxy.cut()
        expect(page.get_by_test_id("buffering")).to_have_text("Not connected: the last 10 s are kept")
        page.evaluate(SET_HIDDEN, False)
        assert page.evaluate("window.wakeLocks.map(({ released }) => released)") == [True, False]
        proxy.restore()

        expect_connection(page, "Ready")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect_talk(page, "live")
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        expect(page.locator(LIVE)).to_have_count(0, timeout=SPEECH_TIMEOUT_MS)
        assert page.evaluate("window.wakeLocks.every(({ released }) => released)")
        expect(page.locator(".break")).to_have_count(0)

        page.get_by_test_id("save").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Subtitles .srt", exact=True).click()
        cues = list(pysubs2.SSAFile.load(str(download.value.path()), format_="srt"))
        words = " ".join(cue.plaintext for cue in cues)
        assert words.split() == " ".join(final_texts(page)).split()
        assert word_error_rate(BECKETT, words) <= 0.2  # as over a connection without losses
        assert all(before.end <= after.start for before, after in pairwise(cues))
        assert all(cue.end - cue.start >= 800 for cue in cues)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
