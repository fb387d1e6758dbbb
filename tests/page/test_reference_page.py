"""RealtimeSTT's own page, unmodified, against this server: it connects, shows live and final text, and clears."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.support.page import SPEECH_TIMEOUT_MS, ServerProcess, open_page
from tests.support.wer import BECKETT, word_error_rate

PACKAGE = "realtimestt==1.1.2"
SEEN = """
window.interim = [];
addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
  for (const each of document.querySelectorAll('.segment.interim')) {
    const textOf = (part) => each.querySelector(part)?.textContent ?? '';
    window.interim.push([textOf('.stable-text'), textOf('.unstable-text')]);
  }
}).observe(document.querySelector('#transcript'), { childList: true, subtree: true }));
"""


@pytest.fixture
def reference_page(tmp_path: Path) -> str:
    """Its text, from the package. What the package needs is left out."""
    uv = shutil.which("uv")
    assert uv, "uv is not installed"
    command = [uv, "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), PACKAGE]
    subprocess.run(command, check=True, timeout=300)  # noqa: S603 - a pinned package
    return (tmp_path / "example_fastapi_server" / "static" / "index.html").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.contract("9.3", "9.4", "9.5")
def test_page_of_the_reference_shows_live_and_final_text(
    server: ServerProcess, speech: Path, reference_page: str
) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body=reference_page, content_type="text/html; charset=utf-8")

    with open_page("about:blank", speech) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(SEEN)
        page.context.grant_permissions(["microphone", "local-network-access"])  # to Chromium, its text is from nowhere
        page.route(server.url, answer)
        page.goto(server.url)
        expect(page).to_have_title("RealtimeSTT Live Console")
        expect(page.locator("#serverState")).to_have_text("Ready", timeout=SPEECH_TIMEOUT_MS)
        page.locator("#streamButton").click()
        finals = page.locator(".segment.final .segment-text")
        expect(finals.filter(has_text="better")).to_be_visible(timeout=SPEECH_TIMEOUT_MS)
        page.locator("#streamButton").click()
        expect(page.locator(".segment.interim")).to_have_count(0, timeout=SPEECH_TIMEOUT_MS)
        assert word_error_rate(BECKETT, " ".join(finals.all_inner_texts())) <= 0.2
        interim = page.evaluate("window.interim")
        assert any(stable for stable, _ in interim)
        assert any(unstable for _, unstable in interim)
        expect(page.locator("#latency")).to_have_text(re.compile(r"^[1-9]\d* ms$"), timeout=SPEECH_TIMEOUT_MS)
        expect(page.locator("#eventLog")).to_contain_text("Recording")
        page.locator("#clearButton").click()
        expect(finals).to_have_count(0)
        assert [error for error in errors if "MutationObserver" not in error] == []  # that is WATCH_BLOCKS
