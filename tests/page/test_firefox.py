"""The page in a real Firefox, driven over WebDriver BiDi: files, talking, and what a reload keeps.

Its microphone is a tone. Without an audio device, as in containers, Firefox starts no AudioContext; the page says so.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.page import ServerProcess
from tests.support.real import missing

TIMEOUT_S = 60
BODY = "document.body.innerText"
PREFERENCES = {
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
}


class Firefox:
    """One tab of a Firefox, as the W3C's WebDriver BiDi drives it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count(1)
        self._command("session.new", capabilities={})
        self._context = self._command("browsingContext.getTree")["contexts"][0]["context"]
        self._command("browsingContext.activate", context=self._context)

    def open(self, url: str) -> None:
        self._command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def reload(self) -> None:
        self._command("browsingContext.reload", context=self._context, wait="complete")

    def click(self, selector: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression, evaluated as after a click."""
        result = self._command(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        assert result["type"] == "success", result
        return result["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while self.value(expression) is not True:
            assert time.monotonic() < deadline_s, f"{expression}: {self.value(BODY)}"
            time.sleep(0.1)

    def _command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(TIMEOUT_S))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        missing("no Firefox is installed")
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [path, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    with ExitStack() as running:
        output = (profile / "output.txt").open("wb")
        running.callback(output.close)
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - the installed browser
        running.callback(process.wait)
        running.callback(process.terminate)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (found := re.search(r"listening on (ws://\S+)", (profile / "output.txt").read_text())):
            assert time.monotonic() < deadline_s, "Firefox offers no WebDriver BiDi"
            time.sleep(0.1)
        yield Firefox(running.enter_context(connect(f"{found[1]}/session", max_size=None)))


@pytest.mark.long
def test_firefox_transcribes_a_file_and_keeps_the_text(server: ServerProcess, tmp_path: Path) -> None:
    ready = "document.querySelector('#connection').textContent === 'Ready'"
    with firefox(tmp_path) as browser:
        browser.open(server.url)
        browser.wait_for(ready)
        browser.click("#try-out")
        browser.wait_for("document.querySelector('#transcript').textContent.includes('worst of times')")
        browser.wait_for("document.querySelector('#files').hidden")
        before = browser.value("document.querySelector('#transcript').innerText")
        browser.value("new Promise((done) => setTimeout(done, 600))")  # changes are written twice a second
        browser.reload()
        browser.wait_for(ready)
        assert str(browser.value("document.querySelector('#transcript').innerText")).startswith(before)
        assert browser.value("document.documentElement.scrollWidth <= innerWidth") is True
        browser.click("#talk")
        browser.wait_for("['asking', 'live'].includes(document.body.dataset.talk)")
        browser.wait_for("document.body.dataset.talk !== 'asking'")
        if browser.value("document.body.dataset.talk") == "live":
            browser.click("#talk")
        else:
            assert "did not start its audio" in browser.value("document.querySelector('#notices').innerText")
        browser.wait_for("document.body.dataset.talk === 'off'")
        browser.open(f"{server.url}captions?background=transparent")
        browser.wait_for("document.body.dataset.talk === 'off'")
