"""Services of LiveKit and Pipecat, and OpenAI's own client for Node, unmodified, each in an environment of its own."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import soxr
import trio
import trustme

from tests.server.test_tls import TlsServer, command, issue
from tests.support.client import load_pcm
from tests.support.real import missing, shared_sentences
from tests.support.server import RunningServer, running_server, shared_server
from tests.support.voice_agents import dictated
from tests.support.wer import word_error_rate

pytestmark = pytest.mark.long
SCRIPTS = Path(__file__).parent / "agents"
SERVE = ["-m", "trio_stt", "serve", "--port", "{port}"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with shared_server(SERVE) as running:
        yield running


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", "gpt-realtime-whisper", "gpt-live-transcribe"])
def test_livekit(server: RunningServer, tmp_path: Path, model: str) -> None:
    sound, words = shared_sentences()[0]
    url, script = f"http://127.0.0.1:{server.port}/v1", SCRIPTS / "livekit_dictation.py"
    events = dictated(tmp_path, "livekit-plugins-openai==1.8.9", script, url, sound, model)["events"]
    kinds = [kind for kind, _ in events]
    assert {"start_of_speech", "interim_transcript", "end_of_speech", "final_transcript"} <= set(kinds)
    finals = [text for kind, text in events if kind == "final_transcript"]
    assert word_error_rate(words, " ".join(finals)) < 0.2


@pytest.mark.parametrize("detection", ["own", "server"])
def test_pipecat(server: RunningServer, tmp_path: Path, detection: str) -> None:
    sound, words = shared_sentences()[0]
    url, script = f"ws://127.0.0.1:{server.port}/v1/realtime", SCRIPTS / "pipecat_dictation.py"
    result = dictated(tmp_path, "pipecat-ai[openai]==1.14.0", script, url, sound, detection)
    assert not result["errors"]
    assert result["partials"]
    assert word_error_rate(words, " ".join(result["finals"])) < 0.2


async def test_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Node's client speaks TLS only."""
    if shutil.which("npm") is None:
        missing("npm is not installed")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    issue(tmp_path, authority)
    sound, words = shared_sentences()[0]
    samples, rate_hz = load_pcm(sound)
    (tmp_path / "sound.pcm").write_bytes(soxr.resample(samples, rate_hz, 24_000).tobytes() + bytes(2 * 24_000 * 2))
    shutil.copy(SCRIPTS / "node_dictation.mjs", tmp_path)
    variables = os.environ | {"NODE_EXTRA_CA_CERTS": str(tmp_path / "authority.pem")}

    async def run(*command: str) -> str:
        ended = await trio.run_process(command, cwd=tmp_path, env=variables, capture_stdout=True)
        return ended.stdout.decode()

    await run("npm", "install", "--silent", "openai@6.49.0", "ws@8")
    monkeypatch.setattr("tests.support.server.RunningServer", TlsServer)
    async with running_server(command(tmp_path)) as server:
        output = await run("node", "node_dictation.mjs", f"https://localhost:{server.port}/v1", "sound.pcm")
    result = json.loads(output)
    assert word_error_rate(words, result["transcript"]) < 0.2
    assert result["types"][:2] == ["session.created", "session.updated"]
    assert "conversation.item.done" in result["types"]
