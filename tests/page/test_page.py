"""The page in a real Chromium, its fake microphone playing real speech, against the real server and model."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.cut_proxy import CutProxy
from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ServerProcess,
    expect_connection,
    final_texts,
    microphone_recording,
    open_page,
)
from tests.support.wer import BECKETT, word_error_rate


@pytest.mark.contract("9.3", "9.5", "9.6")
def test_live_words_become_final_text(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").filter(has_text="better")).to_be_visible(
            timeout=SPEECH_TIMEOUT_MS
        )
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("state")).to_have_text("Ready")

        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        expect(page.locator("[data-testid=segment][data-final=false]")).to_have_count(0)
        ids = page.locator("[data-testid=segment]").evaluate_all("blocks => blocks.map((b) => b.dataset.segmentId)")
        assert len(set(ids)) == len(ids)

        seen = page.evaluate("window.seen")
        live = {block["id"] for block in seen if not block["final"] and block["stable"] + block["unstable"]}
        assert live, "no live words were shown"
        assert live <= set(ids)  # which are final, see above
        assert problems == []


@pytest.mark.contract("9.5")
def test_long_sentence_separates_stable_from_unstable_words(server: ServerProcess, tmp_path: Path) -> None:
    speech = microphone_recording(tmp_path / "long.wav", "two_cities.wav", seconds=8.0)
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.filter(has_text="worst of times")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        shown = [block for block in page.evaluate("window.seen") if not block["final"] and block["stable"]]
        assert any(block["unstable"] for block in shown)
        for earlier, later in pairwise(shown):
            if earlier["id"] == later["id"]:
                assert later["stable"].startswith(earlier["stable"])


@pytest.mark.contract("9.3", "9.5")
def test_stop_during_speech_gives_final_and_clear_empties_page(server: ServerProcess, tmp_path: Path) -> None:
    speech = microphone_recording(tmp_path / "long.wav", "two_cities.wav", seconds=8.0)
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("clear")).to_be_disabled()
        page.get_by_test_id("talk").click()
        live = page.locator("[data-testid=segment][data-final=false]")
        expect(live.filter(has_text="best of times")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        final = page.locator("[data-testid=segment][data-final=true]")
        expect(final.filter(has_text="best of times")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect(live).to_have_count(0)
        expect(page.get_by_test_id("state")).to_have_text("Ready")
        expect(page.locator("#announcement")).to_have_text(final_texts(page)[-1])

        page.get_by_test_id("clear").click()
        expect(page.get_by_test_id("segment")).to_have_count(0)
        expect(page.get_by_test_id("clear")).to_be_disabled()
        expect(page.get_by_role("heading", name="Say something.")).to_be_visible()


@pytest.mark.contract("9.4", "11/28")
def test_killed_server_restarts_during_speech(server: ServerProcess, tmp_path: Path, speech: Path) -> None:
    # The shared server takes the place of the killed one: a start may take longer than the page keeps audio.
    with (
        ServerProcess(tmp_path / "output.txt") as killed,
        CutProxy(killed.port) as proxy,
        open_page(proxy.url, speech, repeat=True) as page,
    ):
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect(page.locator("[data-testid=segment][data-final=false]").first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        before = final_texts(page)

        killed.kill()
        proxy.cut()
        expect_connection(page, "Reconnecting")
        proxy.restore(server.port)
        expect_connection(page, "Ready")
        expect(page.locator(".break")).to_have_text("Connection restored")  # no audio was lost

        # The new session gets the audio again that had no final text, so its words replace the live ones.
        after = page.locator(".break ~ .paragraph [data-testid=segment][data-final=true]")
        spoken = after.filter(has_text=re.compile("tried|failed|matter|again|better", re.IGNORECASE))
        expect(spoken.first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect(page.locator("[data-phase=lost]")).to_have_count(0)
        assert final_texts(page)[: len(before)] == before
        texts = [text.strip(" .!?") for text in final_texts(page)]
        assert not [text for text, later in pairwise(texts) if text == later], texts
        starts = page.locator(".segment time").evaluate_all("all => all.map((e) => Date.parse(e.dateTime) / 1000)")
        assert starts == sorted(starts)
        expect(page.get_by_test_id("talk")).to_have_text("Stop")
