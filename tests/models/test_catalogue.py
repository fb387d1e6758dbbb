"""The catalogue: complete, unambiguous and consistent with the engines. Nothing is downloaded."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest

from tests.support.real import missing
from trio_stt.dsp.openwakeword import packaged_models
from trio_stt.errors import ModelError, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.lanes.engines.selection import ENGLISH_ONLY, choose_language
from trio_stt.lanes.engines.sherpa import offline
from trio_stt.models import catalogue
from trio_stt.models.catalogue import ENTRIES
from trio_stt.models.spec import ModelFormat, ModelSpec
from trio_stt.models.wake_word_models import OPENWAKEWORD

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.engine}-{entry.name}")
HUB_ENGINES = {"transformers", "granite_speech"}
"""Engines that download checkpoints themselves, into the hub's own cache."""


@every_entry
def test_every_entry_is_complete(entry: ModelSpec) -> None:
    assert entry.languages_shown
    assert entry.licence
    assert re.fullmatch(r"[\w.-]+", entry.place)
    assert not entry.place.startswith(".")
    assert len(entry.sources) == 1 or entry.form is ModelFormat.FOLDER
    assert all(source.name.endswith(".tar.bz2") for source in entry.sources) == (entry.form is ModelFormat.ARCHIVE)


@every_entry
def test_every_source_has_its_publishers_address(entry: ModelSpec) -> None:
    for source in entry.sources:
        address = urlsplit(source.url)
        assert address.scheme == "https"
        assert address.hostname in {"github.com", "huggingface.co"}
        assert address.path.endswith(f"/{source.name}")
        assert not address.query


@every_entry
def test_checksums_are_valid_and_have_sizes(entry: ModelSpec) -> None:
    for source in entry.sources:
        if source.sha256 is not None:
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert source.size_bytes
            assert source.size_bytes > 0


@every_entry
def test_every_entry_has_a_known_engine(entry: ModelSpec) -> None:
    if entry not in catalogue.NOT_ENGINES:
        assert registry.resolve(entry.engine).name == entry.engine


def test_names_are_unique_per_engine() -> None:
    names = [(entry.engine, name) for entry in ENTRIES for name in entry.names]
    assert len(set(names)) == len(names)


def test_places_and_checksums_are_unique() -> None:
    places = [entry.place for entry in ENTRIES]
    assert len(set(places)) == len(places)
    weights = [source.sha256 for entry in ENTRIES for source in entry.sources if (source.size_bytes or 0) > 10**7]
    assert len(set(weights)) == len(weights)


@pytest.mark.parametrize(
    ("engine", "name", "bundle"),
    [(engine, *pair) for engine, kind in offline._KINDS.items() for pair in kind.directories.items()],
)
def test_engine_folder_names_match_the_catalogue(engine: str, name: str, bundle: str) -> None:
    entry = catalogue.find(engine, name)
    assert entry is not None
    assert entry.place == bundle
    assert catalogue.find(engine, bundle) is entry


@pytest.mark.parametrize("spec", registry.engine_specs(), ids=lambda spec: spec.name)
def test_every_default_model_is_embedded_or_in_the_catalogue(spec: registry.EngineSpec) -> None:
    if spec.name in HUB_ENGINES or spec.default_model in {"moonshine-tiny-en", "whisper-1"}:
        return
    assert catalogue.find(spec.name, spec.default_model) is not None


def test_whisper_cpp_models_match_the_engines_file_names() -> None:
    constants = pytest.importorskip("pywhispercpp.constants")
    for name in constants.AVAILABLE_MODELS:
        entry = catalogue.find("whisper_cpp", name)
        assert entry is not None
        assert entry.place == f"ggml-{name}.bin"


def test_faster_whisper_names_match_its_repositories() -> None:
    whisper = pytest.importorskip("faster_whisper.utils")
    for name, repository in whisper._MODELS.items():
        entry = catalogue.find("faster_whisper", name)
        if entry is not None:
            assert repository in entry.names


def test_ambiguous_name_needs_the_engine() -> None:
    with pytest.raises(
        ModelError, match=r"tiny\.en is a model of .*whisper_cpp and of faster_whisper; choose one with --"
    ):
        catalogue.choose("tiny.en")
    assert catalogue.choose("tiny.en", engine="whisper_cpp").engine == "whisper_cpp"
    assert catalogue.choose("tiny.en-q5_1").engine == "whisper_cpp"


@pytest.mark.parametrize(("name", "engine"), [("no-such", None), ("tiny.en-q5_1", "faster_whisper"), ("", None)])
def test_unknown_name_points_to_the_list(name: str, engine: str | None) -> None:
    with pytest.raises(ModelError, match=r"the catalogue has no model .*`trio-stt models list` shows what it has"):
        catalogue.choose(name, engine=engine)


def test_similar_names_are_suggested() -> None:
    with pytest.raises(ModelError, match=r"of whisper_cpp; did you mean small\.en, .* or .*\? `trio-stt models list`"):
        catalogue.choose("smal.en", engine="whisper_cpp")


def test_english_only_model_names_the_first_choice_for_other_languages() -> None:
    (engine, name) = next(key for key, languages in catalogue.FIRST_CHOICES.items() if languages == "99 languages")
    with pytest.raises(SettingError, match=rf"'de' needs a multilingual model, .* --engine {engine} --model {name};"):
        choose_language("de", ENGLISH_ONLY, engine="sherpa_onnx_moonshine", model="moonshine-tiny-en")


def test_first_choices_exist() -> None:
    for engine, name in catalogue.FIRST_CHOICES:
        entry = catalogue.find(engine, name)
        assert entry is not None
        assert entry.name == name


def test_ggml_files_are_known_by_their_names() -> None:
    entry = catalogue.find("whisper_cpp", "ggml-small.bin")
    assert entry is not None
    assert entry.name == "small"


def test_checksums_of_wake_words_are_those_of_the_package() -> None:
    folder = packaged_models()
    if folder is None:
        missing("the package openwakeword is not installed")
    for source in OPENWAKEWORD.sources:
        content = (folder / source.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (source.size_bytes, source.sha256)


def test_reference_servers_moonshine_names_are_known() -> None:
    for name in ("UsefulSensors/moonshine-streaming-medium", "UsefulSensors/moonshine-streaming-tiny"):
        with pytest.raises(registry.EngineUnavailable, match="sherpa-onnx-moonshine-tiny-en-int8"):
            registry.load(EngineConfig(engine="moonshine", model=name))
        entry = catalogue.find("sherpa_onnx_moonshine", name)
        assert entry is not None
        assert entry.place == "sherpa-onnx-moonshine-tiny-en-int8"
