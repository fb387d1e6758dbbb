"""First use after a plain install, which carries no models: they are fetched from the catalogue's addresses and used.

A local server stands in for the publishers'. Sizes and checksums are the catalogue's own, except those of the Moonshine
archive, which no package carries as a whole.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request

import numpy as np
import pytest

from tests.models.conftest import packed
from tests.support.file_server import FileServer
from tests.support.real import moonshine_asset, package_folder
from tests.support.wer import BECKETT, word_error_rate
from trio_stt.cli import main
from trio_stt.cli.checks import start_refusal
from trio_stt.dsp.silero import SileroModel
from trio_stt.errors import ModelError
from trio_stt.lanes.engines.sherpa.moonshine_files import token_table
from trio_stt.models import catalogue, download
from trio_stt.models.spec import ModelSpec
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.runtime import packages
from trio_stt.server.build import build_server, fetch_wake_words
from trio_stt.settings import load_settings

CARRIERS = {"silero_vad", "openwakeword", "moonshine_voice"}


@pytest.fixture
def publishers(web: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """The publishers' files at their own paths; no package carries a model, and none was downloaded."""
    find_spec = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in CARRIERS else find_spec(name))
    monkeypatch.setenv("TRIO_STT_DOWNLOAD_ROOT", str(tmp_path / "models"))

    def redirected(url: str, headers: dict[str, str]) -> Request:
        assert url.startswith("https://")
        return Request(web.url(urlsplit(url).path[1:]), headers=headers)  # noqa: S310 - the address is our own

    monkeypatch.setattr(download, "Request", redirected)
    return web


def moonshine(web: FileServer, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """The catalogue's default model, with an archive made of the files that moonshine-voice carries."""
    entry = catalogue.find("sherpa_onnx_moonshine", "moonshine-tiny-en")
    assert entry is not None
    folder = moonshine_asset("tiny-en")
    files = {f"{name}.ort": (folder / f"{name}.ort").read_bytes() for name in ("encoder_model", "decoder_model_merged")}
    files["tokens.txt"] = token_table((folder / "tokenizer.bin").read_bytes()).encode()
    archive = packed(*((f"{entry.place}/{name}", content) for name, content in files.items()))
    file = web.serve(urlsplit(entry.sources[0].url).path[1:], archive)
    source = replace(entry.sources[0], size_bytes=len(archive), sha256=file.sha256)
    entries = [replace(entry, sources=(source,)) if each is entry else each for each in catalogue.ENTRIES]
    monkeypatch.setattr(catalogue, "ENTRIES", tuple(entries))
    return entry


@pytest.mark.long
def test_first_transcript_fetches_the_default_model(
    publishers: FileServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = moonshine(publishers, monkeypatch)
    for _ in range(2):
        assert main(["transcribe", str(moonshine_asset("beckett.wav"))]) == 0
        assert word_error_rate(BECKETT, capsys.readouterr().out) <= 0.2
    assert publishers.requests == [(urlsplit(entry.sources[0].url).path, "")], "the second transcript finds it"


def test_first_server_with_wake_words_fetches_their_models(publishers: FileServer) -> None:
    folder = package_folder("openwakeword") / "resources" / "models"
    for source in OPENWAKEWORD.sources:
        publishers.serve(urlsplit(source.url).path[1:], (folder / source.name).read_bytes())
    settings = load_settings({"wakeword_backend": "oww", "wake_words": "alexa"})
    assert start_refusal(settings) is None, "doctor knows that they are fetched"
    assert not publishers.requests
    fetch_wake_words(settings)
    assert len(publishers.requests) == len(OPENWAKEWORD.sources)
    detector = build_server(settings).new_wake_word_detector(settings)
    assert detector is not None
    assert detector.process(np.zeros(512, np.int16)) is None


def test_altered_model_is_not_used(publishers: FileServer) -> None:
    source = OPENWAKEWORD.sources[0]
    publishers.serve(urlsplit(source.url).path[1:], bytes(source.size_bytes or 0))
    with pytest.raises(ModelError, match=r"has the wrong checksum: .*, not ba2b0e0f8b7b.*nothing was kept"):
        fetch_wake_words(load_settings({"wakeword_backend": "oww", "wake_words": "alexa"}))


def test_voice_detection_needs_no_download(publishers: FileServer) -> None:
    SileroModel()
    assert not publishers.requests
