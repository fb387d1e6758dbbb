"""An hour of speech through the page: its memory grows only with the text, and each word costs as much as the first.

The events of a server come as fast as the page takes them; `tests.page.soak` measures the same in real time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.page.soak import FRAMES, MEASURE_FRAMES, browser_metrics
from tests.support.page import ScriptedServer, ServerProcess, expect_connection, open_page

UTTERANCES = 900
"""Those of an hour, with 4 s each."""
QUARTER = UTTERANCES // 4
WORDS = ["it", "was", "the", "best", "of", "times", "it", "was", "the", "worst", "of", "times"]
MAX_BYTES_PER_UTTERANCE = 4_000
"""Measured: 1,500 bytes for a final with its words, times and elements."""


@contextmanager
def scripted_page(server: ServerProcess, speech: Path) -> Iterator[tuple[Page, ScriptedServer]]:
    with open_page("about:blank", speech, size=(1440, 900)) as page:
        page.add_init_script("MutationObserver = class { observe() {} };")  # WATCH_BLOCKS looks at all blocks each time
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        yield page, scripted


def speak(page: Page, scripted: ScriptedServer, first: int, last: int) -> None:
    """Send the events of these utterances in batches; the page draws after each."""
    for number in range(first, last + 1):
        for sequence in range(1, len(WORDS)):
            stable = " ".join(WORDS[: sequence - 1])
            scripted.partial(number, sequence, stable, f" {WORDS[sequence]}")
            scripted.send("status", state="recording", queueDepth=0, degraded=False)
        scripted.final(number, f"{' '.join(WORDS)} {number}.")
        if number % 15 == 0:
            expect(page.locator(f"[data-segment-id='{number}'][data-final=true]")).to_be_attached()
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def work_s(session: CDPSession) -> float:
    """Seconds that the page has spent so far in scripts, styles and layout."""
    now = browser_metrics(session)
    return sum(now[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"))


@pytest.mark.long
def test_an_hour_of_speech_leaves_memory_and_work_flat(server: ServerProcess, speech: Path) -> None:
    with scripted_page(server, speech) as (page, scripted):
        page.get_by_test_id("details").evaluate("(button) => button.click()")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.evaluate(MEASURE_FRAMES)
        heaps, works, frames = [], [], []
        for quarter in range(4):
            before_s = work_s(session)
            page.evaluate(FRAMES)
            speak(page, scripted, quarter * QUARTER + 1, (quarter + 1) * QUARTER)
            frames.append(page.evaluate(FRAMES))
            works.append(work_s(session) - before_s)
            heaps.append(browser_metrics(session)["JSHeapUsedSize"])
        megabytes = [round(each / 1e6, 1) for each in heaps]
        print("heap MB, work s, frames ms:", megabytes, works, frames)  # noqa: T201 - shown with -s
        assert (heaps[3] - heaps[0]) / (3 * QUARTER) < MAX_BYTES_PER_UTTERANCE
        assert works[3] < 1.5 * works[0]
        assert page.get_by_test_id("segment").count() == UTTERANCES
