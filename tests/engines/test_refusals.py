"""What every engine refuses, and the messages: missing packages, models and files, invalid settings."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.conftest import LANGUAGE_IGNORED, NAMES, WRITTEN_MODEL_NAMES
from tests.support.fake_recognizers import UNLOADABLE
from trio_stt.errors import EngineUnavailable, SettingError
from trio_stt.lanes.engines import registry
from trio_stt.lanes.engines.base import EngineConfig
from trio_stt.runtime.packages import install_command, install_hint

PACKAGES = {
    "whisper_cpp": ("pywhispercpp.model", "pywhispercpp", install_command("pywhispercpp")),
    "faster_whisper": ("faster_whisper", "faster-whisper", install_hint("faster-whisper")),
    "openai_api": ("httpx2", "httpx2", install_hint("openai-api")),
    "transformers": ("transformers", "transformers", install_hint("transformers")),
}
"""The module that an engine needs, its package, and the command that installs it; all others need sherpa-onnx."""

WRONG_OPTIONS: dict[str, dict[str, object]] = {
    "whisper_cpp": {"model": "fast"},
    "faster_whisper": {"model": "fast"},
    "openai_api": {"retries": "many"},
    "transformers": {"generate": "fast"},
}
"""An option of the wrong type for each engine; all others get an invalid number of threads."""

REMOTE = ("openai_api",)
"""Engines whose model and device a remote server chooses."""

IN_A_FOLDER = [
    name for name in (*WRITTEN_MODEL_NAMES, *UNLOADABLE, "faster_whisper", "transformers") if name != "kroko_onnx"
]
"""Engines whose model is a folder known to the tests."""


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of this test's engine, as `NAMES` has it."""
    known: str = request.node.callspec.params["config"]
    return known


@pytest.mark.contract("8.2")
def test_missing_package_is_named(config: EngineConfig, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, package, command = PACKAGES.get(name, ("sherpa_onnx", "sherpa-onnx", install_command("sherpa-onnx")))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        EngineUnavailable,
        match=rf"{config.engine}: the package {re.escape(package)} .*run `{re.escape(command)}`",
    ):
        registry.load(config)


@pytest.mark.parametrize("config", [name for name in NAMES if name not in REMOTE], indirect=True)
def test_missing_model_is_named(config: EngineConfig, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=str(tmp_path / "no-such-model")):
        registry.load(replace(config, model="no-such-model", download_root=tmp_path))


@pytest.mark.parametrize(
    ("changes", "expected_message", "tolerant_engines"),
    [
        ({"language": "tlh"}, "language 'tlh'", LANGUAGE_IGNORED),
        ({"device": "tpu"}, "device 'tpu'", REMOTE),
        ({"options": {"nonsense": 1}}, "option nonsense does not exist", ()),
    ],
)
def test_impossible_settings_are_named(
    config: EngineConfig, name: str, changes: dict[str, Any], expected_message: str, tolerant_engines: tuple[str, ...]
) -> None:
    options = {**config.options, **changes.get("options", {})}
    changed = replace(config, **{**changes, "options": options})
    if name in tolerant_engines:
        registry.load(changed).close()
        return
    with pytest.raises(SettingError, match=f"engine {config.engine}: .*{expected_message}"):
        registry.load(changed)


def test_option_of_the_wrong_type_is_named(config: EngineConfig, name: str) -> None:
    wrong = WRONG_OPTIONS.get(name, {"num_threads": "many"})
    (option,) = wrong
    with pytest.raises(SettingError, match=f"engine {config.engine}: option {option} must be .*, not '(many|fast)'"):
        registry.load(replace(config, options={**config.options, **wrong}))


@pytest.mark.parametrize("config", IN_A_FOLDER, indirect=True)
def test_every_file_of_a_model_may_be_missing(
    config: EngineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    refused: list[tuple[Path, str]] = []
    for number, missing in enumerate(sorted(Path(config.model).iterdir())):
        folder = tmp_path / str(number)
        folder.mkdir()
        for other in Path(config.model).iterdir():
            if other != missing:
                (folder / other.name).symlink_to(other)
        try:
            registry.load(replace(config, model=str(folder), offline=True)).close()
        except EngineUnavailable as error:
            refused.append((folder, str(error)))
    assert refused
    assert all(str(folder) in message and "\n" not in message for folder, message in refused)
