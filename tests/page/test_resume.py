"""The page across lost connections, in a real Chromium against the real server and model, through a proxy that cuts."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.cut_proxy import CutProxy
from tests.support.page import (
    HEARD_WITHIN_MS,
    Served,
    becomes,
    connection_is,
    final_texts,
    open_page,
    talk_is,
)
from tests.support.real import moonshine_asset
from tests.support.wer import BECKETT, word_error_rate

FINAL = "[data-testid=segment][data-final=true]"
LIVE = "[data-testid=segment][data-final=false]"


# How much of a file was played, in seconds; of less than a minute.
PLAYED_S = "Number(document.querySelector('#source').textContent.match(/· 0:(\\d+) of/)?.[1] ?? 0)"


def plays_to_the_end(page: Page) -> None:
    talk_is(page, "off")
    expect(page.get_by_test_id("state")).to_have_text("Idle", timeout=HEARD_WITHIN_MS)
    expect(page.locator(LIVE)).to_have_count(0, timeout=HEARD_WITHIN_MS)


@pytest.fixture(scope="module")
def undisturbed(server: Served, speech: Path) -> list[str]:
    """The finals of the recording over a connection that holds."""
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.locator("[name=file]").set_input_files(moonshine_asset("beckett.wav"))
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=HEARD_WITHIN_MS)
        plays_to_the_end(page)
        return final_texts(page)


@pytest.mark.contract("9.4", "11/28")
def test_a_file_whose_connection_breaks_in_mid_sentence_gives_the_same_text_to_the_letter(
    server: Served, speech: Path, undisturbed: list[str]
) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech) as page:
        connection_is(page, "Ready")
        page.locator("[name=file]").set_input_files(moonshine_asset("beckett.wav"))
        for second in (2, 5):  # a second loss costs nothing either: what was sent again is numbered on
            becomes(page, f"{PLAYED_S} >= {second}")
            proxy.swallow()  # sent, as far as the page knows
            becomes(page, f"{PLAYED_S} >= {second + 1}")
            proxy.cut()
            connection_is(page, "Reconnecting")
            proxy.mend()
            connection_is(page, "Ready")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=HEARD_WITHIN_MS)
        plays_to_the_end(page)
        assert final_texts(page) == undisturbed
        expect(page.get_by_test_id("unsent")).to_be_hidden()


@pytest.mark.contract("9.4", "11/28")
def test_a_microphone_goes_on_while_the_connection_is_lost_and_nothing_said_meanwhile_is(
    server: Served, speech: Path
) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(LIVE).locator(".segment-text:not(:empty)")).to_be_visible(timeout=HEARD_WITHIN_MS)
        segment = page.locator(LIVE).get_attribute("data-segment-id")
        proxy.swallow()
        proxy.cut()
        expect(page.get_by_test_id("kept")).to_have_text("Not connected: the last 10 s are kept")
        expect(page.get_by_test_id("notice")).to_contain_text("are kept for it")  # after some attempts that failed
        expect(page.locator(f"[data-segment-id='{segment}']")).to_have_attribute("data-phase", "live")
        proxy.mend()
        connection_is(page, "Ready")
        expect(page.get_by_test_id("kept")).to_be_hidden()
        talk_is(page, "live")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=HEARD_WITHIN_MS)
        page.get_by_test_id("talk").click()
        plays_to_the_end(page)
        # As over a connection that holds; which words are misheard hangs on when the microphone opens.
        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        expect(page.locator(".break")).to_have_count(0)
        expect(page.get_by_test_id("unsent")).to_be_hidden()
        ids = [int(i) for i in page.locator(FINAL).evaluate_all("all => all.map((e) => e.dataset.segmentId)")]
        assert ids == sorted(set(ids))
        expect(page.get_by_test_id("log-list")).to_contain_text("Connected again")


def test_stopping_while_the_connection_is_lost_still_gives_the_final_text(server: Served, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        live = page.locator(LIVE).locator(".segment-text:not(:empty)")
        expect(live).to_be_visible(timeout=HEARD_WITHIN_MS)
        proxy.cut()
        connection_is(page, "Reconnecting")
        page.get_by_test_id("talk").click()
        talk_is(page, "off")
        proxy.mend()
        expect(page.locator(FINAL).first).to_be_visible(timeout=HEARD_WITHIN_MS)
        expect(page.get_by_test_id("state")).to_have_text("Idle")
        expect(page.locator(LIVE)).to_have_count(0)
        expect(page.locator(".break")).to_have_count(0)


def test_a_server_that_forgot_the_session_gets_a_new_one_and_hears_what_was_said_meanwhile(
    tmp_path: Path, speech: Path
) -> None:
    with (
        Served(tmp_path / "output.txt", ["--resume-grace-s", "1"]) as server,
        CutProxy(server.port) as proxy,
        open_page(proxy.url, speech, repeat=True) as page,
    ):
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(FINAL).first).to_be_visible(timeout=HEARD_WITHIN_MS)
        expect(page.locator(LIVE).locator(".segment-text:not(:empty)")).to_be_visible(timeout=HEARD_WITHIN_MS)
        before = final_texts(page)
        proxy.cut()
        # The page calls its words lost once the server's time is over, and so does the server.
        expect(page.locator("[data-phase=lost]")).to_have_count(1, timeout=HEARD_WITHIN_MS)
        expect(page.locator("[data-phase=lost]")).to_contain_text("connection lost")
        proxy.mend()
        connection_is(page, "Ready")
        expect(page.locator(".break")).to_have_text("Connection restored")
        expect(page.get_by_test_id("unsent")).to_be_hidden()
        after = page.locator(".break ~ [data-testid=segment][data-final=true]")
        expect(after.first).to_be_visible(timeout=HEARD_WITHIN_MS)
        assert final_texts(page)[: len(before)] == before
        talk_is(page, "live")


def test_on_a_phone_what_is_kept_has_room(server: Served, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech, size=(360, 740)) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        talk_is(page, "live")
        proxy.cut()
        expect(page.get_by_test_id("kept")).to_be_visible()
        expect(page.get_by_test_id("notice")).to_contain_text("are kept for it")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        expect(page.get_by_test_id("talk")).to_be_in_viewport(ratio=1)
