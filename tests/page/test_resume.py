"""Lost connections and resume, in a real Chromium against the real server, through a proxy that cuts connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.cut_proxy import CutProxy
from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ServerProcess,
    expect_connection,
    expect_talk,
    final_texts,
    open_page,
    request_json,
    wait_until,
)
from tests.support.real import moonshine_asset
from tests.support.wer import BECKETT, word_error_rate

FINAL = "[data-testid=segment][data-final=true]"
LIVE = "[data-testid=segment][data-final=false]"

# A server without uploads: the page plays a file as if it were spoken.
UPLOADS = "**/v1/audio/transcriptions"


def refuse_upload(route: Route) -> None:
    route.fulfill(status=404, json={})


# Seconds played of a file shorter than a minute.
PLAYED_S = "Number(document.querySelector('#source').textContent.match(/· 0:(\\d+) of/)?.[1] ?? 0)"


def expect_end(page: Page) -> None:
    expect_talk(page, "off")
    expect(page.get_by_test_id("state")).to_have_text("Ready", timeout=SPEECH_TIMEOUT_MS)
    expect(page.locator(LIVE)).to_have_count(0, timeout=SPEECH_TIMEOUT_MS)


@pytest.fixture(scope="module")
def texts_without_loss(server: ServerProcess, speech: Path) -> list[str]:
    """Final texts of the recording over a connection without losses."""
    with open_page("about:blank", speech) as page:
        page.route(UPLOADS, refuse_upload)
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.locator("[name=file]").set_input_files(moonshine_asset("beckett.wav"))
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect_end(page)
        return final_texts(page)


@pytest.mark.contract("9.4", "11/28")
def test_file_over_broken_connection_gives_identical_text(
    server: ServerProcess, speech: Path, texts_without_loss: list[str]
) -> None:
    with CutProxy(server.port) as proxy, open_page("about:blank", speech) as page:
        page.route(UPLOADS, refuse_upload)
        page.goto(proxy.url)
        expect_connection(page, "Ready")
        page.locator("[name=file]").set_input_files(moonshine_asset("beckett.wav"))
        for second in (2, 5):  # after the first loss, numbering continues
            wait_until(page, f"{PLAYED_S} >= {second}")
            proxy.discard_uploads()  # for the page, the audio is sent
            wait_until(page, f"{PLAYED_S} >= {second + 1}")
            proxy.cut()
            expect_connection(page, "Reconnecting")
            proxy.restore()
            expect_connection(page, "Ready")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect_end(page)
        assert final_texts(page) == texts_without_loss
        expect(page.get_by_test_id("unsent")).to_be_hidden()


@pytest.mark.contract("9.4", "11/28")
def test_speech_during_a_loss_is_transcribed_after_resume(server: ServerProcess, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(LIVE).first).to_be_attached(timeout=SPEECH_TIMEOUT_MS)
        segment = page.locator(LIVE).last.get_attribute("data-segment-id")
        proxy.discard_uploads()
        proxy.cut()
        expect(page.get_by_test_id("buffering")).to_have_text("Not connected: the last 10 s are kept")
        expect(page.get_by_test_id("notice")).to_contain_text("are kept and sent later")  # after some failed attempts
        expect(page.locator(f"[data-segment-id='{segment}']")).to_have_attribute("data-phase", "live")
        proxy.restore()
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("buffering")).to_be_hidden()
        expect_talk(page, "live")
        expect(page.locator(FINAL).filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        expect_end(page)
        # The limit is that of a connection without losses; errors vary with the moment when the microphone opens.
        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        expect(page.locator(".break")).to_have_count(0)
        expect(page.get_by_test_id("unsent")).to_be_hidden()
        ids = [int(i) for i in page.locator(FINAL).evaluate_all("all => all.map((e) => e.dataset.segmentId)")]
        assert ids == sorted(set(ids))
        expect(page.get_by_test_id("log-list")).to_contain_text("Reconnected")


def test_stop_during_a_loss_still_gives_final(server: ServerProcess, speech: Path) -> None:
    # Under load, a short sentence may get its final text without live text before.
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech, repeat=True) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(LIVE).first).to_be_attached(timeout=SPEECH_TIMEOUT_MS)
        proxy.cut()
        expect_connection(page, "Reconnecting")
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        proxy.restore()
        expect_end(page)
        expect(page.locator(FINAL).first).to_be_visible()
        expect(page.locator(".break")).to_have_count(0)


@pytest.fixture
def short_grace(server: ServerProcess) -> Iterator[None]:
    """The server keeps new sessions for a second after their connection broke."""
    default = request_json(server, "api/config")["settings"]["resume_grace_s"]
    request_json(server, "api/config", {"resume_grace_s": 1})
    yield
    request_json(server, "api/config", {"resume_grace_s": default})


@pytest.mark.usefixtures("short_grace")
def test_expired_session_is_replaced_and_gets_buffered_audio(server: ServerProcess, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech, repeat=True) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator(FINAL).first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        # The page must have live words when the connection breaks: no final text may follow them.
        proxy.hold_downloads_after(lambda data: data.rfind(b'"type":"realtime"') > data.rfind(b'"type":"final"'))
        expect(page.locator(LIVE).locator(".segment-text:not(:empty)").last).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        proxy.cut()
        before = final_texts(page)
        # After the grace period, the page marks its live words as lost.
        expect(page.locator("[data-phase=lost]").last).to_contain_text("connection lost", timeout=SPEECH_TIMEOUT_MS)
        proxy.restore()
        expect_connection(page, "Ready")
        expect(page.locator(".break")).to_have_text("Connection restored")
        expect(page.get_by_test_id("unsent")).to_be_hidden()
        after = page.locator(".break ~ .paragraph [data-testid=segment][data-final=true]")
        expect(after.first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        expect(page.locator("[data-phase=lost]")).to_have_count(0)  # their audio was sent again
        assert final_texts(page)[: len(before)] == before
        expect_talk(page, "live")


def test_buffering_chip_fits_on_phone(server: ServerProcess, speech: Path) -> None:
    with CutProxy(server.port) as proxy, open_page(proxy.url, speech, size=(360, 740)) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect_talk(page, "live")
        proxy.cut()
        expect(page.get_by_test_id("buffering")).to_be_visible()
        expect(page.get_by_test_id("notice")).to_contain_text("are kept and sent later")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        expect(page.get_by_test_id("talk")).to_be_in_viewport(ratio=1)
