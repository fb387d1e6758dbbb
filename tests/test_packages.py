"""Folders of installed packages are found without importing them."""

import sys

import pytest

from trio_stt.runtime.packages import package_folder


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
