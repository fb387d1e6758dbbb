"""The page in a real Chromium, whose microphone plays an audio file, against a server process or a scripted one."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, ViewportSize, WebSocketRoute, expect, sync_playwright

from tests.support.real import missing, moonshine_asset

MICROPHONE_HZ = 48_000
READY_TIMEOUT_S = 120
SPEECH_TIMEOUT_MS = 60_000

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

# Records the newest block after each change, so that a test can assert what was shown only briefly.
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


class ServerProcess:
    """A `trio-stt serve` process on a free port, which stays the same over restarts.

    Args:
        output: File for its standard output and error.
        flags: Further command line flags.
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
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our command
        deadline_s = time.monotonic() + READY_TIMEOUT_S
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
            with urllib.request.urlopen(f"{self.url}health", timeout=2) as response:  # noqa: S310 - the url is our own
                return b'"ready":true' in response.read().replace(b" ", b"")
        except OSError:
            return False


def microphone_recording(path: Path, recording: str, *, seconds: float | None = None) -> Path:
    """Write the first seconds of a recording as a file for Chromium's fake microphone. Returns `path`."""
    samples, rate_hz = soundfile.read(moonshine_asset(recording), dtype="float32")
    return write_microphone_file(path, samples[: None if seconds is None else round(seconds * rate_hz)], rate_hz)


def write_microphone_file(path: Path, samples: NDArray[np.float32], rate_hz: int) -> Path:
    """Write mono samples (range -1 to 1) for Chromium's fake microphone: 48 kHz, 16 bit, a pause at the end."""
    pause = np.zeros(2 * MICROPHONE_HZ, dtype=np.float32)
    at_microphone_rate = soxr.resample(samples, rate_hz, MICROPHONE_HZ)
    soundfile.write(path, np.concatenate([at_microphone_rate, pause]), MICROPHONE_HZ, subtype="PCM_16")
    return path


class Chromium:
    """A Chromium that all pages with the same microphone share; another microphone needs another one.

    Its start takes longer than most tests. Contexts of Playwright keep the storage of the tests apart.
    """

    def __init__(self) -> None:
        self._running = ExitStack()
        self._microphone = ""
        self._browser: Browser | None = None

    def with_microphone(self, flag: str) -> Browser:
        """The browser with this flag for its microphone. No page of the one before may be in use."""
        if self._browser is None or self._microphone != flag:
            self.close()
            path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            if path is None:
                missing("no Chromium is installed")
            playwright = self._running.enter_context(sync_playwright())
            self._browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_FLAGS, flag])
            self._running.callback(self._browser.close)
            self._microphone = flag
        return self._browser

    def close(self) -> None:
        """End the browser, and the event loop that Playwright keeps in this thread."""
        self._browser = None
        self._running.close()


chromium = Chromium()


@contextmanager
def open_page(
    url: str,
    speech: Path,
    *,
    repeat: bool = False,
    size: tuple[int, int] = (1280, 720),
    scheme: Literal["light", "dark"] = "light",
    touch: bool = False,
) -> Iterator[Page]:
    """Open the page in Chromium, whose microphone plays `speech` when the page opens it.

    Args:
        url: URL of the server, or about:blank to prepare the page first.
        speech: A file made by `write_microphone_file`.
        repeat: Whether the microphone repeats it; otherwise silence follows.
        size: Width and height of the window, in CSS pixels.
        scheme: The preferred colour scheme.
        touch: Whether it is a phone, without a mouse and a keyboard.

    Yields:
        The page, loaded; downloads and the clipboard are allowed.
    """
    browser = chromium.with_microphone(f"--use-file-for-fake-audio-capture={speech}{'' if repeat else '%noloop'}")
    width, height = size
    window: ViewportSize = {"width": width, "height": height}
    with browser.new_context(viewport=window, color_scheme=scheme, has_touch=touch, is_mobile=touch) as context:
        context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.add_init_script(WATCH_BLOCKS)
        page.goto(url)
        yield page


def expect_connection(page: Page, label: str) -> None:
    """Wait until the connection chip has this label."""
    expect(page.get_by_test_id("connection")).to_have_text(label, timeout=SPEECH_TIMEOUT_MS)


def final_texts(page: Page) -> list[str]:
    """Texts of the final blocks, oldest first."""
    return page.locator("[data-testid=segment][data-final=true] .segment-text").all_inner_texts()


def expect_talk(page: Page, phase: str) -> None:
    """Wait for a phase of talking: `off`, `asking`, `live` or `stopping`."""
    expect(page.locator("body")).to_have_attribute("data-talk", phase)


def setting(page: Page, name: str) -> Locator:
    """The field of a setting in the settings panel."""
    return page.locator(f"[data-setting={name}]")


def wait_until(page: Page, condition: str) -> None:
    """Wait for a JavaScript condition. `wait_for_function` needs `eval`, which the page forbids."""
    page.evaluate(f"""() => new Promise((done, fail) => {{
      setTimeout(fail, {SPEECH_TIMEOUT_MS}, new Error('timeout'));
      const check = () => ({condition}) ? done() : requestAnimationFrame(check);
      check();
    }})""")


def record_packets(page: Page) -> list[dict[str, Any]]:
    """Return a list that grows with the metadata of every audio packet sent. Call it before loading the page."""
    packets: list[dict[str, Any]] = []

    def record(frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            end = 4 + int.from_bytes(frame[:4], "little")
            packets.append(json.loads(frame[4:end]))

    page.on("websocket", lambda opened: opened.on("framesent", record))
    return packets


def request_json(server: ServerProcess, path: str, changes: dict[str, Any] | None = None) -> Any:
    """The JSON response to a GET, or to a PATCH with these changes."""
    body = None if changes is None else json.dumps(changes).encode()
    request = urllib.request.Request(  # noqa: S310 - the url is our own
        f"{server.url}{path}",
        body,
        {"Content-Type": "application/json"},
        method="GET" if body is None else "PATCH",
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - likewise
        return json.load(response)


class ScriptedServer:
    """The server's side of the page's WebSocket: answers pings, and sends the events of the test. HTTP stays real.

    Args:
        page: The page, not yet loaded.
        greeting: Events sent to each new connection.

    Attributes:
        commands: Commands received, one list per connection, without pings.
        starts: The `start` commands among them, of all connections.
        is_silent: Stop answering pings, until the next connection.
    """

    def __init__(self, page: Page, greeting: Sequence[dict[str, Any]] = ()) -> None:
        self.commands: list[list[str]] = []
        self.starts: list[dict[str, Any]] = []
        self.is_silent = False
        self._greeting = greeting or [HELLO, READY]
        self._sockets: list[WebSocketRoute] = []
        page.route_web_socket(lambda url: url.endswith("/ws/transcribe"), self._opened)

    def send(self, kind: str, /, **fields: Any) -> None:
        """Send an event over the newest connection."""
        self._sockets[-1].send(json.dumps({"type": kind, **fields}))

    def final(self, segment_id: int, text: str) -> None:
        """Send a final text of 4 s, each 5 s after the one before it."""
        at = SPOKEN_AT + 5 * segment_id
        times = {"recordingStartedAt": at, "recordingEndedAt": at + 4, "durationSeconds": 4.0}
        self.send("final", segmentId=segment_id, text=text, timestamp=at + 4, segment=times)

    def partial(self, segment_id: int, sequence: int, stable: str, unstable: str = "", **fields: Any) -> None:
        """Send live words."""
        words = {"segmentId": segment_id, "sequence": sequence, "stableText": stable, "unstableText": unstable}
        self.send("realtime", **words, **fields)

    def _opened(self, socket: WebSocketRoute) -> None:
        commands: list[str] = []
        self.is_silent = False
        self._sockets.append(socket)
        self.commands.append(commands)

        def receive(frame: str | bytes) -> None:
            fields = json.loads(frame) if isinstance(frame, str) else {"type": ""}
            kind = fields["type"]
            if kind == "start":
                self.starts.append(fields)
            if kind not in {"", "ping"}:
                commands.append(kind)
            elif kind and not self.is_silent:
                socket.send(json.dumps({"type": "pong"}))

        socket.on_message(receive)
        for event in self._greeting:
            socket.send(json.dumps(event))
