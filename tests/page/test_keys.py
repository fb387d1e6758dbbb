"""API keys on the page, in a real Chromium against the real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.keys import add_key
from tests.support.page import SPEECH_TIMEOUT_MS, ServerProcess, expect_connection, expect_talk, open_page, setting
from trio_stt.access.keys import KeyScope

WRONG = "tstt_00000000_" + 43 * "A"


class KeyedServer(ServerProcess):
    """A server that requires a key; it has one key of each scope, and a second talk key that a test revokes."""

    def __init__(self, folder: Path) -> None:
        self.keys = folder / "keys"
        self.talk, self.admin = add_key(self.keys, KeyScope.TALK), add_key(self.keys, KeyScope.ADMIN)
        self.revocable = add_key(self.keys, KeyScope.TALK)
        super().__init__(folder / "output.txt", ["--keys-file", str(self.keys)])


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    with KeyedServer(tmp_path_factory.mktemp("keyed")) as served:
        yield served


def enter_key(page: Page, key: str, *, remember: bool = False) -> None:
    """Fill in and submit the form."""
    page.get_by_test_id("key-input").fill(key)
    if remember:
        page.get_by_role("switch", name="Remember on this device").check()
    page.get_by_role("button", name="Use key").click()


@contextmanager
def open_key_form(keyed: KeyedServer, speech: Path, size: tuple[int, int] = (1280, 720)) -> Iterator[Page]:
    """The page with the key form open."""
    with open_page(keyed.url, speech, size=size) as page:
        expect(page.get_by_test_id("key")).to_be_visible()
        yield page


def test_valid_key_allows_talking_and_stays_secret(keyed: KeyedServer, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        urls: list[str] = []
        console: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.on("console", lambda message: console.append(message.text))
        page.on("websocket", lambda socket: urls.append(socket.url))
        page.goto(keyed.url)
        expect(page.get_by_test_id("key-text")).to_contain_text("This server requires a key.")
        expect_connection(page, "Key needed")
        expect(page.get_by_test_id("key-input")).to_be_focused()
        page.keyboard.type(keyed.talk)
        page.keyboard.press("Enter")
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("key")).to_be_hidden()
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.get_by_test_id("talk").click()
        expect_talk(page, "off")
        with page.expect_download() as download:
            page.get_by_test_id("save").click()
            page.get_by_role("button", name="All data .json", exact=True).click()
        for name in ("Details", "Connection"):
            page.get_by_test_id("log").get_by_text(name, exact=True).click()
        secret = keyed.talk.rpartition("_")[2]
        assert secret not in Path(download.value.path()).read_text(encoding="utf-8")
        assert secret not in page.content()
        assert not [each for each in (*urls, *console) if secret in each]
        assert any("/ws/transcribe" in url for url in urls)

        # The captions view loads without a key, and gets one by its fragment, which is not sent.
        captions = page.context.new_page()
        captions.on("request", lambda request: urls.append(request.url))
        captions.goto(f"{keyed.url}captions")
        expect(captions.get_by_test_id("message")).to_have_text("The server requires a key.")
        captions.goto("about:blank")
        captions.goto(f"{keyed.url}captions#key={keyed.talk}")
        expect(captions.get_by_test_id("message")).to_be_empty()


def test_wrong_key_is_rejected_and_form_stays_open(keyed: KeyedServer, speech: Path) -> None:
    with open_key_form(keyed, speech) as page:
        enter_key(page, WRONG)
        expect(page.get_by_test_id("key-text")).to_contain_text("did not accept this key")
        expect(page.get_by_test_id("key-input")).to_have_value("")
        expect(page.get_by_test_id("key-input")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("notice")).to_contain_text("The server requires a key.")
        page.get_by_role("button", name="Enter the key").click()
        enter_key(page, keyed.talk)
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("notice")).to_have_count(0)


def test_talk_key_reads_settings_and_admin_key_changes_them(keyed: KeyedServer, speech: Path) -> None:
    with open_key_form(keyed, speech) as page:
        enter_key(page, keyed.talk)
        expect_connection(page, "Ready")
        page.get_by_test_id("settings-open").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("need an admin key")
        setting(page, "max_sessions").get_by_role("textbox").fill("7")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("settings-status")).to_contain_text("needs an admin key")
        page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("operations")).to_contain_text("needs an admin key")

        page.get_by_test_id("key-open").click()
        expect(page.get_by_test_id("key-text")).to_contain_text("A key is in use.")
        enter_key(page, keyed.admin)
        expect_connection(page, "Ready")
        expect(page.get_by_test_id("lane").first).to_be_visible()
        expect(page.get_by_test_id("session").first).to_be_visible()
        expect(page.get_by_test_id("operations")).not_to_contain_text("needs an admin key")
        page.get_by_test_id("settings-open").click()
        page.get_by_role("button", name="Discard").click()
        setting(page, "max_sessions").get_by_role("textbox").fill("7")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("settings-status")).to_contain_text("1 applied")


def test_key_outlives_tab_only_if_remembered_and_can_be_forgotten(keyed: KeyedServer, speech: Path) -> None:
    with open_key_form(keyed, speech) as page:
        expect(page.get_by_role("switch", name="Remember on this device")).not_to_be_checked()
        enter_key(page, keyed.talk)
        expect_connection(page, "Ready")
        page.reload()
        expect_connection(page, "Ready")  # in the same tab
        other = page.context.new_page()
        other.goto(keyed.url)
        enter_key(other, keyed.talk, remember=True)
        expect_connection(other, "Ready")
        other.close()
        third = page.context.new_page()
        third.goto(keyed.url)
        expect_connection(third, "Ready")
        third.get_by_test_id("key-open").click()
        expect(third.get_by_test_id("key-text")).to_contain_text("remembered on this device")
        third.get_by_role("button", name="Forget key").click()
        expect_connection(third, "Key needed")
        expect(third.get_by_test_id("key-open")).to_be_hidden()
        third.reload()
        expect(third.get_by_test_id("key-text")).to_contain_text("This server requires a key.")


def test_revoked_key_reopens_form_and_keeps_transcript(keyed: KeyedServer, speech: Path) -> None:
    with open_key_form(keyed, speech) as page:
        enter_key(page, keyed.revocable)
        expect_connection(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.first).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        key_id = keyed.revocable.split("_")[1]
        lines = keyed.keys.read_text().splitlines(keepends=True)
        kept = [line for line in lines if key_id not in line]
        assert len(kept) == len(lines) - 1
        keyed.keys.write_text("".join(kept))
        expect(page.get_by_test_id("key-text")).to_contain_text("did not accept this key", timeout=SPEECH_TIMEOUT_MS)
        expect(finals.first).to_have_count(1)
        enter_key(page, keyed.admin)
        expect_connection(page, "Ready")
        expect_talk(page, "live")


def test_shown_key_is_hidden_again_on_close(keyed: KeyedServer, speech: Path) -> None:
    with open_key_form(keyed, speech) as page:
        field = page.get_by_test_id("key-input")
        expect(field).to_have_attribute("type", "password")
        page.keyboard.type("tstt_1")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(field).to_have_attribute("type", "text")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Enter the key").click()
        expect(field).to_have_attribute("type", "password")
        expect(field).to_have_value("")


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_key_form_fits_on_phone_and_is_accessible(keyed: KeyedServer, speech: Path, theme: str) -> None:
    axe = Axe()
    with open_key_form(keyed, speech, (360, 740)) as page:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        for state in ("key required", "key rejected"):
            found = axe.run(page)
            assert found.violations_count == 0, f"{state}: {found.generate_report()}"
            enter_key(page, WRONG)
            expect(page.get_by_test_id("key-text")).to_contain_text("did not accept")
        enter_key(page, keyed.talk)
        expect_connection(page, "Ready")
        page.get_by_test_id("key-open").click()
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for control in ("Use key", "Forget key"):
            expect(page.get_by_role("button", name=control)).to_be_in_viewport(ratio=1)
