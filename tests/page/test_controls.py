"""Keyboard, touch and accessibility of the page, in a real Chromium against the real server."""

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, expect

from tests.support.page import (
    SPEECH_TIMEOUT_MS,
    ScriptedServer,
    ServerProcess,
    expect_connection,
    expect_talk,
    open_page,
    setting,
    wait_until,
)


def test_space_bar_toggles_talking_outside_text_fields(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.keyboard.press("Space")
        expect_talk(page, "live")
        expect(page.get_by_test_id("source")).to_have_text("Fake Default Audio Input")
        page.keyboard.press("Space")
        expect_talk(page, "off")
        page.get_by_test_id("talk").focus()
        page.keyboard.press("Space")
        expect_talk(page, "live")
        page.keyboard.press("Enter")
        expect_talk(page, "off")

        page.get_by_test_id("settings-open").click()
        page.get_by_label("Search the settings").fill("")
        page.keyboard.type("wake words")
        expect(page.get_by_label("Search the settings")).to_have_value("wake words")
        expect_talk(page, "off")


def test_hold_mode_talks_while_button_or_key_is_held(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("audio-open").click()
        page.get_by_role("switch", name="Hold to talk").check()
        page.keyboard.press("Escape")
        expect(page.get_by_role("switch", name="Hold to talk")).to_be_hidden()  # an open panel gets the keys
        talk = page.get_by_test_id("talk")
        expect(talk).to_have_text("Hold to talk")

        page.keyboard.down("Space")
        page.keyboard.down("Space")  # a held key repeats
        expect(talk).to_have_text("Release to stop")
        page.keyboard.up("Space")
        expect_talk(page, "off")

        talk.hover()
        page.mouse.down()
        expect_talk(page, "live")
        page.mouse.move(5, 5)
        expect_talk(page, "live")
        page.mouse.up()
        expect_talk(page, "off")

        # A click without a pointer, such as a screen reader's, cannot hold and toggles.
        talk.evaluate("button => button.click()")
        expect_talk(page, "live")
        talk.evaluate("button => button.click()")
        expect_talk(page, "off")

        page.reload()
        expect(talk).to_have_text("Hold to talk")


def test_page_complies_with_its_content_security_policy(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        problems: list[str] = []

        def record(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                problems.append(message.text)

        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", record)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        answer = page.goto(server.url)
        assert answer
        assert "script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        for panel in ("audio", "settings"):
            page.get_by_test_id(f"{panel}-open").click()
            expect(page.get_by_test_id(panel)).to_be_visible()
            page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("lane")).to_be_visible()
        assert problems == []
        assert [url for url in requests if not url.startswith(server.url)] == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_page_is_accessible(server: ServerProcess, speech: Path, theme: Literal["light", "dark"]) -> None:
    def check(state: str) -> None:
        for width in (390, 900, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            found = axe.run(page)
            assert found.violations_count == 0, f"{state}, {width} px: {found.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{state}, {width} px"
        page.emulate_media(color_scheme=other, reduced_motion="reduce")
        found = axe.run(page)
        assert found.violations_count == 0, f"{state}, {other}: {found.generate_report()}"
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")

    axe = Axe()
    other: Literal["light", "dark"] = "light" if theme == "dark" else "dark"
    with open_page("about:blank", speech) as page:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.goto(server.url)
        expect_connection(page, "Ready")
        check("welcome")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("details").click()
        check("talking")
        page.get_by_test_id("audio-open").click()
        check("audio")
        page.keyboard.press("Escape")
        page.get_by_test_id("settings-open").click()
        setting(page, "webrtc_sensitivity").get_by_role("textbox").fill("9")
        page.keyboard.press("Enter")
        expect(setting(page, "webrtc_sensitivity").get_by_role("status")).to_be_visible()
        check("settings")
        page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("session").first).to_be_visible()
        page.get_by_test_id("explain").click()
        check("operations")


# The focused element, and whether it has a visible outline.
FOCUSED = """() => {
  const it = document.activeElement;
  const [outlined] = [it, it.parentElement, it.closest('form') ?? it].map((e) => getComputedStyle(e))
    .filter((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
  const label = it.getAttribute('aria-label') ?? it.textContent;
  return [it.id || label.trim(), outlined !== undefined];
}"""
STOPS = [
    *("Talk", "Operations", "Captions", "settings-open"),
    *("search-input", "details", "copy", "save", "clear", "talk", "audio-open"),
    *("Timeline", "30 seconds", "timeline-plot", "Stats", "Events"),
    *("Speech", "Problems", "Connection", "Details", "log-list"),
]


def test_tab_key_reaches_everything_in_reading_order_with_visible_focus(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech, size=(1600, 1000)) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        scripted.final(1, "Some words.")
        expect(page.get_by_test_id("copy")).to_be_enabled()
        reached = []
        for _ in STOPS:
            page.keyboard.press("Tab")
            stop, is_outlined = page.evaluate(FOCUSED)
            reached.append(stop)
            assert is_outlined, stop
        assert reached == STOPS


def test_panel_traps_focus_and_restores_it(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("settings-open").focus()
        page.keyboard.press("Enter")
        expect(setting(page, "max_sessions")).to_be_visible()
        for _ in range(4):
            assert page.evaluate("document.activeElement.closest('dialog')?.id") == "settings"
            page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("settings-open")).to_be_focused()
        page.keyboard.press("/")
        expect(page.get_by_test_id("settings-open")).to_be_focused()  # there is no transcript to search yet


def test_reduced_motion_stops_animations(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        scripted.partial(1, 1, "still", " talking")
        expect(page.get_by_test_id("segment")).to_be_visible()
        assert page.evaluate("document.getAnimations().length") > 0  # the caret pulses
        page.emulate_media(reduced_motion="reduce")
        wait_until(page, "document.getAnimations().length === 0")


@pytest.mark.contract("9.5")
def test_only_finals_are_announced(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        expect_connection(page, "Ready")
        announcement = page.locator("#announcement")
        scripted.partial(1, 1, "please", " look")
        expect(page.locator(".segment-text")).to_have_text("please look")
        expect(announcement).to_have_text("")
        scripted.final(1, "Please book.")
        expect(announcement).to_have_text("Please book.")
        assert page.get_by_test_id("transcript").evaluate("e => e.closest('[aria-live], [role=log]')") is None
