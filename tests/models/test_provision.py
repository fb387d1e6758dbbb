"""Engines whose model is known but not here: fetched, found again, or refused."""

import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.models.conftest import one_archive, one_file, packed
from tests.support.file_server import FileServer
from tests.support.server import running_server
from tests.support.stream_models import pack_kroko, write_stream_transducer
from tests.support.tone_models import ONE_HZ, spoken, write_transducer
from trio_stt.errors import EngineUnavailable, ModelMissing
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engine_thread import engine_threads
from trio_stt.lanes.engines.base import EngineConfig, Request
from trio_stt.lanes.fair_queue import QueueLimits
from trio_stt.lanes.lane import Lane
from trio_stt.lanes.lane_state import LaneState
from trio_stt.models import catalogue
from trio_stt.models.cache import human_size
from trio_stt.models.spec import ModelSpec

ENGINE = "sherpa_onnx_parakeet"
NAME = "tones"


@pytest.fixture(autouse=True)
def entry(web: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A model that hears words in tones, as a release that the catalogue knows."""
    folder = write_transducer(tmp_path / "written")
    files = [(f"bundle/{path.name}", path.read_bytes()) for path in sorted(folder.iterdir())]
    release = one_archive(web, packed(*files))
    known = ModelSpec(
        engine=ENGINE,
        name=NAME,
        languages="tones",
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


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(engine=ENGINE, model=NAME, download_root=tmp_path / "models")


def test_a_known_model_is_fetched_loaded_and_found_by_the_next_start(
    web: FileServer, entry: ModelSpec, config: EngineConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="trio_stt"):
        engine = model_resolver.load(config)
    assert engine.transcribe([Request(samples=spoken(ONE_HZ))])[0].text == "one"
    assert engine.info.model == str(tmp_path / "models" / "bundle")
    assert [record.message for record in caplog.records] == [
        f"tones is not on this machine: fetching it ({human_size(entry.size_bytes)}) to {tmp_path / 'models'}",
        f"tones is here: {tmp_path / 'models' / 'bundle'}",
    ]
    web.asked.clear()
    model_resolver.load(config).close()
    assert not web.asked


def test_offline_names_the_command_and_asks_nobody(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(ModelMissing) as raised:
        model_resolver.load(replace(config, offline=True))
    assert str(raised.value) == (
        f"engine {ENGINE}: the model tones is not on this machine, and offline is on;"
        f" run `trio-stt models pull tones --engine {ENGINE} --download-root {config.download_root}`"
    )
    assert not web.asked


def test_offline_takes_a_model_that_was_pulled(web: FileServer, config: EngineConfig) -> None:
    model_resolver.load(config).close()
    web.asked.clear()
    model_resolver.load(replace(config, offline=True)).close()
    assert not web.asked


def test_the_users_own_model_of_that_name_comes_first(web: FileServer, config: EngineConfig, tmp_path: Path) -> None:
    mine = write_transducer(tmp_path / "models" / NAME)
    engine = model_resolver.load(config)
    assert engine.info.model == str(mine)
    assert not web.asked


def test_a_model_that_cannot_be_fetched_makes_the_engine_unavailable(web: FileServer, config: EngineConfig) -> None:
    web.files.clear()
    with pytest.raises(EngineUnavailable, match=r"the model tones could not be fetched: http.* answers 404 Not Found"):
        model_resolver.load(config)


def test_another_backend_does_not_get_the_files_of_the_first(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match=r"transformers|torch|no model folder"):
        model_resolver.load(replace(config, options={"backend": "transformers"}))
    assert not web.asked


@pytest.fixture
def kroko(web: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    """A Kroko model that the catalogue knows."""
    packed_model = pack_kroko(write_stream_transducer(tmp_path / "streaming"), tmp_path / "packed.data")
    release = one_file(web, packed_model.read_bytes(), name="Kroko-EN-Tones.data")
    known = replace(release, engine="kroko_onnx", name="Kroko-EN-Tones.data")
    monkeypatch.setattr(catalogue, "ENTRIES", (known,))
    return EngineConfig(engine="kroko_onnx", model=known.name, download_root=tmp_path / "models")


def test_a_kroko_model_is_fetched(kroko: EngineConfig, tmp_path: Path) -> None:
    engine = model_resolver.load(kroko)
    assert engine.info.model == str(tmp_path / "models" / kroko.model)
    assert engine.transcribe([Request(samples=spoken(ONE_HZ))])[0].text == "one"


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("option", ["auto_download_model", "download_model"])
def test_kroko_s_own_options_forbid_it(option: str, kroko: EngineConfig, web: FileServer) -> None:
    with pytest.raises(EngineUnavailable, match="there is no model file"):
        model_resolver.load(replace(kroko, options={option: False}))
    assert not web.asked


@pytest.mark.parametrize("option", ["model_path", "model_dir"])
def test_a_kroko_file_that_an_option_names_is_the_users_affair(
    option: str, kroko: EngineConfig, web: FileServer
) -> None:
    with pytest.raises(ModelMissing, match="there is no model file"):
        model_resolver.load(replace(kroko, options={option: "elsewhere.data"}))
    assert not web.asked


def test_a_model_that_an_option_names_is_the_users_affair(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match="is missing"):
        model_resolver.load(replace(config, options={"model_dir": "elsewhere"}))
    assert not web.asked


def test_another_backend_gets_no_files_of_sherpa_onnx(web: FileServer, config: EngineConfig) -> None:
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trio_stt.lanes.engines.registry.load", asked.append)
        model_resolver.load(replace(config, options={"backend": "transformers"}))
    assert [each.model for each in asked] == [NAME]
    assert not web.asked


def test_offline_holds_for_libraries_that_ask_the_hub_themselves(config: EngineConfig) -> None:
    with pytest.raises(ModelMissing):
        model_resolver.load(replace(config, offline=True))
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("engine", ["kroko_onnx", "sherpa_onnx_streaming"])
def test_streaming_models_are_missed_by_their_name(
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


def test_what_the_catalogue_does_not_know_is_the_engines_affair(web: FileServer, config: EngineConfig) -> None:
    with pytest.raises(EngineUnavailable, match="is missing"):
        model_resolver.load(replace(config, model="no-such-model"))
    assert not web.asked


async def test_a_lane_loads_while_its_model_comes_and_then_serves(web: FileServer, config: EngineConfig) -> None:
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


async def test_a_lane_that_is_closed_gives_up_its_download_and_keeps_what_came(
    web: FileServer, config: EngineConfig
) -> None:
    file = web.files["/bundle.tar.bz2"]
    file.hold_after = 1000
    lane = _lane(config)
    assert config.download_root is not None
    part = config.download_root / ".unfinished" / "bundle" / "bundle.tar.bz2.part"

    async def release_when_all_is_told() -> None:
        await trio.testing.wait_all_tasks_blocked()
        file.release.set()

    async with trio.open_nursery() as others, trio.open_nursery() as nursery:
        await nursery.start(lane.run)
        await trio.to_thread.run_sync(file.held.wait, 30)
        with trio.fail_after(30):
            while not await trio.Path(part).exists():  # noqa: ASYNC110 - no file tells that it is there
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
        others.start_soon(release_when_all_is_told)
    assert part.stat().st_size >= 1000
    assert not (config.download_root / "bundle").exists()


async def test_a_server_whose_partials_alone_lack_their_model_says_so(tmp_path: Path) -> None:
    words = ["-m", "trio_stt", "serve", "--port", "{port}", "--offline", "--no-model-warmup"]
    words += ["--realtime-engine", "whisper_cpp", "--realtime-model", "tiny.en", "--download-root", str(tmp_path)]
    async with running_server(words) as server:
        with trio.fail_after(60):
            await server.wait_for_output("but shows no words before their final")
        assert "Finals: sherpa_onnx_moonshine" in server.output


async def test_a_server_that_is_offline_starts_and_says_what_to_run(tmp_path: Path) -> None:
    root = tmp_path / "models"
    words = ["-m", "trio_stt", "serve", "--port", "{port}", "--offline", "--no-model-warmup"]
    words += ["--engine", "whisper_cpp", "--model", "tiny.en", "--download-root", str(root)]
    command = f"trio-stt models pull tiny.en --engine whisper_cpp --download-root {root}"
    async with running_server(words) as server:
        with trio.fail_after(60):
            await server.wait_for_output("but cannot transcribe")
        assert f"run `{command}`" in server.output
    assert not root.exists()


def _lane(config: EngineConfig) -> Lane:
    load = partial(model_resolver.load, config, unwanted=lambda: lane.state is LaneState.CLOSED)
    lane: Lane = Lane(
        "main",
        new_executor=engine_threads("main", load),
        limits=lambda: QueueLimits(max_finals_per_session=1, max_jobs=1),
    )
    return lane
