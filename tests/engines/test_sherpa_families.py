"""The families of sherpa-onnx models: arguments, languages and missing files, on folders without real models."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sherpa_onnx

from tests.engines.conftest import batch_of
from tests.support.fake_recognizers import ENGINE_OF, FAMILIES, empty_model
from tests.support.tone_models import END_HZ, ONE_HZ, THREE_HZ, TWO_HZ, spoken
from trio_stt.errors import EngineUnavailable, SettingError, TranscriptionFailed
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import Engine, EngineConfig, Hints, Request
from trio_stt.lanes.engines.sherpa import trial
from trio_stt.lanes.engines.sherpa.families import (
    COHERE,
    FUNASR_NANO,
    PARAFORMER,
    QWEN3,
    SENSE_VOICE,
)
from trio_stt.lanes.engines.sherpa.family import Family, SherpaOptions

SENTENCE = spoken(ONE_HZ, TWO_HZ, THREE_HZ, END_HZ, ONE_HZ)


def load(engine: str, folder: Path, **options: object) -> Engine:
    return registry.load(EngineConfig(engine=engine, model=str(folder), options=options))


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_installed_sherpa_onnx_takes_every_option(family: Family) -> None:
    taken = inspect.signature(getattr(sherpa_onnx.OfflineRecognizer, family.factory)).parameters
    shared = SherpaOptions().model_dump().keys() - {"decoding_method", "debug"}
    options = {name: value for name, value in family.struct()().model_dump().items() if name not in shared}
    given = {family.renamed.get(name, name) for name in (*family.files, *options)}
    given |= {"num_threads", "provider"}
    if family.languages and not family.language_by_stream and not family.factory.startswith("from_moonshine"):
        given.add("language")
    assert given <= set(taken)
    required = {name for name, parameter in taken.items() if parameter.default is parameter.empty}
    assert required == {family.renamed.get(name, name) for name in family.files}
    for name, value in options.items():
        assert isinstance(value, type(taken[family.renamed.get(name, name)].default))


@pytest.mark.contract("8.3")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_missing_file_names_option_family_path_and_release(family: Family, tmp_path: Path) -> None:
    for option, (name, *_) in list(family.files.items())[1:]:
        folder = empty_model(tmp_path / option, family)
        missing = folder / name
        if missing.is_dir():
            missing /= family.folder_holds[option][0]
        missing.unlink()
        with pytest.raises(EngineUnavailable) as raised:
            load(ENGINE_OF[family.name], folder)
        message = str(raised.value)
        assert all(
            part in message for part in (f"{family.name} file `{option}`", str(missing), family.bundle, "model_dir")
        )
        assert "\n" not in message


class Recorder:
    """Replaces the factory of a family in sherpa-onnx and records its arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
        self.keywords: dict[str, Any] = {}
        self.language = ""
        original = getattr(sherpa_onnx.OfflineRecognizer, family.factory)

        def record(**keywords: Any) -> "Recorder":
            self.keywords = keywords
            return self

        record.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # the adapter reads it
        monkeypatch.setattr(sherpa_onnx.OfflineRecognizer, family.factory, record)
        monkeypatch.setattr(trial, "refusal", lambda *_: None)  # a child process would load the real library

    def create_stream(self) -> "Recorder":
        return self

    def set_option(self, name: str, value: str) -> None:
        assert name == "language"
        self.language = value

    def accept_waveform(self, rate_hz: int, samples: object) -> None:
        """Ignore the audio."""

    def decode_stream(self, _stream: "Recorder") -> None:
        raise RuntimeError("nothing was loaded")


class ModelFactory:
    """Makes model folders and recorders for one test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch

    def recorder(self, family: Family) -> Recorder:
        return Recorder(self._monkeypatch, family)

    def config(self, family: Family) -> EngineConfig:
        return EngineConfig(engine=ENGINE_OF[family.name], model=str(empty_model(self._folder / family.name, family)))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFactory:
    return ModelFactory(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("family", "language", "options", "passed"),
    [
        (COHERE, "de", {}, "de"),
        (COHERE, "de", {"language": "FR "}, "fr"),
        (SENSE_VOICE, "zh", {}, "zh"),
        (SENSE_VOICE, None, {}, ""),
        (SENSE_VOICE, "auto", {}, ""),
        (SENSE_VOICE, "zh_CN", {}, "zh"),
        (FUNASR_NANO, "ja", {}, "日文"),
        (QWEN3, "en", {}, "English"),
        (QWEN3, "german", {}, "German"),
        (QWEN3, "en-US", {"language": "Cantonese"}, "Cantonese"),
        (QWEN3, None, {}, ""),
    ],
)
def test_language_is_passed_with_the_models_name(
    family: Family, language: str | None, options: dict[str, object], passed: str, models: ModelFactory
) -> None:
    recorder = models.recorder(family)
    loaded = registry.load(replace(models.config(family), language=language, options=options))
    with pytest.raises(TranscriptionFailed, match="nothing was loaded"):
        loaded.transcribe(batch_of(SENTENCE))
    assert recorder.keywords.get("language", recorder.language) == passed
    assert recorder.keywords["provider"] == "cpu"


@pytest.mark.parametrize(
    ("family", "chosen", "passed"),
    [(COHERE, "fr", "fr"), (QWEN3, "fr", "French"), (QWEN3, "auto", ""), (SENSE_VOICE, "zh", "")],
    ids=["a code", "a name", "detected", "not for one clip"],
)
def test_request_chooses_its_language_where_the_model_can(
    family: Family, chosen: str, passed: str, models: ModelFactory
) -> None:
    recorder = models.recorder(family)
    loaded = registry.load(replace(models.config(family), language="en"))
    with pytest.raises(TranscriptionFailed, match="nothing was loaded"):
        loaded.transcribe([Request(samples=SENTENCE, hints=Hints(language=chosen))])
    assert recorder.language == passed


@pytest.mark.parametrize(
    ("engine", "family", "language", "expected_message"),
    [
        ("cohere", COHERE, None, "Cohere Transcribe needs a language; it has ar, de"),
        ("cohere", COHERE, "tlh", "language 'tlh' is unknown to Cohere Transcribe"),
        ("funasr", SENSE_VOICE, "fr", "language 'fr' is unknown to SenseVoice; it has en, ja"),
        ("qwen3_asr", QWEN3, "tlh", "language 'tlh' is unknown to Qwen3-ASR; it has ar, cs"),
    ],
)
def test_unknown_language_is_refused(
    engine: str, family: Family, language: str | None, expected_message: str, tmp_path: Path
) -> None:
    config = EngineConfig(engine=engine, model=str(empty_model(tmp_path, family)), language=language)
    with pytest.raises(SettingError, match=expected_message):
        registry.load(config)


def test_funasr_families_are_distinguished_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (SENSE_VOICE, PARAFORMER, FUNASR_NANO):
        recorder = Recorder(monkeypatch, family)
        load("funasr", empty_model(tmp_path / family.name, family))
        assert recorder.keywords


def test_prompt_longer_than_a_file_name_is_passed(models: ModelFactory) -> None:
    recorder = models.recorder(FUNASR_NANO)
    prompt = "Write it down. " * 300
    registry.load(replace(models.config(FUNASR_NANO), language=None, options={"system_prompt": prompt}))
    assert recorder.keywords["system_prompt"] == prompt


def test_length_limit_is_in_the_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder(monkeypatch, QWEN3)
    folder = empty_model(tmp_path, QWEN3)
    assert "longer than about 37 s" in str(load("qwen3_asr", folder).info.notice)
    assert "longer than about 76 s" in str(load("qwen3_asr", folder, max_total_len=1_024).info.notice)
