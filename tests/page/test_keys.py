"""The key to the server on the page, in a real Chromium against the real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.keys import add_key
from tests.support.page import HEARD_WITHIN_MS, Served, connection_is, open_page, setting, talk_is
from trio_stt.access.keys import KeyScope

WRONG = "tstt_00000000_" + 43 * "A"


class Keyed(Served):
    """A server that asks for keys, and two of them."""

    def __init__(self, folder: Path) -> None:
        path = folder / "keys"
        self.talk, self.admin = add_key(path, KeyScope.TALK), add_key(path, KeyScope.ADMIN)
        super().__init__(folder / "output.txt", ["--keys-file", str(path)])


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with Keyed(tmp_path_factory.mktemp("keyed")) as served:
        yield served


def give(page: Page, key: str, *, remember: bool = False) -> None:
    """Fill in the form, as people do."""
    page.get_by_test_id("key-input").fill(key)
    if remember:
        page.get_by_role("switch", name="Remember on this device").check()
    page.get_by_role("button", name="Use key").click()


@contextmanager
def asked(keyed: Keyed, speech: Path, size: tuple[int, int] = (1280, 720)) -> Iterator[Page]:
    """The page, when it asks for the key."""
    with open_page(keyed.url, speech, size=size) as page:
        expect(page.get_by_test_id("key")).to_be_visible()
        yield page


def test_who_has_a_key_is_asked_for_it_and_can_talk(keyed: Keyed, speech: Path) -> None:
    with open_page("about:blank", speech) as page:
        urls: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("websocket", lambda socket: urls.append(socket.url))
        page.goto(keyed.url)
        expect(page.get_by_test_id("key-words")).to_contain_text("This server asks for a key.")
        connection_is(page, "Key needed")
        expect(page.get_by_test_id("key-input")).to_be_focused()
        page.keyboard.type(keyed.talk)
        page.keyboard.press("Enter")
        connection_is(page, "Ready")
        expect(page.get_by_test_id("key")).to_be_hidden()
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").first).to_be_visible(timeout=HEARD_WITHIN_MS)
        page.get_by_test_id("talk").click()
        talk_is(page, "off")
        with page.expect_download() as download:
            page.get_by_test_id("save").click()
            page.get_by_role("button", name="Everything .json", exact=True).click()
        for name in ("Details", "Connection"):
            page.get_by_test_id("log").get_by_text(name, exact=True).click()
        secret = keyed.talk.rpartition("_")[2]
        assert secret not in Path(download.value.path()).read_text(encoding="utf-8")
        assert secret not in page.content()
        assert not [each for each in (*urls, *said) if secret in each]
        assert any("/ws/transcribe" in url for url in urls)


def test_a_wrong_key_is_said_to_be_wrong_and_asked_for_again(keyed: Keyed, speech: Path) -> None:
    with asked(keyed, speech) as page:
        give(page, WRONG)
        expect(page.get_by_test_id("key-words")).to_contain_text("did not accept this key")
        expect(page.get_by_test_id("key-input")).to_have_value("")
        expect(page.get_by_test_id("key-input")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("notice")).to_contain_text("The server asks for a key.")
        page.get_by_role("button", name="Enter the key").click()
        give(page, keyed.talk)
        connection_is(page, "Ready")
        expect(page.get_by_test_id("notice")).to_have_count(0)


def test_a_talk_key_reads_settings_and_is_told_what_needs_another(keyed: Keyed, speech: Path) -> None:
    with asked(keyed, speech) as page:
        give(page, keyed.talk)
        connection_is(page, "Ready")
        page.get_by_test_id("settings-open").click()
        expect(page.get_by_test_id("settings-status")).to_contain_text("need an admin key")
        setting(page, "max_sessions").get_by_role("textbox").fill("7")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("settings-status")).to_contain_text("needs an admin key")
        page.keyboard.press("Escape")
        page.get_by_test_id("operations-open").click()
        expect(page.get_by_test_id("operations")).to_contain_text("needs an admin key")

        page.get_by_test_id("key-open").click()
        expect(page.get_by_test_id("key-words")).to_contain_text("A key is in use.")
        give(page, keyed.admin)
        connection_is(page, "Ready")
        expect(page.get_by_test_id("lane").first).to_be_visible()
        expect(page.get_by_test_id("session").first).to_be_visible()
        expect(page.get_by_test_id("operations")).not_to_contain_text("needs an admin key")
        page.get_by_test_id("settings-open").click()
        page.get_by_role("button", name="Discard").click()
        setting(page, "max_sessions").get_by_role("textbox").fill("7")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("settings-status")).to_contain_text("1 applied")


def test_a_key_outlives_the_tab_only_where_that_was_asked_for_and_can_be_forgotten(keyed: Keyed, speech: Path) -> None:
    with asked(keyed, speech) as page:
        expect(page.get_by_role("switch", name="Remember on this device")).not_to_be_checked()
        give(page, keyed.talk)
        connection_is(page, "Ready")
        page.reload()
        connection_is(page, "Ready")  # the tab is the same
        other = page.context.new_page()
        other.goto(keyed.url)
        give(other, keyed.talk, remember=True)
        connection_is(other, "Ready")
        other.close()
        third = page.context.new_page()
        third.goto(keyed.url)
        connection_is(third, "Ready")
        third.get_by_test_id("key-open").click()
        expect(third.get_by_test_id("key-words")).to_contain_text("remembered on this device")
        third.get_by_role("button", name="Forget key").click()
        connection_is(third, "Key needed")
        expect(third.get_by_test_id("key-open")).to_be_hidden()
        third.reload()
        expect(third.get_by_test_id("key-words")).to_contain_text("This server asks for a key.")


def test_a_key_that_is_revoked_is_asked_for_again_and_what_was_said_stays(tmp_path: Path, speech: Path) -> None:
    with Keyed(tmp_path) as served, asked(served, speech) as page:
        give(page, served.talk)
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.first).to_be_visible(timeout=HEARD_WITHIN_MS)
        path = tmp_path / "keys"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if ":talk:" not in line))
        expect(page.get_by_test_id("key-words")).to_contain_text("did not accept this key", timeout=HEARD_WITHIN_MS)
        expect(finals.first).to_have_count(1)
        give(page, served.admin)
        connection_is(page, "Ready")
        talk_is(page, "live")


def test_the_key_can_be_shown_and_is_hidden_again(keyed: Keyed, speech: Path) -> None:
    with asked(keyed, speech) as page:
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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_form_has_room_and_axe_finds_nothing(keyed: Keyed, speech: Path, theme: str) -> None:
    axe = Axe()
    with asked(keyed, speech, (360, 740)) as page:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        for judge in ("asks", "is wrong"):
            found = axe.run(page)
            assert found.violations_count == 0, f"{judge}: {found.generate_report()}"
            give(page, WRONG)
            expect(page.get_by_test_id("key-words")).to_contain_text("did not accept")
        give(page, keyed.talk)
        connection_is(page, "Ready")
        page.get_by_test_id("key-open").click()
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for control in ("Use key", "Forget key"):
            expect(page.get_by_role("button", name=control)).to_be_in_viewport(ratio=1)
