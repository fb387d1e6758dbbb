"""The Deepgram services of LiveKit and Pipecat, unmodified, each in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.real import shared_sentences
from tests.support.server import RunningServer, shared_server
from tests.support.wer import word_error_rate

pytestmark = pytest.mark.long
SCRIPTS = Path(__file__).parent / "agents"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with shared_server(["-m", "trio_stt", "serve", "--port", "{port}"]) as running:
        yield running


def dictated(folder: Path, package: str, script: str, url: str, sound: Path) -> dict[str, Any]:
    """What the script prints, run with this package."""
    python = folder / "environment" / "bin" / "python"
    # Elsewhere and without the variables of this environment, which has other versions of the same packages.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}

    def run(*command: str | Path) -> str:
        return subprocess.run(  # noqa: S603 - the commands below
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, timeout=600, check=True
        ).stdout

    run("uv", "venv", "-q", python.parents[1])
    run("uv", "pip", "install", "-q", "--python", python, package)
    output = run(python, SCRIPTS / script, url, sound)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def test_livekit(server: RunningServer, tmp_path: Path) -> None:
    sound, words = shared_sentences()[0]
    url = f"http://127.0.0.1:{server.port}/v1/listen"
    result = dictated(tmp_path, "livekit-plugins-deepgram==1.8.9", "livekit_dictation.py", url, sound)
    events = [(kind, text) for kind, text in result["events"] if kind != "recognition_usage"]
    # Twice the same: ended by silence, then by `Finalize` with silence after it.
    assert [kind for kind, _ in events if kind != "interim_transcript"] == [
        "start_of_speech",
        "final_transcript",
        "end_of_speech",
    ] * 2
    assert any(kind == "interim_transcript" for kind, _ in events)
    for text in (result["whole"], *(text for kind, text in events if kind == "final_transcript")):
        assert word_error_rate(words, text) < 0.2


def test_pipecat(server: RunningServer, tmp_path: Path) -> None:
    sound, words = shared_sentences()[0]
    url = f"ws://127.0.0.1:{server.port}"
    result = dictated(tmp_path, "pipecat-ai[deepgram]==1.14.0", "pipecat_dictation.py", url, sound)
    texts = [text for text, _ in result["finals"]]
    assert word_error_rate(words, " ".join(texts)) < 0.2
    assert result["finals"][-1][1], "the final answers the Finalize that Pipecat sends at the end of speech"
    assert result["partials"]
