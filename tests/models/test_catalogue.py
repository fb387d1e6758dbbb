"""The catalogue itself: complete, unambiguous, and of one mind with the engines. Nothing is fetched."""

import re
from urllib.parse import urlsplit

import pytest

from trio_stt.errors import ModelError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.engines.sherpa import offline
from trio_stt.models import catalogue
from trio_stt.models.catalogue import ENTRIES
from trio_stt.models.spec import ModelFormat, ModelSpec

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.engine}-{entry.name}")
HUB_ENGINES = {"transformers", "granite_speech"}
"""They fetch checkpoints themselves, into the hub's own cache."""


@every_entry
def test_every_entry_is_complete(entry: ModelSpec) -> None:
    assert entry.languages
    assert entry.licence
    assert re.fullmatch(r"[\w.-]+", entry.place)
    assert not entry.place.startswith(".")
    assert len(entry.sources) == 1 or entry.form is ModelFormat.FOLDER
    assert all(source.name.endswith(".tar.bz2") for source in entry.sources) == (entry.form is ModelFormat.ARCHIVE)


@every_entry
def test_every_source_has_an_address_of_its_publisher(entry: ModelSpec) -> None:
    for source in entry.sources:
        address = urlsplit(source.url)
        assert address.scheme == "https"
        assert address.hostname in {"github.com", "huggingface.co"}
        assert address.path.endswith(f"/{source.name}")
        assert not address.query


@every_entry
def test_checksums_look_like_checksums_and_come_with_sizes(entry: ModelSpec) -> None:
    for source in entry.sources:
        if source.sha256 is not None:
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert source.size_bytes
            assert source.size_bytes > 0


@every_entry
def test_every_entry_is_of_a_known_engine(entry: ModelSpec) -> None:
    assert registry.resolve(entry.engine).name == entry.engine


def test_a_name_means_one_model_of_an_engine() -> None:
    names = [(entry.engine, name) for entry in ENTRIES for name in entry.names]
    assert len(set(names)) == len(names)


def test_models_do_not_share_a_place_or_a_checksum() -> None:
    places = [entry.place for entry in ENTRIES]
    assert len(set(places)) == len(places)
    weights = [source.sha256 for entry in ENTRIES for source in entry.sources if (source.size_bytes or 0) > 10**7]
    assert len(set(weights)) == len(weights)


@pytest.mark.parametrize(
    ("engine", "name", "bundle"),
    [(engine, *pair) for engine, kind in offline._KINDS.items() for pair in kind.directories.items()],
)
def test_names_that_engines_take_for_a_folder_mean_that_folder(engine: str, name: str, bundle: str) -> None:
    entry = catalogue.find(engine, name)
    assert entry is not None
    assert entry.place == bundle
    assert catalogue.find(engine, bundle) is entry


@pytest.mark.parametrize("spec", registry.engine_specs(), ids=lambda spec: spec.name)
def test_every_default_model_can_be_fetched_unless_it_is_embedded_or_elsewhere(spec: registry.EngineSpec) -> None:
    if spec.name in HUB_ENGINES or spec.default_model in {"moonshine-tiny-en", "whisper-1"}:
        return
    assert catalogue.find(spec.name, spec.default_model) is not None


def test_every_model_that_whisper_cpp_publishes_is_there_where_its_engine_looks() -> None:
    constants = pytest.importorskip("pywhispercpp.constants")
    for name in constants.AVAILABLE_MODELS:
        entry = catalogue.find("whisper_cpp", name)
        assert entry is not None
        assert entry.place == f"ggml-{name}.bin"


def test_names_that_faster_whisper_knows_mean_the_same_repositories() -> None:
    whisper = pytest.importorskip("faster_whisper.utils")
    for name, repository in whisper._MODELS.items():
        entry = catalogue.find("faster_whisper", name)
        if entry is not None:
            assert repository in entry.names


def test_a_name_of_two_engines_needs_the_engine() -> None:
    with pytest.raises(
        ModelError, match=r"tiny\.en is a model of .*whisper_cpp and of faster_whisper; say which with --"
    ):
        catalogue.choose("tiny.en")
    assert catalogue.choose("tiny.en", engine="whisper_cpp").engine == "whisper_cpp"
    assert catalogue.choose("tiny.en-q5_1").engine == "whisper_cpp"


@pytest.mark.parametrize(("name", "engine"), [("no-such", None), ("tiny.en-q5_1", "faster_whisper"), ("", None)])
def test_an_unknown_name_is_said_with_where_to_look(name: str, engine: str | None) -> None:
    with pytest.raises(ModelError, match=r"the catalogue has no model .*`trio-stt models list` shows what it has"):
        catalogue.choose(name, engine=engine)


def test_moonshine_names_of_the_reference_server_are_known_to_its_engine_and_to_the_catalogue() -> None:
    for name in ("UsefulSensors/moonshine-streaming-medium", "UsefulSensors/moonshine-streaming-tiny"):
        with pytest.raises(registry.EngineUnavailable, match="sherpa-onnx-moonshine-tiny-en-int8"):
            registry.load(EngineConfig(engine="moonshine", model=name))
        entry = catalogue.find("sherpa_onnx_moonshine", name)
        assert entry is not None
        assert entry.place == "sherpa-onnx-moonshine-tiny-en-int8"
