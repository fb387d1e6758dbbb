"""What people press and set, in a real Chromium against the real server: sources of sound, settings, operations."""

import base64
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.support.page import HEARD_WITHIN_MS, Served, connection_is, final_texts, for_microphone, open_page
from tests.support.real import moonshine_asset
from tests.support.wer import BECKETT, word_error_rate

# Drops a file on the page as a person's drag would: through the events of the window.
DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""
KEEP_TRACKS = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await ask(constraints);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
"""


REFUSE = """(name) => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); };
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server") / "output.txt") as served:
        yield served


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return for_microphone(tmp_path_factory.mktemp("speech") / "speech.wav", "beckett.wav")


def asked(server: Served, path: str, changes: dict[str, Any] | None = None) -> Any:
    body = None if changes is None else json.dumps(changes).encode()
    request = urllib.request.Request(  # noqa: S310 - the url is our own
        f"{server.url}{path}",
        body,
        {"Content-Type": "application/json"},
        method="GET" if body is None else "PATCH",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        return json.load(answer)


def setting(page: Page, name: str) -> Locator:
    return page.locator(f"[data-setting={name}]")


def talk_is(page: Page, phase: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-talk", phase)


def becomes(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own `wait_for_function` needs what the page's policy forbids."""
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {HEARD_WITHIN_MS}, new Error('it did not happen'));
      const look = () => ({condition}) ? done() : requestAnimationFrame(look);
      look();
    }})""")


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(content).decode()])


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


def test_what_holds_for_new_sessions_holds_for_this_page_once_it_begins_one(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("settings-open").click()
        setting(page, "wake_words").get_by_role("textbox").fill("jarvis")
        page.get_by_test_id("settings").get_by_role("button", name="Apply").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("stays inactive while wakeword_backend is empty")
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


def test_a_file_that_is_dropped_is_streamed_and_becomes_finals(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        drop(page, "beckett.wav", moonshine_asset("beckett.wav").read_bytes())
        talk_is(page, "live")
        expect(page.get_by_test_id("source")).to_contain_text("beckett.wav · 0:0")
        talk_is(page, "live")
        expect(page.get_by_test_id("talk")).to_have_text("Talk", timeout=HEARD_WITHIN_MS)  # by itself, at its end
        expect(page.get_by_test_id("state")).to_have_text("Idle")
        expect(page.locator("[data-testid=segment][data-final=false]")).to_have_count(0)
        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        expect(page.get_by_test_id("source")).to_have_text("The space bar starts and stops")
        expect(page.get_by_test_id("unsent")).to_be_hidden()

        # Who looks at the operations meanwhile comes back to where they were reading.
        page.set_viewport_size({"width": 400, "height": 400})
        becomes(page, "scrollY > 100")
        page.evaluate("scrollTo(0, 40)")
        expect(page.get_by_test_id("newest")).to_be_visible()
        # By script, as Playwright scrolls a little before it clicks.
        page.get_by_test_id("operations-open").evaluate("link => link.click()")
        expect(page.get_by_test_id("lane")).to_be_visible()
        page.get_by_role("link", name="Talk").evaluate("link => link.click()")
        becomes(page, "scrollY === 40")


def test_what_is_no_sound_is_told(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        page.locator("input[type=file]").set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no sound at all"}
        )
        expect(page.get_by_test_id("notice")).to_contain_text("could not be read as sound")
        talk_is(page, "off")


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ("Object.defineProperty(window, 'isSecureContext', { value: false })", "secure pages only"),
        ("delete window.AudioWorkletNode", "lacks AudioWorklet"),
    ],
    ids=["no HTTPS", "no AudioWorklet"],
)
def test_without_what_it_needs_the_page_says_so_at_once_and_still_takes_files(
    server: Served, speech: Path, lacking: str, sentence: str
) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(lacking)
        page.goto(server.url)
        connection_is(page, "Ready")
        expect(page.get_by_test_id("notice")).to_contain_text(sentence)
        page.get_by_test_id("talk").click()
        talk_is(page, "off")
        drop(page, "beckett.wav", moonshine_asset("beckett.wav").read_bytes())
        talk_is(page, "live")
        page.get_by_test_id("talk").click()
        talk_is(page, "off")


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ("NotFoundError", "No microphone was found."),
        ("NotAllowedError", "The microphone is blocked for this page."),
        ("NotReadableError", "Another program may be using it."),
        ("UnknownError", "The sound could not be opened."),
    ],
)
def test_a_microphone_that_the_browser_does_not_give_is_told_with_what_to_do(
    server: Served, speech: Path, refusal: str, sentence: str
) -> None:
    with open_page(server.url, speech) as page:
        page.evaluate(REFUSE, refusal)
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("notice")).to_contain_text(sentence)
        talk_is(page, "off")
        page.reload()
        page.get_by_test_id("talk").click()
        talk_is(page, "live")


def test_the_sound_of_a_tab_is_streamed_until_nobody_shares_it_any_more(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.evaluate(KEEP_TRACKS.replace("getUserMedia", "getDisplayMedia"))
        page.get_by_test_id("sound-open").click()
        page.get_by_role("button", name="Share a tab or the screen").click()
        talk_is(page, "live")
        expect(page.get_by_test_id("sound")).to_be_hidden()
        expect(page.get_by_test_id("source")).to_have_text("Shared sound")
        expect(page.get_by_test_id("state")).not_to_have_text("Idle")
        page.evaluate("for (const track of tracks) { track.stop(); track.dispatchEvent(new Event('ended')); }")
        talk_is(page, "off")
        expect(page.get_by_test_id("notice")).to_contain_text("Nothing is shared any more.")
        expect(page.get_by_test_id("state")).to_have_text("Idle")


def test_a_microphone_that_is_unplugged_gives_way_to_the_one_that_is_left(server: Served, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(KEEP_TRACKS)
        page.goto(server.url)
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        talk_is(page, "live")
        page.evaluate("window.tracks[0].stop(); window.tracks[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_test_id("notice")).to_contain_text("You are now heard through Fake Default Audio Input.")
        talk_is(page, "live")
        assert page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended", "live"]


def test_how_the_microphone_is_treated_changes_while_talking(server: Served, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        page.add_init_script(KEEP_TRACKS)
        page.goto(server.url)
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        talk_is(page, "live")
        page.get_by_test_id("sound-open").click()
        expect(page.get_by_label("Microphone", exact=True).get_by_role("option")).not_to_have_count(1)
        page.get_by_role("switch", name="Noise suppression").uncheck()
        becomes(page, "tracks.at(-1).getSettings().noiseSuppression === false")
        becomes(page, "tracks.filter((track) => track.readyState === 'live').length === 1")
        talk_is(page, "live")


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
