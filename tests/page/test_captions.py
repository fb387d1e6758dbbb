"""The captions view, in a real Chromium against the real server."""

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ScriptedServer,
    ServerProcess,
    expect_connection,
    expect_talk,
    open_page,
)

QUERY = "captions?start=1&lines=2&size=5&position=top&align=left&color=rgb(255,0,0)&background=transparent&hold=0"


def test_captions_show_words_of_this_page_or_a_talk_page(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.goto(server.url + QUERY)
        expect(page.get_by_test_id("captions")).to_contain_text("tried", ignore_case=True, timeout=SPEECH_TIMEOUT_MS)
        box = page.get_by_test_id("captions").bounding_box()
        assert box
        assert box["y"] < 50
        assert round(box["height"]) == round(2 * 1.35 * 0.05 * 1280)
        shown = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert shown == ["rgb(255, 0, 0)", "rgba(0, 0, 0, 0)"]
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        page.goto(f"{server.url}captions")
        expect(page.get_by_test_id("message")).to_be_empty()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()

        full_screen = page.get_by_test_id("full-screen")
        full_screen.click()
        expect(full_screen).to_have_text("End full screen")
        full_screen.click()
        expect(full_screen).to_have_text("Full screen")

        talk = page.context.new_page()
        scripted = ScriptedServer(talk)
        talk.goto(server.url)
        expect_connection(talk, "Ready")
        expect(talk.get_by_role("link", name="Captions")).to_have_attribute("href", "captions")
        scripted.final(1, "Said on the other page.")
        scripted.partial(2, 1, "and", " then")
        expect(page.locator(".lines")).to_have_text("Said on the other page. and then")
