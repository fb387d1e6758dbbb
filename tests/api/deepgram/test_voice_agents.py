"""The Deepgram services of LiveKit and Pipecat, unmodified, each in an environment of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real import shared_sentences
from tests.support.server import RunningServer, shared_server
from tests.support.voice_agents import dictated
from tests.support.wer import word_error_rate

pytestmark = pytest.mark.long
SCRIPTS = Path(__file__).parent / "agents"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with shared_server(["-m", "trio_stt", "serve", "--port", "{port}"]) as running:
        yield running


def test_livekit(server: RunningServer, tmp_path: Path) -> None:
    sound, words = shared_sentences()[0]
    url = f"http://127.0.0.1:{server.port}/v1/listen"
    result = dictated(tmp_path, "livekit-plugins-deepgram==1.8.9", SCRIPTS / "livekit_dictation.py", url, sound)
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
    result = dictated(tmp_path, "pipecat-ai[deepgram]==1.14.0", SCRIPTS / "pipecat_dictation.py", url, sound)
    texts = [text for text, _ in result["finals"]]
    assert word_error_rate(words, " ".join(texts)) < 0.2
    assert result["finals"][-1][1], "the final answers the Finalize that Pipecat sends at the end of speech"
    assert result["partials"]
