"""The page in a real Chromium, its fake microphone playing real speech, against the real server and model."""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.real import missing, moonshine_asset
from tests.support.wer import BECKETT, word_error_rate

MICROPHONE_HZ = 48_000
READY_WITHIN_S = 120
HEARD_WITHIN_MS = 60_000

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]

# Notes what every block looked like after each change, so that what was shown for a moment can be asserted later.
WATCH_BLOCKS = """
addEventListener('DOMContentLoaded', () => {
  window.seen = [];
  const transcript = document.querySelector('[data-testid=transcript]');
  new MutationObserver(() => {
    const block = transcript.querySelector('[data-testid=segment]:last-of-type');
    if (block) window.seen.push({
      id: block.dataset.segmentId,
      final: block.dataset.final === 'true',
      stable: block.querySelector('.stable').textContent,
      unstable: block.querySelector('.unstable').textContent,
    });
  }).observe(transcript, { childList: true, subtree: true, characterData: true, attributes: true });
});
"""


class Served:
    """`trio-stt serve` on a port of its own, which it keeps when it is started again."""

    def __init__(self, output: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        command = [sys.executable, "-m", "trio_stt", "serve", "--port", str(self._port)]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                pytest.fail(f"the server is not ready:\n{self._output.read_text()}")
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}health", timeout=2) as answer:  # noqa: S310 - the url is our own
                return b'"ready":true' in answer.read().replace(b" ", b"")
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server") / "output.txt") as served:
        yield served


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Six short sentences."""
    return for_microphone(tmp_path / "speech.wav", "beckett.wav")


def for_microphone(path: Path, recording: str, *, seconds: float | None = None) -> Path:
    """The start of a recording as Chromium's fake microphone wants it: 48 kHz, 16 bit, with a pause after it."""
    samples, rate_hz = soundfile.read(moonshine_asset(recording), dtype="float32")
    at_microphone_rate = soxr.resample(
        samples[: None if seconds is None else round(seconds * rate_hz)], rate_hz, MICROPHONE_HZ
    )
    pause = np.zeros(2 * MICROPHONE_HZ, dtype=np.float32)
    soundfile.write(path, np.concatenate([at_microphone_rate, pause]), MICROPHONE_HZ, subtype="PCM_16")
    return path


@contextmanager
def open_page(url: str, speech: Path, *, repeat: bool = False) -> Iterator[Page]:
    """The page in a fresh Chromium, whose microphone plays `speech` once talking begins; then silence, or it again."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("no Chromium is installed")
    microphone = f"--use-file-for-fake-audio-capture={speech}{'' if repeat else '%noloop'}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, microphone])
        try:
            page = browser.new_page()
            page.add_init_script(WATCH_BLOCKS)
            page.goto(url)
            yield page
        finally:
            browser.close()


def connection_is(page: Page, label: str) -> None:
    expect(page.get_by_test_id("connection")).to_have_text(label, timeout=HEARD_WITHIN_MS)


def final_texts(page: Page) -> list[str]:
    return page.locator("[data-testid=segment][data-final=true] .segment-text").all_inner_texts()


@pytest.mark.contract("9.3", "9.5", "9.6")
def test_words_appear_while_spoken_and_become_final_text(server: Served, speech: Path) -> None:
    with open_page(server.url, speech) as page:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        expect(page.locator("[data-testid=segment][data-final=true]").filter(has_text="better")).to_be_visible(
            timeout=HEARD_WITHIN_MS
        )
        page.get_by_test_id("talk").click()
        expect(page.get_by_test_id("state")).to_have_text("Idle")

        assert word_error_rate(BECKETT, " ".join(final_texts(page))) <= 0.2
        expect(page.locator("[data-testid=segment][data-final=false]")).to_have_count(0)
        ids = page.locator("[data-testid=segment]").evaluate_all("blocks => blocks.map((b) => b.dataset.segmentId)")
        assert len(set(ids)) == len(ids)

        seen = page.evaluate("window.seen")
        live = {block["id"] for block in seen if not block["final"] and block["stable"] + block["unstable"]}
        assert live, "no words were seen while they were spoken"
        assert live <= {block["id"] for block in seen if block["final"]}
        assert complaints == []


@pytest.mark.contract("9.5")
def test_in_a_long_sentence_the_words_that_are_settled_are_apart_from_those_that_may_change(
    server: Served, tmp_path: Path
) -> None:
    speech = for_microphone(tmp_path / "long.wav", "two_cities.wav", seconds=8.0)
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.filter(has_text="worst of times")).to_be_visible(timeout=HEARD_WITHIN_MS)
        shown = [block for block in page.evaluate("window.seen") if not block["final"] and block["stable"]]
        assert any(block["unstable"] for block in shown)
        for earlier, later in pairwise(shown):
            if earlier["id"] == later["id"]:
                assert later["stable"].startswith(earlier["stable"])


@pytest.mark.contract("9.3", "9.5")
def test_stop_in_the_middle_of_speech_still_gives_the_final_and_clear_empties_the_page(
    server: Served, speech: Path
) -> None:
    with open_page(server.url, speech) as page:
        connection_is(page, "Ready")
        expect(page.get_by_test_id("clear")).to_be_disabled()
        page.get_by_test_id("talk").click()
        live = page.locator("[data-testid=segment][data-final=false]")
        expect(live.filter(has_text="tried")).to_be_visible(timeout=HEARD_WITHIN_MS)
        page.get_by_test_id("talk").click()
        final = page.locator("[data-testid=segment][data-final=true]")
        expect(final.filter(has_text="tried")).to_be_visible(timeout=HEARD_WITHIN_MS)
        expect(live).to_have_count(0)
        expect(page.get_by_test_id("state")).to_have_text("Idle")
        expect(page.locator("#announcement")).to_have_text(final_texts(page)[-1])

        page.get_by_test_id("clear").click()
        expect(page.get_by_test_id("segment")).to_have_count(0)
        expect(page.get_by_test_id("clear")).to_be_disabled()
        expect(page.get_by_role("heading", name="Say something.")).to_be_visible()


@pytest.mark.contract("9.4", "11/28")
def test_a_server_that_is_killed_and_comes_back_while_someone_speaks(tmp_path: Path, speech: Path) -> None:
    with Served(tmp_path / "output.txt") as restarted, open_page(restarted.url, speech, repeat=True) as page:
        connection_is(page, "Ready")
        page.get_by_test_id("talk").click()
        finals = page.locator("[data-testid=segment][data-final=true]")
        expect(finals.first).to_be_visible(timeout=HEARD_WITHIN_MS)
        expect(page.locator("[data-testid=segment][data-final=false]")).to_be_visible(timeout=HEARD_WITHIN_MS)
        before = final_texts(page)

        restarted.kill()
        connection_is(page, "Reconnecting")
        expect(page.locator("[data-testid=segment][data-phase=live]")).to_have_count(0)
        restarted.start()
        connection_is(page, "Ready")
        expect(page.locator(".break")).to_contain_text("not heard")

        # The stream may begin again within a word, so the first block can be a scrap; the loop's words follow.
        after = page.locator(".break ~ [data-testid=segment][data-final=true]")
        spoken = after.filter(has_text=re.compile("tried|failed|matter|again|better", re.IGNORECASE))
        expect(spoken.first).to_be_visible(timeout=HEARD_WITHIN_MS)
        assert final_texts(page)[: len(before)] == before
        expect(page.get_by_test_id("talk")).to_have_text("Stop")
