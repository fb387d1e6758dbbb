"""The page in a real browser for tests: a server of its own, and a Chromium whose microphone plays a sound file."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, WebSocketRoute, expect, sync_playwright

from tests.support.real import missing, moonshine_asset

MICROPHONE_HZ = 48_000
READY_WITHIN_S = 120
HEARD_WITHIN_MS = 60_000

SPOKEN_AT = 1_900_000_000.0
HELLO = {"type": "hello", "sessionId": "0" * 32}
READY = {"type": "ready", "ok": True}

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
    const block = [...transcript.querySelectorAll('[data-testid=segment]')].at(-1);
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
    """`trio-stt serve` on a port of its own, which it keeps when it is started again.

    Args:
        output: File that gets what the server writes.
        flags: More of its command line.
    """

    def __init__(self, output: Path, flags: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._output = output
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        command = [sys.executable, "-m", "trio_stt", "serve", "--port", str(self._port), *self._flags]
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


def for_microphone(path: Path, recording: str, *, seconds: float | None = None) -> Path:
    """The start of a recording as Chromium's fake microphone wants it: 48 kHz, 16 bit, with a pause after it."""
    samples, rate_hz = soundfile.read(moonshine_asset(recording), dtype="float32")
    return write_microphone(path, samples[: None if seconds is None else round(seconds * rate_hz)], rate_hz)


def write_microphone(path: Path, samples: NDArray[np.float32], rate_hz: int) -> Path:
    """Mono samples, range -1 to 1, as Chromium's fake microphone wants them: 48 kHz, 16 bit, with a pause after it."""
    pause = np.zeros(2 * MICROPHONE_HZ, dtype=np.float32)
    at_microphone_rate = soxr.resample(samples, rate_hz, MICROPHONE_HZ)
    soundfile.write(path, np.concatenate([at_microphone_rate, pause]), MICROPHONE_HZ, subtype="PCM_16")
    return path


@contextmanager
def open_page(
    url: str,
    speech: Path,
    *,
    repeat: bool = False,
    size: tuple[int, int] = (1280, 720),
    scheme: Literal["light", "dark"] = "light",
) -> Iterator[Page]:
    """The page in a fresh Chromium, whose microphone plays `speech` once talking begins; then silence, or it again.

    Args:
        url: Of the server.
        speech: A file as `write_microphone` makes it.
        repeat: Whether it is played again and again.
        size: Of the window, in CSS pixels.
        scheme: What the page is told that people prefer.

    Yields:
        The page, loaded; downloads and the clipboard are allowed.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("no Chromium is installed")
    microphone = f"--use-file-for-fake-audio-capture={speech}{'' if repeat else '%noloop'}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, microphone])
        try:
            width, height = size
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"])
            page = context.new_page()
            page.add_init_script(WATCH_BLOCKS)
            page.goto(url)
            yield page
        finally:
            browser.close()


def connection_is(page: Page, label: str) -> None:
    """Wait until the chip says so."""
    expect(page.get_by_test_id("connection")).to_have_text(label, timeout=HEARD_WITHIN_MS)


def final_texts(page: Page) -> list[str]:
    """The words of the blocks that are final, oldest first."""
    return page.locator("[data-testid=segment][data-final=true] .segment-text").all_inner_texts()


def talk_is(page: Page, phase: str) -> None:
    """Wait until talking is `off`, `asking`, `live` or `stopping`."""
    expect(page.locator("body")).to_have_attribute("data-talk", phase)


def setting(page: Page, name: str) -> Locator:
    """A field of the settings panel."""
    return page.locator(f"[data-setting={name}]")


def becomes(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own `wait_for_function` needs what the page's policy forbids."""
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {HEARD_WITHIN_MS}, new Error('it did not happen'));
      const look = () => ({condition}) ? done() : requestAnimationFrame(look);
      look();
    }})""")


def record_packets(page: Page) -> list[dict[str, Any]]:
    """The metadata of every audio packet that the page sends; a list that grows. Call it before the page is loaded."""
    packets: list[dict[str, Any]] = []

    def record(frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            end = 4 + int.from_bytes(frame[:4], "little")
            packets.append(json.loads(frame[4:end]))

    page.on("websocket", lambda opened: opened.on("framesent", record))
    return packets


def asked(server: Served, path: str, changes: dict[str, Any] | None = None) -> Any:
    """The server's answer to a GET, or to a PATCH with these changes."""
    body = None if changes is None else json.dumps(changes).encode()
    request = urllib.request.Request(  # noqa: S310 - the url is our own
        f"{server.url}{path}",
        body,
        {"Content-Type": "application/json"},
        method="GET" if body is None else "PATCH",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        return json.load(answer)


class ScriptedServer:
    """Plays the server's end of the page's socket: it answers pings, and says what the test wants said.

    Args:
        page: Before it is loaded; its HTTP side stays the real server's.
        greeting: What each new connection is told at once.

    Attributes:
        commands: What each connection was told to do, pings aside.
        is_silent: Whether pings go unanswered until the next connection.
    """

    def __init__(self, page: Page, greeting: Sequence[dict[str, Any]] = ()) -> None:
        self.commands: list[list[str]] = []
        self.is_silent = False
        self._greeting = greeting or [HELLO, READY]
        self._sockets: list[WebSocketRoute] = []
        page.route_web_socket(lambda url: url.endswith("/ws/transcribe"), self._opened)

    def says(self, kind: str, /, **fields: Any) -> None:
        """Send an event over the newest connection."""
        self._sockets[-1].send(json.dumps({"type": kind, **fields}))

    def final(self, segment_id: int, text: str) -> None:
        """Send a final text of 4 s, each 5 s after the one before it."""
        at = SPOKEN_AT + 5 * segment_id
        times = {"recordingStartedAt": at, "recordingEndedAt": at + 4, "durationSeconds": 4.0}
        self.says("final", segmentId=segment_id, text=text, timestamp=at + 4, segment=times)

    def partial(self, segment_id: int, sequence: int, stable: str, unstable: str = "", **fields: Any) -> None:
        """Send live words."""
        words = {"segmentId": segment_id, "sequence": sequence, "stableText": stable, "unstableText": unstable}
        self.says("realtime", **words, **fields)

    def _opened(self, socket: WebSocketRoute) -> None:
        commands: list[str] = []
        self.is_silent = False
        self._sockets.append(socket)
        self.commands.append(commands)

        def heard(frame: str | bytes) -> None:
            kind = json.loads(frame)["type"] if isinstance(frame, str) else ""
            if kind not in {"", "ping"}:
                commands.append(kind)
            elif kind and not self.is_silent:
                socket.send(json.dumps({"type": "pong"}))

        socket.on_message(heard)
        for event in self._greeting:
            socket.send(json.dumps(event))
