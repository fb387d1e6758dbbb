"""Settings and operations on the page, in a real Chromium against the real server."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.page import HEARD_WITHIN_MS, Served, asked, connection_is, open_page, setting


def test_a_change_of_settings_applies_and_a_refused_one_says_why_beside_its_field(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("settings-open").click()
        panel = page.get_by_test_id("settings")
        apply = panel.get_by_role("button", name="Apply")
        expect(setting(page, "max_sessions").get_by_role("textbox")).to_have_value("32")
        expect(apply).to_be_disabled()

        setting(page, "max_sessions").get_by_role("textbox").fill("31")
        setting(page, "webrtc_sensitivity").get_by_role("textbox").fill("9")
        expect(apply).to_have_text("Apply 2 changes")
        page.keyboard.press("Enter")
        expect(setting(page, "max_sessions")).to_contain_text("Applied at once.")
        refused = setting(page, "webrtc_sensitivity")
        expect(refused.get_by_role("status")).to_contain_text("9 is not allowed; expected less than or equal to 3")
        expect(refused.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
        expect(refused.get_by_role("textbox")).to_be_focused()
        expect(refused.get_by_role("textbox")).to_have_value("9")
        expect(panel.get_by_test_id("settings-status")).to_have_text("1 applied, 1 refused.")
        settings = asked(server, "api/config")["settings"]
        assert (settings["max_sessions"], settings["webrtc_sensitivity"]) == (31, 3)

        panel.get_by_role("button", name="Discard").click()
        expect(refused.get_by_role("textbox")).to_have_value("3")
        expect(apply).to_be_disabled()
        panel.get_by_role("button", name="Use the default of Max sessions").click()
        apply.click()
        expect(panel.get_by_test_id("settings-status")).to_have_text("1 applied.")
        assert asked(server, "api/config")["settings"]["max_sessions"] == 32


def test_every_public_setting_is_in_the_panel_and_is_found(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        page.get_by_test_id("settings-open").click()
        fields = page.locator("[data-setting]")
        schema = asked(server, "api/config")["schema"]
        expect(fields).to_have_count(len(schema))
        assert set(fields.evaluate_all("fields => fields.map((f) => f.dataset.setting)")) == set(schema)
        fixed = setting(page, "model")
        expect(fixed.get_by_role("textbox")).to_have_count(0)
        expect(fixed).to_contain_text("--model")

        shown = page.locator("[data-setting]:visible")
        page.get_by_label("Search the settings").fill("wake timeout")
        expect(shown).to_have_count(1)
        expect(shown).to_have_attribute("data-setting", "wake_word_timeout")
        page.get_by_label("Search the settings").fill("")
        page.get_by_label("Which settings").select_option("activeSessionSafe")
        names = shown.evaluate_all("fields => fields.map((f) => f.dataset.setting)")
        assert sorted(names) == asked(server, "api/config")["runtimeSettings"]["activeSessionSafe"]
        page.get_by_label("Which settings").select_option("changed")
        expect(setting(page, "port")).to_be_visible()
        expect(setting(page, "language")).to_be_hidden()


@pytest.mark.contract("9.6")
def test_what_holds_for_new_sessions_holds_for_this_page_once_it_begins_one(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("settings-open").click()
        setting(page, "wake_words").get_by_role("textbox").fill("jarvis")
        page.get_by_test_id("settings").get_by_role("button", name="Apply").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("has no effect while wakeword_backend is empty")
        expect(setting(page, "wake_words")).to_contain_text("Applied to new sessions.")
        frames: list[str] = []
        page.on("websocket", lambda opened: opened.on("framereceived", lambda frame: frames.append(str(frame))))
        page.get_by_role("button", name="Begin a new session").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("Connected anew")
        connection_is(page, "Ready")
        hello = json.loads(frames[0])
        assert (hello["type"], hello["settings"]["wake_words"]) == ("hello", "jarvis")
        asked(server, "api/config", {"wake_words": ""})


def test_operations_show_this_session_and_its_lane_and_ask_only_while_they_are_shown(
    server: Served, speech: Path
) -> None:
    with open_page("about:blank", speech) as page:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url) if "/api/metrics" in request.url else None)
        page.clock.install()
        page.goto(server.url)
        connection_is(page, "Ready")
        page.clock.run_for(20_000)
        assert requests == []

        page.get_by_test_id("operations-open").click()
        own = page.get_by_test_id("session").filter(has_text="this page")
        expect(own).to_have_count(1)
        name = own.locator("code").inner_text()
        assert any(session_id.startswith(name) for session_id in asked(server, "api/metrics")["sessions"])
        lane = page.get_by_test_id("lane")
        expect(lane).to_have_count(1)
        expect(lane).to_contain_text("sherpa_onnx_moonshine · moonshine-tiny-en · cpu")
        expect(lane).to_contain_text("Ready")
        expect(page.get_by_test_id("operations")).to_contain_text("1 of 32")
        expect(page.get_by_test_id("talk")).to_be_hidden()
        queue = lane.get_by_role("img", name="Queue over the last two minutes").locator("polyline")
        expect(queue).to_have_attribute("points", re.compile(r"(\S+ ){2,}\S+"), timeout=HEARD_WITHIN_MS)

        page.get_by_role("link", name="Talk").click()
        expect(page.get_by_test_id("talk")).to_be_visible()
        asked_until_now = len(requests)
        page.clock.run_for(20_000)
        assert len(requests) == asked_until_now


@pytest.mark.contract("9.4")
def test_a_full_server_is_told_and_the_page_gets_in_when_there_is_room(server: Served, speech: Path) -> None:
    asked(server, "api/config", {"max_sessions": 1})
    try:
        with open_page(server.url, speech) as first:
            connection_is(first, "Ready")
            second = first.context.new_page()
            second.goto(server.url)
            connection_is(second, "Server full")
            expect(second.get_by_test_id("notice")).to_contain_text("The server is full.")
            first.close()
            second.get_by_role("button", name="Try now").click()
            connection_is(second, "Ready")
            expect(second.get_by_test_id("notice")).to_have_count(0)
    finally:
        asked(server, "api/config", {"max_sessions": 32})


@pytest.mark.contract("9.5", "11/28")
def test_an_engine_that_failed_is_told_on_the_page_and_among_operations(tmp_path: Path, speech: Path) -> None:
    with (
        Served(tmp_path / "output.txt", ["--model", str(tmp_path / "nothing")]) as broken,
        open_page(broken.url, speech) as page,
    ):
        connection_is(page, "Engine failed")
        expect(page.get_by_test_id("notice")).to_contain_text("The speech engine failed to start")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("lane")).to_contain_text("Failed")
        expect(page.get_by_test_id("operations").get_by_role("status")).to_contain_text("An engine failed:")
