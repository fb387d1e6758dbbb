"""The cache folder where neither the package nor a home can be written, and Numba's cache in it."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_stt.runtime import cache_folder as module
from trio_stt.runtime.cache_folder import cache_folder, prepare_kernel_cache

WritableFolders = Callable[..., None]


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without a cache, as tests that run as root cannot make one with permissions alone."""
    for variable in ("CACHE_DIRECTORY", "STATE_DIRECTORY", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("home", "temporary", "package", "cache", "state"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(module, "_KERNELS", tmp_path / "package")
    module._temporary.cache_clear()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes folders and their contents read-only."""

    def deny(*names: str) -> None:
        folders = [tmp_path / name for name in names]
        real = os.access

        def access(path: str | Path, mode: int) -> bool:
            denied = mode & os.W_OK and any(Path(path).is_relative_to(folder) for folder in folders)
            return not denied and real(path, mode)

        monkeypatch.setattr(os, "access", access)

    return deny


def test_user_has_a_cache(tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "home" / ".cache" / "trio-stt"
    assert not cache_folder().exists()


def test_service_has_its_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path / 'cache'}:{tmp_path / 'another'}")
    assert cache_folder() == tmp_path / "cache"


def test_state_folder_replaces_a_read_only_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: WritableFolders
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    read_only("home")
    assert cache_folder() == tmp_path / "state"


@pytest.mark.parametrize("user_folder", ["/", "home", ""])
def test_temporary_folder_is_private_and_stays_the_same(
    user_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if user_folder:
        monkeypatch.setenv("HOME", user_folder if user_folder == "/" else str(tmp_path / user_folder))
        monkeypatch.setattr(module, "_can_write", lambda folder: folder == tmp_path / "package")
    else:  # without HOME, and without an entry in the list of users
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        monkeypatch.setattr(module, "_can_write", lambda _: True)
    folder = cache_folder()
    assert folder.parent == tmp_path / "temporary"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    module._temporary.cache_clear()
    assert cache_folder() == folder


@pytest.mark.parametrize("wrong", ["open to others", "link"])
def test_temporary_folder_that_another_user_could_have_made_is_not_used(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_can_write", lambda _: False)
    known = cache_folder()
    module._temporary.cache_clear()
    if wrong == "link":
        known.rmdir()
        known.symlink_to(tmp_path / "cache")
    else:
        known.chmod(0o777)
    assert cache_folder() != known
    assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700


def test_kernels_stay_beside_a_writable_package() -> None:
    prepare_kernel_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_kernels_of_a_read_only_package_are_kept_in_the_cache(
    tmp_path: Path, read_only: WritableFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    read_only("package")
    prepare_kernel_cache()
    assert os.environ.pop("NUMBA_CACHE_DIR") == str(tmp_path / "cache" / "kernels")


def test_nothing_that_can_be_written_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: WritableFolders
) -> None:
    read_only("package", "home", "temporary")
    (tmp_path / "temporary").rmdir()
    with pytest.raises(SystemExit, match=r"^trio-stt: no folder for compiled kernels: [^\n]+ with NUMBA_CACHE_DIR$"):
        prepare_kernel_cache()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


def test_folder_that_is_given_is_kept(monkeypatch: pytest.MonkeyPatch, read_only: WritableFolders) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/given")
    read_only("package")
    prepare_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "/given"


def test_kernels_compiled_into_an_image_are_copied_to_numbas_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: WritableFolders
) -> None:
    beside = tmp_path / "package" / "__pycache__"
    beside.mkdir()
    for name in ("kernels.f-1.py311.nbi", "kernels.f-1.py311.1.nbc", "kernels.cpython-311.pyc"):
        (beside / name).write_text(name)
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    read_only("package")
    prepare_kernel_cache()
    root = Path(os.environ.pop("NUMBA_CACHE_DIR"))
    (place,) = root.iterdir()
    assert place.name.startswith("package_")
    assert sorted(file.suffix for file in place.iterdir()) == [".nbc", ".nbi"]
