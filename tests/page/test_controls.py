"""The page by keyboard, by touch, and for everybody, in a real Chromium against the real server."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, expect

from tests.support.page import HEARD_WITHIN_MS, ScriptedServer, Served, connection_is, open_page, setting, talk_is


def test_space_starts_and_stops_where_it_is_no_text(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.keyboard.press("Space")
        talk_is(page, "live")
        expect(page.get_by_test_id("source")).to_have_text("Fake Default Audio Input")
        page.keyboard.press("Space")
        talk_is(page, "off")
        page.get_by_test_id("talk").focus()
        page.keyboard.press("Space")
        talk_is(page, "live")
        page.keyboard.press("Enter")
        talk_is(page, "off")

        page.get_by_test_id("settings-open").click()
        page.get_by_label("Search the settings").fill("")
        page.keyboard.type("wake words")
        expect(page.get_by_label("Search the settings")).to_have_value("wake words")
        talk_is(page, "off")


def test_talking_can_last_as_long_as_it_is_held(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("sound-open").click()
        page.get_by_role("switch", name="Hold to talk").check()
        page.keyboard.press("Escape")
        expect(page.get_by_role("switch", name="Hold to talk")).to_be_hidden()  # until then keys are the panel's
        talk = page.get_by_test_id("talk")
        expect(talk).to_have_text("Hold to talk")

        page.keyboard.down("Space")
        page.keyboard.down("Space")  # as a held key repeats
        expect(talk).to_have_text("Let go to stop")
        page.keyboard.up("Space")
        talk_is(page, "off")

        talk.hover()
        page.mouse.down()
        talk_is(page, "live")
        page.mouse.move(5, 5)
        talk_is(page, "live")
        page.mouse.up()
        talk_is(page, "off")

        # Who cannot hold, such as a screen reader's click, toggles.
        talk.evaluate("button => button.click()")
        talk_is(page, "live")
        talk.evaluate("button => button.click()")
        talk_is(page, "off")

        page.reload()
        expect(talk).to_have_text("Hold to talk")


def test_nothing_on_the_page_breaks_the_rules_that_the_server_sets_for_it(server: Served, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        complaints: list[str] = []

        def note(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                complaints.append(message.text)

        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", note)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        answer = page.goto(server.url)
        assert answer
        assert "script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=HEARD_WITHIN_MS)
        page.get_by_test_id("talk").click()
        for panel in ("sound", "settings"):
            page.get_by_test_id(f"{panel}-open").click()
            expect(page.get_by_test_id(panel)).to_be_visible()
            page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("lane")).to_be_visible()
        assert complaints == []
        assert [url for url in requests if not url.startswith(server.url)] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_axe_finds_nothing(server: Served, speech: Path, theme: str, width: int) -> None:
    def judge(what: str) -> None:
        found = axe.run(page)
        assert found.violations_count == 0, f"{what}: {found.generate_report()}"

    axe = Axe()
    with open_page("about:blank", speech) as page:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(server.url)
        connection_is(page, "Ready")
        judge("welcome")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=HEARD_WITHIN_MS)
        judge("talking")
        page.get_by_test_id("sound-open").click()
        judge("sound")
        page.keyboard.press("Escape")
        page.get_by_test_id("settings-open").click()
        setting(page, "webrtc_sensitivity").get_by_role("textbox").fill("9")
        page.keyboard.press("Enter")
        expect(setting(page, "webrtc_sensitivity").get_by_role("status")).to_be_visible()
        judge("settings")
        page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("session").first).to_be_visible()
        judge("operations")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# What has the focus, and whether people see that it has.
FOCUSED = """() => {
  const it = document.activeElement;
  const [seen] = [it, it.parentElement, it.closest('form') ?? it].map((e) => getComputedStyle(e))
    .filter((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
  const label = it.getAttribute('aria-label') ?? it.textContent;
  return [it.id || label.trim(), seen !== undefined];
}"""
STOPS = [
    *("Talk", "Operations", "settings-open"),
    *("search-input", "copy", "save", "clear", "talk", "sound-open"),
    *("Timeline", "30 seconds", "timeline-plot", "Figures", "Events"),
    *("Speech", "Wake words", "Problems", "Connection", "Details", "log-list"),
]


def test_the_tab_key_reaches_everything_in_the_order_of_reading_and_shows_where_it_is(
    server: Served, speech: Path
) -> None:
    with open_page("about:blank", speech, size=(1600, 1000)) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        connection_is(page, "Ready")
        scripted.final(1, "Some words.")
        expect(page.get_by_test_id("copy")).to_be_enabled()
        reached = []
        for _ in STOPS:
            page.keyboard.press("Tab")
            stop, is_seen = page.evaluate(FOCUSED)
            reached.append(stop)
            assert is_seen, stop
        assert reached == STOPS


def test_a_panel_keeps_the_focus_and_gives_it_back(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
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


def test_nothing_moves_for_who_asked_for_less_motion(server: Served, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        connection_is(page, "Ready")
        scripted.partial(1, 1, "still", " talking")
        expect(page.get_by_test_id("segment")).to_be_visible()
        assert page.evaluate("document.getAnimations().length") > 0  # the caret breathes
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.contract("9.5")
def test_finals_only_are_read_aloud(server: Served, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        scripted = ScriptedServer(page)
        page.goto(server.url)
        connection_is(page, "Ready")
        aloud = page.locator("#announcement")
        scripted.partial(1, 1, "please", " look")
        expect(page.locator(".segment-text")).to_have_text("please look")
        expect(aloud).to_have_text("")
        scripted.final(1, "Please book.")
        expect(aloud).to_have_text("Please book.")
        assert page.get_by_test_id("transcript").evaluate("e => e.closest('[aria-live], [role=log]')") is None
