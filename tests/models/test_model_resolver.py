"""Engines whose model is in the catalogue but not on this machine: it is downloaded, found again, or refused."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import trio
import trio.testing

from tests.models.conftest import one_archive, one_file, packed
from tests.support.file_server import FileServer
from tests.support.server import running_server
from tests.support.stream_models import pack_kroko, write_stream_transducer
from tests.support.tone_models import END_HZ, ONE_HZ, spoken, write_transducer
from trio_stt.cli import main
from trio_stt.dsp import SAMPLE_RATE_HZ
from trio_stt.errors import DownloadInterrupted, EngineUnavailable, ModelError, ModelMissing
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines.base import EngineConfig, Request
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneState
from trio_stt.models import catalogue
from trio_stt.models.cache import ModelCache, human_size
from trio_stt.models.spec import ModelSpec

ENGINE = "sherpa_onnx_parakeet"
NAME = "tones"


@pytest.fixture(autouse=True)
def entry(web: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A catalogued release of a model that recognises words in tones."""
    folder = write_transducer(tmp_path / "written")
    files = [(f"bundle/{path.name}", path.read_bytes()) for path in sorted(folder.iterdir())]
    release = one_archive(web, packed(*files))
    known = ModelSpec(
        engine=ENGINE,
        name=NAME,
        languages=(),
        licence="MIT",
        form=release.form,
        place=release.place,
        sources=release.sources,
    )
    monkeypatch.setattr(catalogue, "ENTRIES", (known,))
    return known


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")


def test_language_without_an_engine_chooses_a_model_and_downloads_it(
    web: FileServer,
    entry: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(catalogue, "ENTRIES", (replace(entry, languages=("de",)),))
    sound, root = tmp_path / "one.wav", str(tmp_path / "models")
    soundfile.write(sound, np.pad(spoken(ONE_HZ, END_HZ), SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    given = ["transcribe", "--language", "de-AT", "--download-root", root, "--no-model-warmup", str(sound)]
    assert main([*given, "--offline"]) == 2
    assert capsys.readouterr().err == (
        "trio-stt: language: offline is on, and no model on this machine has German; without it, run"
        f" `trio-stt models pull {NAME} --engine {ENGINE}`\n"
    )
    assert main(given) == 0
    assert web.requests
    lines = capsys.readouterr().err
    assert f"language German: engine {ENGINE} with model {NAME}, the best of the catalogue for German" in lines
    assert main([*given, "--offline"]) == 0, "the model is on this machine now"
    assert main(["transcribe", "--language", "Klingon", str(sound)]) == 2
    assert "no model of the catalogue has 'klingon'" in capsys.readouterr().err


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(engine=ENGINE, model=NAME, download_root=tmp_path / "models")


def test_known_model_is_downloaded_once_and_loaded(
    web: FileServer, entry: ModelSpec, config: EngineConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="trio_stt"):
        engine = model_resolver.load(config)
    assert engine.transcribe([Request(samples=spoken(ONE_HZ))])[0].text == "one"
    assert engine.info.model == str(tmp_path / "models" / "bundle")
    assert [record.message for record in caplog.records] == [
        f"tones is not on this machine: downloading it ({human_size(entry.size_bytes)}) to {tmp_path / 'models'}",
        f"tones is complete: {tmp_path / 'models' / 'bundle'}",
    ]
    web.requests.clear()
    model_resolver.load(config).close()
    assert not web.requests


def test_pulled_model_is_loaded_without_a_trial(config: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "refusal", lambda *_: pytest.fail("its files were verified"))
    model_resolver.load(config).close()


def test_offline_names_the_command_and_downloads_nothing(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(ModelMissing) as raised:
        model_resolver.load(replace(config, offline=True))
    assert str(raised.value) == (
        f"engine {ENGINE}: the model tones is not on this machine, and offline is on;"
        f" run `trio-stt models pull tones --engine {ENGINE} --download-root {config.download_root}`"
    )
    assert not web.requests


def test_offline_uses_a_pulled_model(web: FileServer, config: EngineConfig) -> None:
    model_resolver.load(config).close()
    web.requests.clear()
    model_resolver.load(replace(config, offline=True)).close()
    assert not web.requests


def test_users_own_model_is_preferred(web: FileServer, config: EngineConfig, tmp_path: Path) -> None:
    mine = write_transducer(tmp_path / "models" / NAME)
    engine = model_resolver.load(config)
    assert engine.info.model == str(mine)
    assert not web.requests


def test_failed_download_makes_the_engine_unavailable(web: FileServer, config: EngineConfig) -> None:
    web.files.clear()
    with pytest.raises(EngineUnavailable, match=r"tones could not be downloaded: http.* answers 404 Not Found"):
        model_resolver.load(config)


def test_download_is_tried_again_and_ends_by_a_limit(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, entry: ModelSpec
) -> None:
    monkeypatch.setattr(model_resolver, "_DOWNLOAD_PAUSES_S", (0.0, 0.01))
    gone = replace(entry.sources[0], url="http://127.0.0.1:1/bundle.tar.bz2")
    monkeypatch.setattr(catalogue, "ENTRIES", (replace(entry, sources=(gone,)),))
    with pytest.raises(EngineUnavailable, match=r"could not be downloaded: .*connection refused") as raised:
        model_resolver.load(config)
    assert raised.value.may_pass
    reasons = [record.message for record in caplog.records if record.levelname == "WARNING"]
    why = "http://127.0.0.1:1/bundle.tar.bz2: connection refused by 127.0.0.1; trying again in"
    assert reasons == [f"{why} 0 s", f"{why} 0.01 s"]
    caplog.clear()
    with pytest.raises(EngineUnavailable, match=r"could not be downloaded: .*connection refused"):
        model_resolver.load(config)  # as the second worker of the lane does
    assert not caplog.records


def test_download_succeeds_once_the_network_is_there(config: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_resolver, "_DOWNLOAD_PAUSES_S", (0.0,))
    pull, failures = ModelCache.pull, [DownloadInterrupted("no network")]

    def flaky(self: ModelCache, *arguments: Any) -> Path:
        if failures:
            raise failures.pop()
        return pull(self, *arguments)

    monkeypatch.setattr(ModelCache, "pull", flaky)
    model_resolver.load(config).close()


def test_failed_download_that_cannot_pass_is_not_tried_again(
    web: FileServer, config: EngineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    web.files.clear()
    with pytest.raises(EngineUnavailable) as raised:
        model_resolver.load(config)
    assert not raised.value.may_pass
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_pause_between_downloads_ends_with_the_lane(config: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Path:
        raise DownloadInterrupted("no network")

    monkeypatch.setattr(ModelCache, "pull", fail)
    with pytest.raises(EngineUnavailable, match="the server stops"):
        model_resolver.load(config, unwanted=lambda: True)


def test_other_backend_downloads_no_sherpa_onnx_model(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match=r"transformers|torch|no model folder"):
        model_resolver.load(replace(config, options={"backend": "transformers"}))
    assert not web.requests


@pytest.fixture
def kroko(web: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    """A catalogued Kroko model."""
    packed_model = pack_kroko(write_stream_transducer(tmp_path / "streaming"), tmp_path / "packed.data")
    release = one_file(web, packed_model.read_bytes(), name="Kroko-EN-Tones.data")
    known = replace(release, engine="kroko_onnx", name="Kroko-EN-Tones.data")
    monkeypatch.setattr(catalogue, "ENTRIES", (known,))
    return EngineConfig(engine="kroko_onnx", model=known.name, download_root=tmp_path / "models")


def test_kroko_model_is_downloaded(kroko: EngineConfig, tmp_path: Path) -> None:
    engine = model_resolver.load(kroko)
    assert engine.info.model == str(tmp_path / "models" / kroko.model)
    assert engine.transcribe([Request(samples=spoken(ONE_HZ))])[0].text == "one"


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("option", ["auto_download_model", "download_model"])
def test_kroko_options_forbid_the_download(option: str, kroko: EngineConfig, web: FileServer) -> None:
    with pytest.raises(EngineUnavailable, match="there is no model file"):
        model_resolver.load(replace(kroko, options={option: False}))
    assert not web.requests


@pytest.mark.parametrize("option", ["model_path", "model_dir"])
def test_kroko_file_named_by_an_option_is_not_downloaded(option: str, kroko: EngineConfig, web: FileServer) -> None:
    with pytest.raises(ModelMissing, match="there is no model file"):
        model_resolver.load(replace(kroko, options={option: "elsewhere.data"}))
    assert not web.requests


def test_model_named_by_an_option_is_not_downloaded(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match="is missing"):
        model_resolver.load(replace(config, options={"model_dir": "elsewhere"}))
    assert not web.requests


def test_other_backend_gets_the_model_name_unchanged(web: FileServer, config: EngineConfig) -> None:
    loaded_configs = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trio_stt.lanes.engines.registry.load", loaded_configs.append)
        model_resolver.load(replace(config, options={"backend": "transformers"}))
    assert [each.model for each in loaded_configs] == [NAME]
    assert not web.requests


def test_offline_also_sets_hf_hub_offline(config: EngineConfig) -> None:
    with pytest.raises(ModelMissing):
        model_resolver.load(replace(config, offline=True))
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("engine", "name", "place"),
    [
        ("whisper_cpp", "ggml-small.bin", "ggml-small.bin"),
        ("whisper_cpp", "small", "ggml-small.bin"),
        ("sherpa_onnx_moonshine", "moonshine-tiny-en", "sherpa-onnx-moonshine-tiny-en-quantized-2026-02-27"),
    ],
)
def test_known_models_that_are_missing_are_fetched(
    engine: str, name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real catalogue
    monkeypatch.setattr("trio_stt.lanes.engines.sherpa.moonshine_files.package_folder", lambda _: None)
    pulled: list[str] = []

    def pull(_: ModelCache, spec: ModelSpec, *__: Any) -> Path:
        pulled.append(spec.place)
        raise ModelError("enough")

    monkeypatch.setattr(ModelCache, "pull", pull)
    with pytest.raises(EngineUnavailable, match="enough"):
        model_resolver.load(EngineConfig(engine=engine, model=name, download_root=tmp_path / "models"))
    assert pulled == [place]


@pytest.mark.parametrize("engine", ["kroko_onnx", "sherpa_onnx_streaming"])
def test_missing_streaming_model_names_the_command(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real catalogue
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    entry = next(each for each in catalogue.ENTRIES if each.engine == engine)
    config = EngineConfig(engine=engine, model=entry.name, download_root=tmp_path / "models", offline=True)
    with pytest.raises(ModelMissing, match="run `trio-stt models pull"):
        model_resolver.load(config)
    with pytest.raises(EngineUnavailable) as raised:
        model_resolver.load(replace(config, options={"model_dir": "elsewhere"}))
    assert "models pull" not in str(raised.value)


def test_model_not_in_the_catalogue_is_left_to_the_engine(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match="is missing"):
        model_resolver.load(replace(config, model="no-such-model"))
    assert not web.requests


async def test_lane_is_loading_during_the_download(web: FileServer, config: EngineConfig) -> None:
    file = web.files["/bundle.tar.bz2"]
    file.hold_after = 1000
    lane = _lane(config)
    async with trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        with trio.fail_after(30):
            await trio.to_thread.run_sync(file.held.wait, 30)
        assert lane.state is LaneState.LOADING
        file.release.set()
        with trio.fail_after(60):
            await lane.wait_loaded()
        assert lane.state is LaneState.READY
        nursery.cancel_scope.cancel()


async def test_closed_lane_ends_its_download_and_keeps_the_part(web: FileServer, config: EngineConfig) -> None:
    file = web.files["/bundle.tar.bz2"]
    file.hold_after = 1000
    lane = _lane(config)
    assert config.download_root is not None
    part = config.download_root / ".unfinished" / "bundle" / "bundle.tar.bz2.part"

    async def release_when_all_tasks_wait() -> None:
        await trio.testing.wait_all_tasks_blocked()
        file.release.set()

    async with trio.open_nursery() as others, trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await trio.to_thread.run_sync(file.held.wait, 30)
        with trio.fail_after(30):
            while not await trio.Path(part).exists():  # noqa: ASYNC110 - no event reports a new file
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
        others.start_soon(release_when_all_tasks_wait)
    assert part.stat().st_size >= 1000
    assert not (config.download_root / "bundle").exists()


@pytest.mark.long
async def test_server_reports_a_missing_partials_model(tmp_path: Path) -> None:
    words = ["-m", "trio_stt", "serve", "--port", "{port}", "--offline", "--no-model-warmup"]
    words += ["--realtime-engine", "whisper_cpp", "--realtime-model", "tiny.en", "--download-root", str(tmp_path)]
    async with running_server(words) as server:
        with trio.fail_after(60):
            await server.wait_for_output("but shows no partials")
        assert "Finals: sherpa_onnx_moonshine" in server.output


def test_offline_server_ends_and_names_the_command(tmp_path: Path) -> None:
    root = tmp_path / "models"
    words = [sys.executable, "-m", "trio_stt", "serve", "--port", "0", "--offline"]
    words += ["--engine", "whisper_cpp", "--model", "tiny.en", "--download-root", str(root)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own words
    assert (done.returncode, done.stdout) == (2, "")
    *_, line = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert line.startswith("trio-stt: engine whisper_cpp: the model tiny.en is not on this machine")
    assert f"run `trio-stt models pull tiny.en --engine whisper_cpp --download-root {root}`" in line
    assert not root.exists()


def _lane(config: EngineConfig) -> Lane:
    load = partial(model_resolver.load, config, unwanted=lambda: lane.state is LaneState.CLOSED)
    lane: Lane = Lane(
        "main",
        new_executor=engine_threads("main", load),
        limits=lambda: QueueLimits(max_finals_per_session=1, max_jobs=1),
    )
    return lane
