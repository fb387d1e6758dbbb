"""The client in docs/protocol.md transcribes a file on a real server."""

import re
from typing import Any

import pytest

from tests.protocol.test_protocol_page import PAGE
from tests.support.in_process import serving
from tests.support.real import moonshine_asset
from trio_stt.server.build import build_server
from trio_stt.settings import load_settings


async def test_the_example_client_prints_a_transcript(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    example: dict[str, Any] = {"__name__": "example"}
    exec(found[1], example)  # noqa: S102 - code of the project's own document
    async with serving(monkeypatch, build_server(load_settings({}))) as port:
        await example["main"](f"ws://127.0.0.1:{port}/ws/transcribe", str(moonshine_asset("beckett.wav")))
    printed = capsys.readouterr().out.lower()
    assert "ever tried" in printed
    assert re.search(r"^1 ", printed, re.MULTILINE)
