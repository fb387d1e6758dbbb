"""openWakeWord's models where no package carries them: fetched at the start, found again, or named in an error."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.real import package_folder
from trio_stt.dsp import openwakeword
from trio_stt.errors import SettingError
from trio_stt.models import cache
from trio_stt.models.cache import ModelCache
from trio_stt.models.spec import ModelSpec
from trio_stt.models.wake_word_models import OPENWAKEWORD
from trio_stt.server import build
from trio_stt.server.build import build_server, fetch_wake_words
from trio_stt.settings import Settings, load_settings


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> list[ModelSpec]:
    """What was pulled; nothing is downloaded, and no package carries the models."""
    monkeypatch.setattr(openwakeword, "package_folder", lambda _: None)
    found: list[ModelSpec] = []

    def pull(self: ModelCache, entry: ModelSpec, *_: Any) -> Path:
        found.append(entry)
        return self.root / entry.place

    monkeypatch.setattr(ModelCache, "pull", pull)
    return found


def settings(tmp_path: Path, **changes: object) -> Settings:
    given = {"wakeword_backend": "oww", "wake_words": "alexa", "download_root": str(tmp_path)}
    return load_settings({**given, **changes})


def test_missing_models_are_fetched_at_the_start(pulled: list[ModelSpec], tmp_path: Path) -> None:
    fetch_wake_words(settings(tmp_path))
    assert pulled == [OPENWAKEWORD]


@pytest.mark.parametrize("changes", [{"offline": True}, {"wakeword_backend": ""}, {"wakeword_backend": "pvporcupine"}])
def test_models_that_are_not_wanted_are_not_fetched(
    changes: dict[str, object], pulled: list[ModelSpec], tmp_path: Path
) -> None:
    fetch_wake_words(settings(tmp_path, **changes))
    assert not pulled


def test_package_needs_no_download(pulled: list[ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "packaged_models", lambda: tmp_path)
    fetch_wake_words(settings(tmp_path))
    assert not pulled


def test_server_finds_downloaded_models(
    pulled: list[ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="run `trio-stt models pull openwakeword`"):
        build_server(settings(tmp_path))
    (tmp_path / OPENWAKEWORD.place).symlink_to(package_folder("openwakeword") / "resources" / "models")
    monkeypatch.setattr(cache, "is_intact", lambda _: True)
    build_server(settings(tmp_path))
    assert not pulled
