"""Which models suit a language, and what `trio-stt models recommend` says of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.lanes.fakes import FakeEngine
from trio_stt.cli import main
from trio_stt.lanes import model_resolver
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.models import catalogue
from trio_stt.models.recommendation import best_live, by_words, gflop
from trio_stt.models.word_errors import word_errors
from trio_stt.server.lane_plan import engine_configs
from trio_stt.settings import load_settings


def choice(language: str) -> tuple[str, str] | None:
    best = best_live(language)
    return (best[0].engine, best[0].name) if best else None


@pytest.mark.parametrize(
    ("language", "model"),
    [
        ("de", ("sherpa_onnx_parakeet", "nvidia/parakeet-tdt-0.6b-v3")),
        ("ja", ("funasr", "iic/SenseVoiceSmall")),
        ("yue", ("funasr", "iic/SenseVoiceSmall")),
        ("tr", ("faster_whisper", "small")),
        ("fil", ("qwen3_asr", "Qwen/Qwen3-ASR-0.6B")),
        ("tlh", None),
    ],
)
def test_best_model_for_live_speech(language: str, model: tuple[str, str] | None) -> None:
    assert choice(language) == model


def test_reason_quotes_the_published_rate() -> None:
    assert best_live("de")[1].endswith("for German that a CPU runs live (5.04 % of words wrong, FLEURS)")  # type: ignore[index]
    assert best_live("tr")[1].endswith("for Turkish that a CPU runs live")  # type: ignore[index]


@pytest.mark.parametrize("language", ["en", "de", "ja"])
def test_models_with_a_published_rate_come_first_and_in_order(language: str) -> None:
    found = by_words(language)
    rates = [known.percent if known else None for known in (word_errors(entry, language) for entry in found)]
    published = [rate for rate in rates if rate is not None]
    assert rates == sorted(published) + [None] * (len(rates) - len(published))
    assert all(language in entry.languages for entry in found)


@pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: f"{entry.engine} {entry.name}")
def test_every_model_has_a_cost(entry: object) -> None:
    if entry not in catalogue.NOT_ENGINES:
        assert 0 < gflop(entry) < 3_000  # type: ignore[arg-type] # an entry


@pytest.mark.parametrize(
    ("given", "engine"),
    [
        ({}, "sherpa_onnx_moonshine"),
        ({"language": "en-US"}, "sherpa_onnx_moonshine"),
        ({"language": "auto"}, "sherpa_onnx_moonshine"),
        ({"language": "German"}, "sherpa_onnx_parakeet"),
        ({"language": "de", "transcription_engine": "sherpa_onnx_moonshine"}, "sherpa_onnx_moonshine"),
        ({"language": "de", "transcription_engine": "faster_whisper", "model": "small"}, "faster_whisper"),
        ({"language": "de", "model": "/mine"}, "sherpa_onnx_moonshine"),
    ],
)
def test_engine_follows_the_language_where_neither_engine_nor_model_was_chosen(
    given: dict[str, object], engine: str
) -> None:
    final, partial = engine_configs(load_settings(given))
    assert final.engine == engine
    assert partial is None or partial.engine == engine


def test_command_keeps_measured_estimated_and_quoted_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded: list[EngineConfig] = []

    def load(config: EngineConfig) -> FakeEngine:
        loaded.append(config)
        return FakeEngine()

    monkeypatch.setattr(model_resolver, "load", load)
    monkeypatch.setattr("trio_stt.cli.recommend._MATRIX_TEST_S", 0.01)
    model = "sherpa-onnx-moonshine-base-en-quantized-2026-02-27"
    monkeypatch.setattr("trio_stt.cli.recommend._is_present", lambda entry, _: entry.name == model)
    root = str(tmp_path)
    assert main(["models", "recommend", "--json", "--download-root", root]) == 0
    found = {each["model"]: each for each in json.loads(capsys.readouterr().out)}
    assert [config.model for config in loaded] == [model]
    assert found[model]["measured"]
    assert found[model]["present"]
    assert not found["moonshine-tiny-en"]["measured"]
    assert found["nvidia/parakeet-tdt-0.6b-v2"]["wordErrorsPercent"] == 6.05
    assert main(["models", "recommend", "--language", "de_DE", "--download-root", root]) == 0
    out = capsys.readouterr().out
    assert "German on" in out
    assert "5.04 %" in out
    assert "Quoted: words wrong, FLEURS, https://huggingface.co/nvidia/parakeet-tdt-0.6b-v3." in out
    assert "serve --engine sherpa_onnx_parakeet --model nvidia/parakeet-tdt-0.6b-v3 --language de" in out


def test_model_is_measured_with_speech_and_other_engines_are_estimated_from_noise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech = np.ones(8, np.float32)
    monkeypatch.setattr(model_resolver, "load", lambda _: FakeEngine())
    monkeypatch.setattr("trio_stt.cli.recommend._MATRIX_TEST_S", 0.01)
    monkeypatch.setattr("trio_stt.cli.recommend._is_present", lambda entry, _: entry.name == "moonshine-tiny-en")
    monkeypatch.setattr("trio_stt.cli.recommend.reading", lambda _: speech)
    monkeypatch.setattr("trio_stt.cli.recommend._transcription_s", lambda _, clip: 0.02 if clip is speech else 0.01)
    assert main(["models", "recommend", "--json", "--download-root", str(tmp_path)]) == 0
    found = {(each["engine"], each["model"]): each["cpuSeconds"] for each in json.loads(capsys.readouterr().out)}
    entries = {(entry.engine, entry.name): gflop(entry) for entry in by_words("en")}
    tiny = "sherpa_onnx_moonshine", "moonshine-tiny-en"
    assert found[tiny] == 0.02
    for name, cpu_s in found.items():
        known_s = 0.02 if name[0] == tiny[0] else 0.01
        assert cpu_s == pytest.approx(known_s * entries[name] / entries[tiny], abs=1e-3)


@pytest.mark.parametrize("language", ["auto", "tlh"])
def test_command_needs_a_language_that_the_catalogue_has(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "recommend", "--language", language]) == 2
    assert capsys.readouterr().err.startswith("trio-stt: language: ")
