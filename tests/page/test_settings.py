"""Settings and operations on the page, in a real Chromium against the real server."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.page import SPEECH_TIMEOUT_MS, ServerProcess, expect_connection, open_page, request_json, setting


def test_valid_change_applies_and_rejected_one_explains_itself(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("settings-open").click()
        panel = page.get_by_test_id("settings")
        apply = panel.get_by_role("button", name="Apply")
        expect(setting(page, "max_sessions").get_by_role("textbox")).to_have_value("32")
        expect(apply).to_be_disabled()

        setting(page, "max_sessions").get_by_role("textbox").fill("31")
        setting(page, "webrtc_sensitivity").get_by_role("textbox").fill("9")
        expect(setting(page, "webrtc_sensitivity")).to_contain_text("A whole number: 0 to 3.")  # as it is typed
        expect(setting(page, "record_max_mb")).to_contain_text("Most space for recordings (MB)")
        expect(apply).to_have_text("Apply 2 changes")
        page.keyboard.press("Enter")
        expect(setting(page, "max_sessions")).to_contain_text("Applied at once.")
        rejected = setting(page, "webrtc_sensitivity")
        expect(rejected.get_by_role("status")).to_contain_text("9 is not allowed; expected less than or equal to 3")
        expect(rejected.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
        expect(rejected.get_by_role("textbox")).to_be_focused()
        expect(rejected.get_by_role("textbox")).to_have_value("9")
        expect(panel.get_by_test_id("settings-status")).to_have_text("1 applied, 1 rejected.")
        settings = request_json(server, "api/config")["settings"]
        assert (settings["max_sessions"], settings["webrtc_sensitivity"]) == (31, 3)

        panel.get_by_role("button", name="Discard").click()
        expect(rejected.get_by_role("textbox")).to_have_value("3")
        expect(apply).to_be_disabled()
        panel.get_by_role("button", name="Use the default of Most sessions").click()
        apply.click()
        expect(panel.get_by_test_id("settings-status")).to_have_text("1 applied.")
        assert request_json(server, "api/config")["settings"]["max_sessions"] == 32


def test_panel_has_every_setting_and_finds_it(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        page.get_by_test_id("settings-open").click()
        fields = page.locator("[data-setting]")
        expect(page.locator("#settings h3").first).to_have_text("This browser")
        expect(page.locator("#settings h3").nth(1)).to_have_text("For talking")
        expect(fields.first).to_have_attribute("data-setting", "language")
        schema = request_json(server, "api/config")["schema"]
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
        page.get_by_label("Filter settings").select_option("activeSessionSafe")
        names = shown.evaluate_all("fields => fields.map((f) => f.dataset.setting)")
        assert sorted(names) == request_json(server, "api/config")["runtimeSettings"]["activeSessionSafe"]
        page.get_by_label("Filter settings").select_option("changed")
        expect(setting(page, "port")).to_be_visible()
        expect(setting(page, "language")).to_be_hidden()


@pytest.mark.contract("9.6")
def test_new_session_gets_settings_for_new_sessions(server: ServerProcess, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        expect_connection(page, "Ready")
        page.get_by_test_id("settings-open").click()
        setting(page, "wake_words").get_by_role("textbox").fill("jarvis")
        page.get_by_test_id("settings").get_by_role("button", name="Apply").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("has no effect while wakeword_backend is empty")
        expect(setting(page, "wake_words")).to_contain_text("Applied to new sessions.")
        frames: list[str] = []
        page.on("websocket", lambda opened: opened.on("framereceived", lambda frame: frames.append(str(frame))))
        page.get_by_role("button", name="Start a new session").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("New session started")
        expect_connection(page, "Ready")
        hello = json.loads(frames[0])
        assert (hello["type"], hello["settings"]["wake_words"]) == ("hello", "jarvis")
        request_json(server, "api/config", {"wake_words": ""})


def test_operations_show_session_and_lane_and_poll_only_while_visible(server: ServerProcess, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url) if "/api/metrics" in request.url else None)
        page.clock.install()
        page.goto(server.url)
        expect_connection(page, "Ready")
        page.clock.run_for(20_000)
        assert requests == []

        page.get_by_test_id("operations-open").click()
        own = page.get_by_test_id("session").filter(has_text="this page")
        expect(own).to_have_count(1)
        name = own.locator("code").inner_text()
        assert any(session_id.startswith(name) for session_id in request_json(server, "api/metrics")["sessions"])
        lane = page.get_by_test_id("lane")
        expect(lane).to_have_count(1)
        expect(lane).to_contain_text("sherpa_onnx_moonshine · moonshine-tiny-en · cpu")
        expect(lane).to_contain_text("Ready")
        expect(page.get_by_test_id("operations")).to_contain_text("1 of 32")
        expect(lane).to_contain_text("Workers")
        expect(page.get_by_test_id("operations")).to_contain_text("Up for")
        memory = page.get_by_test_id("hour").get_by_role("img", name="Memory over the last hour")
        expect(memory).to_have_attribute("aria-label", re.compile(r"at most [\d,]{3,} MB$"))
        refused = page.get_by_text("Refused clients").locator("..")
        expect(refused).to_have_attribute("title", re.compile("since the start"))
        # A finger or a keyboard cannot hover.
        expect(refused).not_to_contain_text("since the start", use_inner_text=True)
        page.get_by_test_id("explain").press("Enter")
        expect(refused).to_contain_text("since the start", use_inner_text=True)
        clients = page.get_by_test_id("dialect").filter(has_text="This page")
        expect(clients.get_by_role("cell").nth(1)).to_have_text(re.compile(r"^[1-9]"))
        expect(page.get_by_test_id("talk")).to_be_hidden()
        queue = lane.get_by_role("img", name="Queue over the last two minutes").locator("polyline")
        expect(queue).to_have_attribute("points", re.compile(r"(\S+ ){2,}\S+"), timeout=SPEECH_TIMEOUT_MS)

        page.get_by_role("link", name="Talk").click()
        expect(page.get_by_test_id("talk")).to_be_visible()
        count = len(requests)
        page.clock.run_for(20_000)
        assert len(requests) == count


@pytest.mark.contract("9.4")
def test_full_server_is_reported_until_there_is_room(server: ServerProcess, speech: Path) -> None:
    request_json(server, "api/config", {"max_sessions": 1})
    try:
        with open_page(server.url, speech) as first:
            expect_connection(first, "Ready")
            second = first.context.new_page()
            second.goto(server.url)
            expect_connection(second, "Server full")
            expect(second.get_by_test_id("notice")).to_contain_text("The server is full.")
            first.close()
            second.get_by_role("button", name="Try now").click()
            expect_connection(second, "Ready")
            expect(second.get_by_test_id("notice")).to_have_count(0)
    finally:
        request_json(server, "api/config", {"max_sessions": 32})


@pytest.mark.contract("9.5", "11/28")
def test_failed_engine_is_reported_on_page_and_in_operations(tmp_path: Path, speech: Path) -> None:
    with (
        ServerProcess(tmp_path / "output.txt", ["--realtime-model", str(tmp_path / "nothing")]) as broken,
        open_page(broken.url, speech) as page,
    ):
        expect_connection(page, "Engine failed")
        expect(page.get_by_test_id("notice")).to_contain_text("The engine for live words failed to start")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("lane").nth(1)).to_contain_text("Failed")
        expect(page.get_by_test_id("operations").get_by_role("status")).to_contain_text("An engine failed:")
