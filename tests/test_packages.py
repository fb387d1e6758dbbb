"""Folders of installed packages are found without importing them; install commands are those of this environment."""

import shlex
import sys
from pathlib import Path

import pytest

from trio_stt.runtime import packages
from trio_stt.runtime.packages import install_command, install_hint, package_folder


def test_package_folder_is_found_without_import() -> None:
    folder = package_folder("silero_vad")
    assert folder is None or (folder / "__init__.py").is_file()
    assert "silero_vad" not in sys.modules
    json_folder = package_folder("json")
    assert json_folder is not None
    assert (json_folder / "decoder.py").is_file()


@pytest.mark.parametrize("name", ["no_such_package", "bisect"])
def test_module_and_missing_package_have_no_folder(name: str) -> None:
    assert package_folder(name) is None


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose scripts are the only programs; it has no pip and no uv."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "pip", None)
    return tmp_path


def add_program(folder: Path, name: str) -> None:
    (folder / name).touch(mode=0o755)


def test_environment_with_pip_uses_its_own_pip(
    environment: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pip")
    monkeypatch.setattr(packages, "find_spec", lambda _: object())
    assert install_command("peft") == f"{environment}/bin/python -m pip install peft"
    add_program(environment / "bin", "pip")
    assert install_command("-U", "a>=1") == "pip install -U 'a>=1'"
    other = tmp_path_factory.mktemp("other")
    add_program(other, "pip")
    monkeypatch.setenv("PATH", str(other))
    assert install_command("peft") == f"{environment}/bin/python -m pip install peft"


def test_environment_without_pip_uses_uv(environment: Path) -> None:
    assert install_command("peft") == f"uv pip install peft -p {environment}"


@pytest.mark.usefixtures("environment")
def test_extra_outside_a_checkout_is_installed_by_its_requirements() -> None:
    command = shlex.split(install_hint("openai-api"))
    assert command[:3] == ["uv", "pip", "install"]
    assert "httpx2" in [package.partition(">=")[0] for package in command[3:-2]]


def test_extra_in_a_checkout_is_installed_by_uv(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_ROOT", environment)
    monkeypatch.setattr(sys, "prefix", str(environment / ".venv"))
    (environment / "pyproject.toml").touch()
    assert install_hint("openai-api").startswith("uv pip install ")  # there is no uv that could sync
    add_program(environment / "bin", "uv")
    assert install_hint("openai-api") == f"uv sync --inexact --extra openai-api --project {environment}"
    monkeypatch.chdir(environment)
    assert install_hint("openai-api") == "uv sync --inexact --extra openai-api"
    assert install_hint("transformers") == (
        f"uv sync --inexact --extra transformers && uv pip install --no-config torch -p {environment}/.venv"
    )
